/** Programs that use a key at once. What stands in them is the reader's own: name of the server, key, model. */
export interface Call {
  origin: string;
  key: string;
  model: string;
}

const messages = [{ role: 'user', content: 'Hello' }];

/** Any text as one word of a POSIX shell. */
const shellWord = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

export function curlSnippet({ origin, key, model }: Call): string {
  return [
    `curl ${shellWord(`${origin}/v1/chat/completions`)}`,
    `-H ${shellWord(`Authorization: Bearer ${key}`)}`,
    `-H ${shellWord('Content-Type: application/json')}`,
    `-d ${shellWord(JSON.stringify({ model, messages }))}`,
  ].join(' \\\n  ');
}

/** A JSON string is a string of Python, too. */
export function pythonSnippet({ origin, key, model }: Call): string {
  return `from openai import OpenAI

client = OpenAI(
    base_url=${JSON.stringify(`${origin}/v1`)},
    api_key=${JSON.stringify(key)},
)
answer = client.chat.completions.create(
    model=${JSON.stringify(model)},
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)`;
}
