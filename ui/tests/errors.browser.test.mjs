import assert from 'node:assert/strict';
import { answer, chunk, refuse, startStream } from './support/server.mjs';
import { ask, phase, suite, until } from './support/suite.mjs';

const { page: browserTest, server } = suite();

const card = (page) => page.locator('.failure');

/** [what the server does, the kind of card, words of it in English, words in Chinese] */
const refusals = [
  [403, { type: 'permission_error', code: null }, 'forbidden', 'You may not do this', '您没有权限'],
  [403, { type: 'permission_error', code: 'network_refused' }, 'networkRefused', 'Your network is not let in', '您所在的网络不被允许'],
  [403, { type: 'permission_error', code: 'https_required' }, 'httpsRequired', 'This server wants https', '此服务器要求使用 https'],
  [403, { type: 'permission_error', code: 'not_local' }, 'notLocal', 'Portico answers only this machine', 'Portico 只应答本机'],
  [404, { type: 'not_found_error', code: 'model_not_found' }, 'noModel', 'This model does not exist here', '这里没有该模型'],
  [400, { type: 'invalid_request_error', code: 'context_length_exceeded' }, 'contextFull', 'The conversation is too long for the model', '对话长度超出模型上限'],
  [400, { type: 'invalid_request_error', code: 'invalid_json' }, 'badRequest', 'The request was refused', '请求被拒绝'],
  [413, { type: 'invalid_request_error', code: 'body_too_large' }, 'tooLarge', 'The message is too large', '消息过大'],
  [429, { type: 'rate_limit_error', code: 'rate_limit_exceeded' }, 'tooOften', 'Too many requests', '请求过于频繁'],
  [429, { type: 'rate_limit_error', code: 'queue_full' }, 'queueFull', 'The queue is full', '队列已满'],
  [500, { type: 'server_error' }, 'internal', 'The server made a mistake', '服务器内部错误'],
  [502, { type: 'upstream_error', code: 'upstream_closed' }, 'upstream', 'The model did not answer', '模型没有响应'],
  [503, { type: 'overloaded_error', code: 'draining' }, 'busy', 'The model is not available right now', '模型暂时不可用'],
  [504, { type: 'timeout_error', code: 'upstream_timeout' }, 'timeout', 'It took too long', '等待超时'],
];

browserTest('every refusal is said in words, in both languages, and can be tried again', { timeout: 180_000 }, async ({ page }) => {
  for (const [status, error, kind, english, chinese] of refusals) {
    const name = `${status} ${error.code}`;
    server.chats = [];
    server.onChat = (_body, response) => refuse(response, status, { ...error, message: 'words of the server' });
    await ask(page, 'Hi');
    await card(page).waitFor();
    assert.equal(await card(page).getAttribute('data-kind'), kind, name);
    for (const words of [english, 'words of the server', 'req-test-1']) {
      assert.ok((await card(page).innerText()).includes(words), `${name}: ${words}`);
    }
    assert.equal(await page.locator('.step').count(), 0, `${name}: something keeps turning`);
    await page.getByRole('button', { name: '切换到中文' }).click();
    assert.ok((await card(page).innerText()).includes(chinese), `${name}: ${chinese}`);
    server.onChat = (_body, response) => answer(response, 'Works again.');
    await card(page).getByRole('button', { name: '重试' }).click();
    await page.getByText('Works again.').waitFor();
    assert.equal(await card(page).count(), 0, name);
    assert.deepEqual(server.chats[1].messages, [{ role: 'user', content: 'Hi' }], name);
    await page.getByRole('button', { name: 'Switch to English' }).click();
    await page.getByRole('button', { name: 'New chat' }).click();
  }
});

browserTest('Retry-After is counted down, and the button waits for it', async ({ page }) => {
  await page.clock.install();
  server.onChat = (_body, response) => refuse(response, 429, { type: 'rate_limit_error', message: 'slow down' }, { 'Retry-After': '30' });
  await ask(page, 'Hi');
  await page.clock.runFor(100);
  await page.getByRole('button', { name: 'Try again in 30 s' }).waitFor();
  await page.getByRole('button', { name: 'Try again in 30 s' }).dispatchEvent('click');
  await page.clock.runFor(12_000);
  await page.getByRole('button', { name: /Try again in 1[5-8] s/ }).waitFor();
  assert.equal(server.chats.length, 1, 'too early');
  assert.doesNotMatch(await page.locator('.failure [role=alert]').innerText(), /\d+ s/, 'an alert must not tick');
  await page.clock.runFor(19_000);
  server.onChat = (_body, response) => answer(response, 'Now.');
  await page.getByRole('button', { name: 'Try again', exact: true }).click();
  await until(() => server.chats.length === 2, 'the second attempt');
});

