import { streamChat, type ApiMessage, type Part, type StreamEvent } from '../lib/api.ts';
import { RequestError, type Failure, type FailureKind } from '../lib/failure.ts';
import type { Picture } from '../lib/images.ts';
import { load, save, tabKeys } from '../lib/storage.ts';

/** Session storage holds about 5 MB; pictures beyond this share of it are not kept over a reload. */
const KEPT_PICTURE_BYTES = 200_000;

export interface Question {
  readonly role: 'user';
  readonly id: number;
  readonly text: string;
  readonly pictures: Picture[];
}

export type AnswerPhase = 'sending' | 'queued' | 'reading' | 'writing' | 'done' | 'stopped' | 'failed';

/** One answer of the model, while it is made and afterwards. */
export class Answer {
  readonly role = 'assistant';
  readonly id: number;
  readonly model: string;
  readonly startedAt = performance.now();
  text = $state('');
  thinking = $state('');
  phase = $state<AnswerPhase>('sending');
  /** Place in the server's queue, 0 where it is not known. */
  position = $state(0);
  failure = $state.raw<Failure | undefined>(undefined);
  finishReason = $state('');
  firstTokenMs = $state<number | undefined>(undefined);
  tokensIn = $state<number | undefined>(undefined);
  tokensOut = $state<number | undefined>(undefined);
  tokensPerSecond = $state<number | undefined>(undefined);
  requestId = '';

  constructor(id: number, model: string) {
    this.id = id;
    this.model = model;
  }

  get live(): boolean {
    return this.phase === 'sending' || this.phase === 'queued' || this.phase === 'reading' || this.phase === 'writing';
  }
}

export type Message = Question | Answer;

interface StoredQuestion {
  role: 'user';
  text: string;
  pictures: Picture[];
}
interface StoredAnswer {
  role: 'assistant';
  text: string;
  thinking: string;
  model: string;
  finishReason: string;
  firstTokenMs: number | undefined;
  tokensIn: number | undefined;
  tokensOut: number | undefined;
  tokensPerSecond: number | undefined;
}
type Stored = StoredQuestion | StoredAnswer;

/** What is told the page about an answer that ended. */
export type Ending = 'done' | 'stopped' | 'failed';

export class Conversation {
  messages = $state.raw<Message[]>([]);
  readonly onEnd: (ending: Ending) => void;
  #nextId = 1;
  #running: AbortController | undefined;

  constructor(onEnd: (ending: Ending) => void) {
    this.onEnd = onEnd;
    this.#restore();
  }

  readonly live: Answer | undefined = $derived.by(() => {
    const last = this.messages.at(-1);
    return last?.role === 'assistant' && last.live ? last : undefined;
  });

  /** Why the last answer failed, if it did. */
  get refused(): FailureKind | undefined {
    const last = this.messages.at(-1);
    return last?.role === 'assistant' ? last.failure?.kind : undefined;
  }

  /** Whether the last question has no answer, not even a failed one. */
  get unanswered(): boolean {
    return this.messages.at(-1)?.role === 'user';
  }

