import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source } from './support/source.mjs';

const { SseParser, queuePosition, MAX_EVENT_LENGTH } = await source('lib/sse.ts');
const { readChunk } = await source('lib/api.ts');

const parse = (...pieces) => {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
};
const data = (items) => items.filter(({ kind }) => kind === 'data').map((item) => item.data);

test('events end at an empty line and keep several data lines apart', () => {
  assert.deepEqual(data(parse('data: one\n\ndata: two\ndata: three\n\n')), ['one', 'two\nthree']);
  assert.deepEqual(data(parse('data:tight\n\n')), ['tight'], 'the space after the colon is optional');
  assert.deepEqual(data(parse('data:  two spaces\n\n')), [' two spaces'], 'only one space belongs to the field');
  assert.deepEqual(data(parse('data\n\n')), [''], 'a field without a colon is empty');
  assert.deepEqual(data(parse('data: never ended\n')), [], 'an event without its empty line is not one');
});

test('any cut gives the same events, for every kind of line ending', () => {
  for (const ending of ['\n', '\r\n', '\r']) {
    const text = ['\uFEFF: hello', 'event: x', 'data: {"a":"ä 你好"}', '', 'id: 3', 'retry: 5', 'data: [DONE]', '', ''].join(ending);
    const whole = parse(text);
    assert.equal(whole.length, 3, `with ${JSON.stringify(ending)}`);
    assert.deepEqual(whole[1], { kind: 'data', data: '{"a":"ä 你好"}', event: 'x' });
    assert.deepEqual(whole[2], { kind: 'data', data: '[DONE]', event: 'message' });
    for (let size = 1; size < 9; size += 1) {
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));
      assert.deepEqual(parse(...pieces), whole, `cut every ${size} with ${JSON.stringify(ending)}`);
    }
  }
});

test('comments tell the place in the queue', () => {
  const [comment] = parse(': queued position=3\n');
  assert.deepEqual(comment, { kind: 'comment', text: 'queued position=3' });
  assert.equal(queuePosition(comment.text), 3);
  assert.equal(queuePosition('queue position: 12'), 12);
  assert.equal(queuePosition('keep-alive'), undefined);
});

test('a line or an event without end is refused', () => {
  assert.throws(() => parse('data: ' + 'x'.repeat(MAX_EVENT_LENGTH + 1)), RangeError);
  const parser = new SseParser();
  const line = `data: ${'x'.repeat(1024 * 1024)}\n`;
  assert.throws(() => {
    for (let i = 0; i < 20; i += 1) parser.push(line);
  }, RangeError);
});

test('chunks become events of the answer', () => {
  const read = (value) => readChunk(JSON.stringify(value), 'req-1');
  assert.deepEqual(read({ choices: [{ delta: { role: 'assistant', content: null } }] }), []);
  assert.deepEqual(read({ choices: [{ delta: { content: 'Hi' } }] }), [{ type: 'text', text: 'Hi' }]);
  assert.deepEqual(read({ choices: [{ delta: { reasoning_content: 'Hm' } }] }), [{ type: 'thinking', text: 'Hm' }]);
  assert.deepEqual(read({ choices: [{ delta: {}, finish_reason: 'length' }] }), [{ type: 'finish', reason: 'length' }]);
  assert.deepEqual(read({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 9 } }), [
    { type: 'usage', tokensIn: 7, tokensOut: 9 },
  ]);
});

test('an error inside the stream, and what is no JSON, end it', () => {
  const failure = (text) => {
    try {
      readChunk(text, 'req-1');
    } catch (error) {
      return error.failure;
    }
    return undefined;
  };
  const error = failure('{"error":{"message":"gone","type":"upstream_error","code":"upstream_closed"}}');
  assert.equal(error.kind, 'upstream');
  assert.equal(error.message, 'gone');
  assert.equal(error.requestId, 'req-1');
  assert.equal(failure('<html>').kind, 'garbled');
  assert.equal(failure('null').kind, 'garbled');
});