browserTest('an error event in the middle of an answer keeps what came and says what happened', async ({ page }) => {
  server.onChat = (_body, response) => {
    startStream(response);
    response.write(chunk('Half an ans'));
    response.end('data: {"error":{"message":"the model server stopped","type":"upstream_error","code":"upstream_closed","param":null}}\n\n');
  };
  await ask(page, 'Hi');
  await phase(page, 'failed');
  const text = await page.locator('.answer').innerText();
  assert.match(text, /Half an ans/);
  assert.match(text, /The model did not answer/);
  assert.match(text, /the model server stopped/);
  assert.match(text, /req-test-1/);
});

browserTest('a stream that goes on after an error is left', async ({ page }) => {
  let left = false;
  server.onChat = (_body, response) => {
    startStream(response);
    response.on('close', () => (left = true));
    response.write('data: {"error":{"message":"x","type":"upstream_error"}}\n\n');
  };
  await ask(page, 'Hi');
  await phase(page, 'failed');
  await until(() => left, 'the end of the request at the server');
});

browserTest('a connection that dies in the middle is said, with what came kept', async ({ page }) => {
  let die;
  server.onChat = (_body, response) => {
    startStream(response);
    response.write(chunk('Half an ans'));
    die = () => response.destroy();
  };
  await ask(page, 'Hi');
  await page.getByText('Half an ans').waitFor();
  die();
  await phase(page, 'failed');
  assert.equal(await card(page).getAttribute('data-kind'), 'cut');
  assert.match(await page.locator('.answer').innerText(), /Half an ans[\s\S]*The answer was cut off[\s\S]*req-test-1/);
});

browserTest('a stream that ends without saying so is not taken for a whole answer', async ({ page }) => {
  server.onChat = (_body, response) => {
    startStream(response);
    response.end(chunk('Half an ans'));
  };
  await ask(page, 'Hi');
  await phase(page, 'failed');
  assert.equal(await card(page).getAttribute('data-kind'), 'cut');
});

for (const [what, send] of [
  ['no JSON', (response) => (startStream(response), response.end('data: <html>\n\n'))],
  ['no event stream', (response) => (response.writeHead(200, { 'Content-Type': 'text/html' }), response.end('<html>'))],
]) {
  browserTest(`an answer that is ${what} is said`, async ({ page }) => {
    server.onChat = (_body, response) => send(response);
    await ask(page, 'Hi');
    await phase(page, 'failed');
    assert.equal(await card(page).getAttribute('data-kind'), 'garbled');
  });
}

browserTest('an error page of something in between is judged by its status', async ({ page }) => {
  server.onChat = (_body, response) => (response.writeHead(504, { 'Content-Type': 'text/html' }), response.end('<html><b>gateway</b>'));
  await ask(page, 'Hi');
  await phase(page, 'failed');
  assert.equal(await card(page).getAttribute('data-kind'), 'timeout');
  assert.doesNotMatch(await card(page).innerText(), /gateway/);
});

browserTest('a lost network and being offline are told apart, and the page notices the way back', async ({ page }) => {
  await page.getByText('Ready', { exact: true }).waitFor();
  server.onChat = (_body, response) => response.destroy();
  await ask(page, 'Hi');
  await phase(page, 'failed');
  assert.equal(await card(page).getAttribute('data-kind'), 'network');
  await page.context().setOffline(true);
  await card(page).getByRole('button', { name: 'Try again' }).click();
  await page.locator('.failure[data-kind=offline]').waitFor();
  await page.getByText('The server cannot be reached. What you wrote stays here').waitFor();
  await page.context().setOffline(false);
  await page.getByText('Ready', { exact: true }).waitFor();
  server.onChat = (_body, response) => answer(response, 'Back.');
  await card(page).getByRole('button', { name: 'Try again' }).click();
  await page.getByText('Back.').waitFor();
});

browserTest('silence beyond every deadline of the server ends in words', async ({ page }) => {
  await page.clock.install();
  server.onChat = (_body, response) => startStream(response);
  await ask(page, 'Hi');
  await until(() => server.chats.length === 1, 'the request');
  await page.clock.runFor(200);
  await page.getByText('The model is reading').waitFor();
  await page.clock.fastForward(331_000);
  await page.locator('.failure[data-kind=silent]').waitFor();
});

browserTest('a list of models that is refused is said in words', async ({ page }) => {
  server.models = (response) => refuse(response, 403, { type: 'permission_error', message: 'no' });
  await page.reload();
  await page.locator('.notice', { hasText: 'You may not do this' }).waitFor();
  server.models = [];
  await page.getByText('The server offers no model to you.').waitFor();
});
