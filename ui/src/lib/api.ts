import { RequestError, classify, readErrorBody } from './failure.ts';
import { networkError, pageHeaders, refusal } from './request.ts';
import { SseParser, queuePosition } from './sse.ts';

export type Part = { type: 'text'; text: string } | { type: 'image_url'; image_url: { url: string } };
export interface ApiMessage {
  role: 'system' | 'user' | 'assistant';
  content: string | Part[];
}

export interface Model {
  id: string;
  /** Undefined where the server does not tell: then nothing is refused beforehand. */
  modalities: string[] | undefined;
  state: ModelState;
}

export type ModelState = 'ready' | 'loading' | 'down' | 'stopped' | 'unknown';

/** What the server says about itself; `reachable` is false where it did not answer at all. */
export interface Readiness {
  reachable: boolean;
  ready: boolean;
  models: Record<string, ModelState>;
}

/** What happens to a request, in the order of its life. */
export type StreamEvent =
  | { type: 'accepted'; requestId: string }
  | { type: 'queued'; position: number }
  /** The wait is over: the model's first event arrived, mostly without text yet. */
  | { type: 'started' }
  | { type: 'text'; text: string }
  | { type: 'thinking'; text: string }
  | { type: 'finish'; reason: string }
  | { type: 'usage'; tokensIn: number; tokensOut: number };

/** Longer than every deadline of the server (300 s): if it passes, the connection is dead and nobody noticed. */
const SILENCE_LIMIT_MS = 330_000;

export function toModelState(value: unknown): ModelState {
  switch (typeof value === 'string' ? value.toLowerCase() : '') {
    case 'ready': case 'up': case 'running': case 'idle':
      return 'ready';
    case 'loading': case 'starting': case 'probing': case 'restarting': case 'backoff':
      return 'loading';
    case 'down': case 'failed': case 'dead': case 'error': case 'unreachable':
      return 'down';
    case 'stopped': case 'stopping': case 'disabled':
      return 'stopped';
    default:
      return 'unknown';
  }
}

export async function fetchModels(signal: AbortSignal): Promise<Model[]> {
  let response: Response;
  try {
    response = await fetch('/v1/models', { signal, headers: pageHeaders({ Accept: 'application/json' }) });
  } catch {
    throw networkError();
  }
  if (!response.ok) throw await refusal(response);
  const body: unknown = await response.json().catch(() => undefined);
  const data = body && typeof body === 'object' ? (body as { data?: unknown }).data : undefined;
  if (!Array.isArray(data)) throw new RequestError({ kind: 'garbled', status: response.status });
  return data.flatMap((entry: Record<string, unknown> | null) => {
    const id = entry?.['id'];
    if (typeof id !== 'string') return [];
    const modalities = entry?.['modalities'];
    return [{
      id,
      modalities: Array.isArray(modalities) ? modalities.filter((name) => typeof name === 'string') : undefined,
      state: toModelState(entry?.['state']),
    }];
  });
}

/** Never throws: not reaching the server is one of the answers. */
export async function fetchReadiness(signal: AbortSignal): Promise<Readiness> {
  try {
    const response = await fetch('/health/ready', { signal, cache: 'no-store', headers: pageHeaders() });
    const body = (await response.json()) as { ready?: unknown; models?: unknown } | null;
    const models = body?.models && typeof body.models === 'object' ? Object.entries(body.models) : [];
    return {
      reachable: true,
      ready: body?.ready === true,
      models: Object.fromEntries(models.map(([name, state]) => [name, toModelState(state)])),
    };
  } catch {
    return { reachable: false, ready: false, models: {} };
  }
}

/**
 * Asks for an answer and yields what happens until it is complete. Throws `RequestError` for everything that went wrong,
 * and the signal's own `AbortError` where the reader stopped it. Leaving the loop early ends the request.
 */