  /** `seeing`: whether the model takes pictures; others are sent the text alone. */
  ask(text: string, pictures: Picture[], model: string, seeing: boolean): void {
    if (this.live) return;
    this.messages = [...this.messages, { role: 'user', id: this.#nextId++, text, pictures }];
    void this.#answer(model, seeing);
  }

  /** Replaces the last answer by a new one to the same question. */
  regenerate(model: string, seeing: boolean): void {
    if (this.live) return;
    if (this.messages.at(-1)?.role === 'assistant') this.messages = this.messages.slice(0, -1);
    if (this.messages.at(-1)?.role === 'user') void this.#answer(model, seeing);
  }

  stop(): void {
    this.#running?.abort();
  }

  clear(): void {
    this.stop();
    this.#running = undefined;
    this.messages = [];
    this.#store();
  }

  async #answer(model: string, seeing: boolean): Promise<void> {
    const request = toApi(this.messages, seeing);
    const answer = new Answer(this.#nextId++, model);
    this.messages = [...this.messages, answer];
    this.#store();
    const running = new AbortController();
    this.#running = running;
    const writer = new FrameWriter(answer);
    let ending: Ending = 'done';
    try {
      for await (const event of streamChat(model, request, running.signal)) take(answer, writer, event);
    } catch (error) {
      ending = running.signal.aborted ? 'stopped' : 'failed';
      // Anything but our own error is a fault of this page; it must be seen too, and never end in a spinner.
      if (ending === 'failed') {
        answer.failure = (error instanceof RequestError ? error : new RequestError({ kind: 'garbled', message: String(error) })).failure;
      }
    }
    writer.finish();
    answer.phase = ending;
    if (this.#running !== running) return; // the conversation was cleared meanwhile
    this.#running = undefined;
    this.#store();
    this.onEnd(ending);
  }

  #store(): void {
    if (this.messages.length === 0) return save('session', tabKeys.conversation, undefined);
    let left = KEPT_PICTURE_BYTES;
    const keep = (picture: Picture): Picture => {
      left -= picture.url.length;
      return left >= 0 ? picture : { ...picture, url: '' };
    };
    // The newest pictures are kept first: they are what is being talked about.
    const stored: Stored[] = [];
    for (const message of [...this.messages].reverse()) {
      if (message.role === 'user') {
        stored.unshift({ role: 'user', text: message.text, pictures: message.pictures.map(keep) });
      } else if (message.text || message.thinking) {
        const { role, text, thinking, model, finishReason, firstTokenMs, tokensIn, tokensOut, tokensPerSecond } = message;
        stored.unshift({ role, text, thinking, model, finishReason, firstTokenMs, tokensIn, tokensOut, tokensPerSecond });
      }
    }
    save('session', tabKeys.conversation, JSON.stringify(stored));
  }

  #restore(): void {
    try {
      const stored = JSON.parse(load('session', tabKeys.conversation) ?? '[]') as Stored[];
      this.messages = stored.map((entry) => {
        if (entry.role === 'user') return { role: 'user', id: this.#nextId++, text: entry.text, pictures: entry.pictures };
        const { role: _, model, ...rest } = entry;
        return Object.assign(new Answer(this.#nextId++, model), rest, { phase: 'done' as const });
      });
    } catch {
      this.messages = []; // written by another version of the page
    }
  }
}

function take(answer: Answer, writer: FrameWriter, event: StreamEvent): void {
  switch (event.type) {
    case 'accepted':
      answer.requestId = event.requestId;
      answer.phase = 'reading';
      break;
    case 'queued':
      answer.position = event.position;
      answer.phase = 'queued';
      break;
    case 'started':
      answer.phase = 'reading';
      break;
    case 'text':
    case 'thinking':
      writer.write(event.type, event.text);
      break;
    case 'finish':
      answer.finishReason = event.reason;
      break;
    case 'usage':
      answer.tokensIn = event.tokensIn;
      answer.tokensOut = event.tokensOut;
      break;
  }
}

/** Collects what arrives and shows it once per frame, however many tokens that is. */
class FrameWriter {
  readonly #answer: Answer;
  #text = '';
  #thinking = '';
  #firstAt: number | undefined;
  #lastAt = 0;
  #frame = 0;

  constructor(answer: Answer) {
    this.#answer = answer;
  }

  write(kind: 'text' | 'thinking', text: string): void {
    this.#lastAt = performance.now();
    this.#firstAt ??= this.#lastAt;
    if (kind === 'text') this.#text += text;
    else this.#thinking += text;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#show());
  }

  #show(): void {
    this.#frame = 0;
    this.#answer.text = this.#text;
    this.#answer.thinking = this.#thinking;
    if (this.#firstAt === undefined) return;
    this.#answer.phase = 'writing';
    this.#answer.firstTokenMs = this.#firstAt - this.#answer.startedAt;
  }

  /** Shows the rest at once, also in a hidden page, where no frame comes. */
  finish(): void {
    if (this.#frame !== 0) cancelAnimationFrame(this.#frame);
    this.#show();
    const tokens = this.#answer.tokensOut;
    const seconds = (this.#lastAt - (this.#firstAt ?? 0)) / 1000;
    // The first token's time is the prompt's; the speed is that of the others.
    // Below a tenth of a second it would be the network's way of cutting pieces that is measured.
    if (tokens !== undefined && tokens > 1 && seconds >= 0.1) this.#answer.tokensPerSecond = (tokens - 1) / seconds;
  }
}

/** The conversation as the API wants it. Failed and empty answers are left out, together with nothing else. */
export function toApi(messages: readonly Message[], seeing: boolean): ApiMessage[] {
  return messages.flatMap((message): ApiMessage[] => {
    if (message.role === 'assistant') return message.text ? [{ role: 'assistant', content: message.text }] : [];
    const pictures = seeing ? message.pictures.filter(({ url }) => url !== '') : [];
    if (pictures.length === 0) return [{ role: 'user', content: message.text || '[picture]' }];
    const parts: Part[] = pictures.map(({ url }) => ({ type: 'image_url', image_url: { url } }));
    if (message.text) parts.push({ type: 'text', text: message.text });
    return [{ role: 'user', content: parts }];
  });
}
