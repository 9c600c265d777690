import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source } from './support/source.mjs';

const { classify, readErrorBody, retryAfterSeconds } = await source('lib/failure.ts');
const { toModelState } = await source('lib/api.ts');

test('code decides before type, and type before status', () => {
  const kind = (status, error = {}) => classify(status, readErrorBody({ error }));
  const table = [
    [401, {}, 'signedOut'], [403, {}, 'forbidden'], [404, {}, 'notFound'], [413, {}, 'tooLarge'], [429, {}, 'tooOften'],
    [500, {}, 'internal'], [502, {}, 'upstream'], [503, {}, 'busy'], [504, {}, 'timeout'], [418, {}, 'badRequest'],
    [403, { type: 'permission_error', code: 'network_refused' }, 'networkRefused'],
    [403, { type: 'permission_error', code: 'https_required' }, 'httpsRequired'],
    [403, { type: 'permission_error', code: 'not_local' }, 'notLocal'],
    [404, { type: 'not_found_error', code: 'model_not_found' }, 'noModel'],
    [429, { type: 'rate_limit_error', code: 'queue_full' }, 'queueFull'],
    [503, { type: 'overloaded_error', code: 'queue_full' }, 'queueFull'],
    [503, { type: 'overloaded_error', code: 'queue_timeout' }, 'timeout'],
    [503, { type: 'overloaded_error', code: 'model_loading' }, 'loading'],
    [429, { type: 'rate_limit_error', code: 'quota_exceeded' }, 'quotaUsed'],
    [400, { type: 'invalid_request_error', code: 'context_length_exceeded' }, 'contextFull'],
    [400, { type: 'exceed_context_size_error', code: 400 }, 'contextFull'],
    [400, { type: 'invalid_request_error', code: 'too_many_images' }, 'tooManyImages'],
    [400, { type: 'invalid_request_error', code: 'image_too_large' }, 'badImage'],
    [413, { type: 'invalid_request_error', code: null }, 'tooLarge'],
    [500, { message: 'image input is not supported - hint: ...', type: 'server_error', code: 500 }, 'noVision'],
    [0, { type: 'timeout_error' }, 'timeout'], [0, { type: 'overloaded_error' }, 'busy'], [0, {}, 'internal'],
  ];
  for (const [status, error, expected] of table) assert.equal(kind(status, error), expected, JSON.stringify([status, error]));
});

test('any body can be read', () => {
  for (const body of [undefined, null, 'text', 5, [], {}, { error: null }, { error: 5 }, { error: { message: {} } }]) {
    assert.deepEqual(readErrorBody(body), { message: '', type: '', code: '', param: '' });
  }
  assert.equal(readErrorBody({ error: 'plain words' }).message, 'plain words');
});

test('Retry-After is seconds or a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(retryAfterSeconds('7', now), 7);
  assert.equal(retryAfterSeconds('Thu, 01 Jan 2026 00:00:30 GMT', now), 30);
  assert.equal(retryAfterSeconds('Wed, 31 Dec 2025 00:00:30 GMT', now), 0);
  for (const nothing of [null, '', 'soon']) assert.equal(retryAfterSeconds(nothing, now), undefined);
});

test('states of models are known by their words', () => {
  for (const [word, state] of [['ready', 'ready'], ['starting', 'loading'], ['LOADING', 'loading'], ['down', 'down'], ['stopped', 'stopped'], ['?', 'unknown'], [5, 'unknown']]) {
    assert.equal(toModelState(word), state);
  }
});