export async function* streamChat(model: string, messages: ApiMessage[], signal: AbortSignal): AsyncGenerator<StreamEvent> {
  const watch = new AbortController();
  const stop = () => watch.abort();
  signal.addEventListener('abort', stop);
  let silent = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      silent = true;
      watch.abort();
    }, SILENCE_LIMIT_MS);
  };
  /** Tells our own reasons for an aborted request from the network's. */
  const failed = (requestId: string, started: boolean): Error => {
    if (signal.aborted) return new DOMException('stopped', 'AbortError');
    if (silent) return new RequestError({ kind: 'silent', requestId });
    return started ? new RequestError({ kind: 'cut', requestId }) : networkError();
  };
  try {
    if (signal.aborted) stop();
    heard();
    let response: Response;
    try {
      response = await fetch('/v1/chat/completions', {
        method: 'POST',
        headers: pageHeaders({ 'Content-Type': 'application/json', Accept: 'text/event-stream' }),
        body: JSON.stringify({ model, messages, stream: true, stream_options: { include_usage: true } }),
        signal: watch.signal,
      });
    } catch {
      throw failed('', false);
    }
    if (!response.ok) throw await refusal(response);
    const requestId = response.headers.get('X-Request-Id') ?? '';
    yield { type: 'accepted', requestId };
    const position = Number(response.headers.get('X-Portico-Queue-Position') ?? NaN);
    if (Number.isInteger(position) && position > 0) yield { type: 'queued', position };
    if (!response.body || !/^text\/event-stream\b/i.test(response.headers.get('Content-Type') ?? '')) {
      throw new RequestError({ kind: 'garbled', status: response.status, requestId });
    }
    yield* readEvents(response.body, requestId, heard, () => failed(requestId, true));
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    watch.abort();
  }
}

async function* readEvents(
  body: ReadableStream<Uint8Array>,
  requestId: string,
  heard: () => void,
  failed: () => Error,
): AsyncGenerator<StreamEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  let started = false;
  let finished = false;
  for (;;) {
    let chunk: ReadableStreamReadResult<Uint8Array>;
    try {
      chunk = await reader.read();
    } catch {
      throw failed();
    }
    if (chunk.done) break;
    heard();
    let items;
    try {
      items = parser.push(decoder.decode(chunk.value, { stream: true }));
    } catch {
      throw new RequestError({ kind: 'garbled', requestId });
    }
    for (const item of items) {
      if (item.kind === 'comment') {
        const position = queuePosition(item.text);
        if (position !== undefined) yield { type: 'queued', position };
        continue;
      }
      if (item.data === '[DONE]') return;
      if (!started) yield { type: 'started' };
      started = true;
      for (const event of readChunk(item.data, requestId)) {
        if (event.type === 'finish') finished = true;
        yield event;
      }
    }
  }
  // Some servers leave `[DONE]` out; without a reason to finish either, the answer is not whole.
  if (!finished) throw failed();
}

/** Takes one `chat.completion.chunk` apart. Unknown fields are nothing to us; text that is no JSON is an error. */
export function readChunk(data: string, requestId: string): StreamEvent[] {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw new RequestError({ kind: 'garbled', requestId });
  }
  if (!value || typeof value !== 'object') throw new RequestError({ kind: 'garbled', requestId });
  const chunk = value as {
    error?: unknown;
    choices?: { delta?: Record<string, unknown> | null; finish_reason?: unknown }[];
    usage?: { prompt_tokens?: unknown; completion_tokens?: unknown } | null;
  };
  if (chunk.error) {
    const error = readErrorBody(chunk);
    throw new RequestError({ kind: classify(0, error), code: error.code, message: error.message, requestId });
  }
  const events: StreamEvent[] = [];
  const choice = Array.isArray(chunk.choices) ? chunk.choices[0] : undefined;
  const delta = choice?.delta ?? {};
  const thinking = delta['reasoning_content'] ?? delta['reasoning'];
  if (typeof thinking === 'string' && thinking !== '') events.push({ type: 'thinking', text: thinking });
  const text = delta['content'];
  if (typeof text === 'string' && text !== '') events.push({ type: 'text', text });
  if (typeof choice?.finish_reason === 'string') events.push({ type: 'finish', reason: choice.finish_reason });
  const { prompt_tokens: tokensIn, completion_tokens: tokensOut } = chunk.usage ?? {};
  if (typeof tokensIn === 'number' && typeof tokensOut === 'number') events.push({ type: 'usage', tokensIn, tokensOut });
  return events;
}
