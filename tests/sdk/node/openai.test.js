// OpenAI's own JavaScript client against a running Portico, as a user of it would write it.
//
//   PORTICO_URL=http://127.0.0.1:8080 PORTICO_TEXT_MODEL=smollm2-135m PORTICO_VISION_MODEL=colour \
//     npm test --prefix tests/sdk/node
//
// PORTICO_VISION_MODEL     the model that names colours; without it what needs one is skipped
// PORTICO_EMBEDDING_MODEL  a model with embeddings; without it they are skipped
// PORTICO_TRANSCRIPTION_MODEL  a model that transcribes; without it that is skipped
// PORTICO_KEY              an API key, where Portico asks for one
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 as nativeCrc32, deflateSync } from "node:zlib";
import OpenAI from "openai";

const { PORTICO_URL, PORTICO_TEXT_MODEL: TEXT, PORTICO_VISION_MODEL: VISION, PORTICO_EMBEDDING_MODEL: EMBEDDING, PORTICO_TRANSCRIPTION_MODEL: TRANSCRIPTION } = process.env;
assert.ok(PORTICO_URL && TEXT, "PORTICO_URL and PORTICO_TEXT_MODEL say what to test");

const client = new OpenAI({
  baseURL: `${PORTICO_URL.replace(/\/$/, "")}/v1`,
  apiKey: process.env.PORTICO_KEY ?? "none",
  maxRetries: 0, // an error that is retried away would not be seen
  timeout: 60_000,
});
const messages = [{ role: "user", content: "Tell me about the sea." }];
const chat = (more = {}, options = undefined) =>
  client.chat.completions.create({ model: TEXT, messages, max_tokens: 16, ...more }, options);

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

// Node 20.15 and 22.2 brought zlib.crc32; this is for the ones before.
function crc32(bytes) {
  if (nativeCrc32) return nativeCrc32(bytes);
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

function png([red, green, blue], width = 96, height = 64) {
  const number = (value) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const chunk = (kind, content) => {
    const body = Buffer.concat([Buffer.from(kind), content]);
    return Buffer.concat([number(content.length), body, number(crc32(body))]);
  };
  const row = Buffer.from([0, ...Array.from({ length: width }, () => [red, green, blue]).flat()]);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: height }, () => row)));
  const header = Buffer.concat([number(width), number(height), Buffer.from([8, 2, 0, 0, 0])]);
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}

const image = (colour) => ({
  type: "image_url",
  image_url: { url: `data:image/png;base64,${png(colour).toString("base64")}` },
});

describe("models", () => {
  test("list", async () => {
    const names = (await collect(await client.models.list())).map((model) => model.id);
    for (const name of [TEXT, VISION, EMBEDDING].filter(Boolean)) assert.ok(names.includes(name), `${name} in ${names}`);
    assert.equal(new Set(names).size, names.length);
  });

  test("retrieve", async () => {
    assert.equal((await client.models.retrieve(TEXT)).id, TEXT);
  });

  test("retrieve an unknown one", async () => {
    await assert.rejects(client.models.retrieve("no-such-model"), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError, String(error));
      assert.equal(error.code, "model_not_found");
      return true;
    });
  });
});

describe("chat", () => {
  test("whole", async () => {
    const answer = await chat();
    assert.equal(answer.model, TEXT);
    assert.ok(answer.choices[0].message.content);
    assert.ok(answer.usage.completion_tokens > 0 && answer.usage.completion_tokens <= 16);
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });

  test("stream without usage", async () => {
    const chunks = await collect(await chat({ stream: true }));
    assert.ok(text(chunks));
    assert.deepEqual(chunks.filter((chunk) => chunk.usage), []);
    assert.deepEqual([...new Set(chunks.map((chunk) => chunk.model))], [TEXT]);
    assert.ok(["stop", "length"].includes(chunks.at(-1).choices[0].finish_reason));
  });

  test("stream with usage", async () => {
    const chunks = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
    assert.deepEqual(chunks.filter((chunk) => chunk.usage), chunks.slice(-1));
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
  });

  test("stream helper", async () => {
    const runner = client.chat.completions.stream({ model: TEXT, messages, max_tokens: 8 });
    assert.ok(await runner.finalContent());
  });

  test("aborted stream", async () => {
    const controller = new AbortController();
    const stream = await chat({ stream: true, max_tokens: 4000 }, { signal: controller.signal });
    let seen = 0;
    for await (const _ of stream) {
      seen += 1;
      if (seen === 3) controller.abort();
    }
    assert.ok(seen < 4000, "the stream went on");
    assert.ok((await chat({ max_tokens: 4 })).choices.length);
  });

  test("aborted before the answer", async () => {
    const controller = new AbortController();
    const answer = chat({ max_tokens: 4000 }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await assert.rejects(answer, OpenAI.APIUserAbortError);
    assert.ok((await chat({ max_tokens: 4 })).choices.length);
  });

  test("several at once", async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(async () => text(await collect(await chat({ stream: true })))));
    assert.equal(answers.filter(Boolean).length, 4);
  });
});

