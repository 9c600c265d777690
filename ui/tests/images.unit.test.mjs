import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, deflateSync } from 'node:zlib';
import { source } from './support/source.mjs';

const { imageTokens, fitted, strippedPng } = await source('lib/images.ts');

test('an image costs what Qwen3-VL charges', () => {
  // The published table of sizes.
  for (const [width, height, tokens] of [
    [4032, 3024, 11_844], [2048, 1536, 3_072], [1536, 1152, 1_728], [1280, 960, 1_200],
    [1920, 1080, 2_040], [2560, 1440, 3_600], [10, 10, 64], [20_000, 20_000, 16_384],
  ]) {
    assert.equal(imageTokens({ width, height }), tokens, `${width}x${height}`);
  }
});

test('images shrink to the longest side and never grow', () => {
  assert.deepEqual(fitted({ width: 4032, height: 3024 }), { width: 1536, height: 1152 });
  assert.deepEqual(fitted({ width: 1000, height: 3000 }), { width: 512, height: 1536 });
  assert.deepEqual(fitted({ width: 1536, height: 10 }), { width: 1536, height: 10 });
  assert.deepEqual(fitted({ width: 90_000, height: 2 }), { width: 1536, height: 1 });
});

const chunk = (type, data) => {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(8 + body.length);
  out.writeUInt32BE(data.length);
  body.copy(out, 4);
  out.writeUInt32BE((crc32 ? crc32(body) : 0) >>> 0, 4 + body.length);
  return out;
};
const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const png = (...extra) =>
  Buffer.concat([
    signature,
    chunk('IHDR', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0])),
    ...extra,
    chunk('IDAT', deflateSync(Buffer.from([0, 255, 0, 0]))),
    chunk('IEND', Buffer.alloc(0)),
  ]);

test('a PNG keeps its picture and loses its secrets', () => {
  const secret = chunk('tEXt', Buffer.from('Location\0at home'));
  assert.deepEqual(Buffer.from(strippedPng(png(secret, chunk('tIME', Buffer.alloc(7))))), png());
  assert.deepEqual(Buffer.from(strippedPng(Buffer.concat([png(), Buffer.from('hidden behind the end')]))), png());
});

test('what is no plain PNG is drawn anew', () => {
  assert.equal(strippedPng(png(chunk('eXIf', Buffer.alloc(4)))), undefined);
  assert.equal(strippedPng(png().subarray(0, 60)), undefined, 'cut');
  assert.equal(strippedPng(Buffer.from('GIF89a')), undefined);
  assert.equal(strippedPng(Buffer.concat([signature, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x49, 0x44, 0x41, 0x54, 0, 0, 0, 0])])), undefined);
});
