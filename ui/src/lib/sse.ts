/** What a server-sent event stream is made of, as far as a reader of chat answers cares. */
export type SseItem = { kind: 'data'; data: string; event: string } | { kind: 'comment'; text: string };

/** The longest line or event taken, in UTF-16 units: a stream that never ends a line must not eat the memory. */
export const MAX_EVENT_LENGTH = 8 * 1024 * 1024;

/**
 * A parser of `text/event-stream` (WHATWG HTML 9.2.6) for text that arrives cut anywhere, also inside CR LF.
 * Comments are handed out too: Portico tells the place in its queue in them. `id` and `retry` are ignored.
 */
export class SseParser {
  #line = '';
  #data: string[] = [];
  #dataLength = 0;
  #event = '';
  #afterCarriageReturn = false;
  #started = false;

  /** Takes the next piece of text and returns what it completed. */
  push(text: string): SseItem[] {
    const items: SseItem[] = [];
    if (!this.#started && text !== '') {
      this.#started = true;
      if (text.startsWith('\uFEFF')) text = text.slice(1);
    }
    if (this.#afterCarriageReturn && text !== '') {
      this.#afterCarriageReturn = false;
      if (text.startsWith('\n')) text = text.slice(1);
    }
    let start = 0;
    for (const { 0: ending, index } of text.matchAll(/\r\n|\r|\n/g)) {
      this.#endLine(this.#line + text.slice(start, index), items);
      this.#line = '';
      start = index + ending.length;
      this.#afterCarriageReturn = ending === '\r' && start === text.length;
    }
    this.#line += text.slice(start);
    if (this.#line.length + this.#dataLength > MAX_EVENT_LENGTH) throw new RangeError('an event of the stream is too long');
    return items;
  }

  #endLine(line: string, items: SseItem[]): void {
    if (line === '') {
      if (this.#data.length > 0) items.push({ kind: 'data', data: this.#data.join('\n'), event: this.#event || 'message' });
      this.#data = [];
      this.#dataLength = 0;
      this.#event = '';
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) {
      items.push({ kind: 'comment', text: line.slice(1).trim() });
      return;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      this.#data.push(value);
      this.#dataLength += value.length;
    } else if (field === 'event') {
      this.#event = value;
    }
  }
}

/** The place in the queue that a keep-alive comment such as `queued position=3` tells, or undefined. */
export function queuePosition(comment: string): number | undefined {
  const position = /\bposition\s*[=:]\s*(\d{1,6})\b/.exec(comment)?.[1];
  return position === undefined ? undefined : Number(position);
}