describe("vision", { skip: VISION ? false : "PORTICO_VISION_MODEL is not set" }, () => {
  const see = (images, more = {}) =>
    client.chat.completions.create({
      model: VISION,
      temperature: 0,
      max_tokens: 24,
      messages: [{ role: "user", content: [...images, { type: "text", text: "Describe this image." }] }],
      ...more,
    });

  for (const [name, colour] of Object.entries({ red: [220, 20, 20], blue: [30, 30, 220] })) {
    test(`a ${name} image`, async () => {
      assert.equal((await see([image(colour)])).choices[0].message.content, `The image is ${name}.`);
    });
  }

  test("streamed", async () => {
    assert.equal(text(await collect(await see([image([220, 20, 20])], { stream: true }))), "The image is red.");
  });
});

describe("completions", () => {
  const complete = (more = {}) =>
    client.completions.create({ model: TEXT, prompt: "Once upon a time", max_tokens: 8, ...more });

  test("whole", async () => {
    const answer = await complete();
    assert.equal(answer.model, TEXT);
    assert.ok(answer.choices[0].text);
  });

  test("streamed", async () => {
    const chunks = await collect(await complete({ stream: true }));
    assert.ok(chunks.map((chunk) => chunk.choices[0]?.text ?? "").join(""));
    // llama.cpp puts the usage into the last event with a choice here, asked for or not: no event of its own.
    assert.deepEqual(chunks.filter((chunk) => chunk.choices.length === 0), []);
  });
});

describe("embeddings", { skip: EMBEDDING ? false : "PORTICO_EMBEDDING_MODEL is not set" }, () => {
  test("several", async () => {
    const { data } = await client.embeddings.create({ model: EMBEDDING, input: ["the sea", "a mountain"] });
    assert.equal(data.length, 2);
    assert.ok(data[0].embedding.length > 8);
    assert.notDeepEqual(data[0].embedding, data[1].embedding);
  });
});

describe("transcriptions", { skip: TRANSCRIPTION ? false : "PORTICO_TRANSCRIPTION_MODEL is not set" }, () => {
  const file = (bytes) => new File([Buffer.concat([Buffer.from("fLaC\0\0\0\x22"), Buffer.alloc(10), Buffer.from("0ac440f000000001", "hex"), Buffer.alloc(bytes)])], "a \"b\".flac");

  for (const bytes of [100, 4 << 20])
    test(`the file first, ${bytes} bytes`, async () => {
      const answer = await client.audio.transcriptions.create({ file: file(bytes), language: "en", model: TRANSCRIPTION, temperature: 0 });
      assert.equal(typeof answer.text, "string");
    });

  test("as text", async () => {
    const answer = await client.audio.transcriptions.create({ model: TRANSCRIPTION, file: file(100), response_format: "text" });
    assert.equal(typeof answer, "string");
  });
});

describe("errors", () => {
  const rejected = (promise, kind, type, code = undefined) =>
    assert.rejects(promise, (error) => {
      assert.ok(error instanceof kind, String(error));
      assert.equal(error.type, type);
      if (code) assert.equal(error.code, code);
      return true;
    });

  for (const stream of [false, true]) {
    test(`unknown model${stream ? ", streaming" : ""}`, () =>
      rejected(chat({ model: "no-such-model", stream }), OpenAI.NotFoundError, "not_found_error", "model_not_found"));
  }

  test("messages of the wrong type", () =>
    rejected(chat({ messages: "hello" }), OpenAI.BadRequestError, "invalid_request_error"));

  test("broken JSON", () =>
    rejected(
      client.post("/chat/completions", { body: '{"model": "x", ', headers: { "Content-Type": "application/json" } }),
      OpenAI.BadRequestError,
      "invalid_request_error",
    ));

  test("unknown path", () =>
    rejected(client.post("/no/such/path", { body: {} }), OpenAI.NotFoundError, "not_found_error"));
});
