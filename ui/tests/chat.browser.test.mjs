import assert from 'node:assert/strict';
import { json } from './support/answers.mjs';
import { answer, chunk, done, startStream, textModel, seeingModel, usage } from './support/server.mjs';
import { answerText, ask, heldList, phase, suite, until } from './support/suite.mjs';

const { page: browserTest } = suite();

/** Lets a test hold the answer stream in its hands. */
function held(server, headers) {
  const stream = { closed: false };
  stream.opened = new Promise((resolve) => {
    server.onChat = (_body, response) => {
      startStream(response, headers);
      response.on('close', () => (stream.closed = !response.writableEnded));
      stream.write = (text) => response.write(text);
      stream.end = (text = '') => response.end(text);
      resolve(undefined);
    };
  });
  return stream;
}

browserTest('tokens appear one by one, and the end is announced once', async ({ page, server }) => {
  const stream = held(server);
  await page.locator('.state.ready').waitFor();
  await page.evaluate(() => {
    globalThis.announced = [];
    const status = document.querySelector('body > #app > .sr-only[role=status], .sr-only[role=status]');
    new MutationObserver(() => status.textContent && globalThis.announced.push(status.textContent)).observe(status, {
      childList: true, characterData: true, subtree: true,
    });
  });
  await ask(page, 'Count');
  await stream.opened;
  let so = '';
  for (const word of ['One', ' two', ' three']) {
    stream.write(chunk(word));
    so += word;
    // Each token is on the screen before the next one is even sent.
    await page.waitForFunction((text) => document.querySelector('.answer .markdown')?.textContent.trim() === text, so);
    await page.waitForTimeout(60); // so that there is a speed to be measured
  }
  assert.equal(await page.locator('.answer').getAttribute('aria-busy'), 'true');
  // A log is a live region unless told otherwise: every token would be read out.
  assert.equal(await page.getByRole('log').getAttribute('aria-live'), 'off');
  assert.deepEqual(await page.evaluate(() => globalThis.announced), []);
  stream.end(chunk(undefined, { finish_reason: 'stop' }) + usage(1234, 3) + done);
  await phase(page, 'done');
  assert.deepEqual(await page.evaluate(() => globalThis.announced), ['The answer is complete.']);
  const metrics = await page.locator('.metrics').innerText();
  assert.match(metrics, /first token \d+\.\d\d s/);
  assert.match(metrics, /tokens\/s/);
  assert.match(metrics, /1,234 in, 3 out/);
  assert.deepEqual(server.chats[0], {
    model: 'seer-1', messages: [{ role: 'user', content: 'Count' }], stream: true, stream_options: { include_usage: true },
  });
});

browserTest('an event cut in the middle, also of a letter, is put together', async ({ page, server }) => {
  const stream = held(server);
  await ask(page, 'Hi');
  await stream.opened;
  const bytes = Buffer.from(chunk('你好，世界').replaceAll('\n', '\r\n'));
  for (const byte of bytes) stream.write(Buffer.from([byte]));
  stream.end(chunk(undefined, { finish_reason: 'stop' }) + done);
  await phase(page, 'done');
  assert.equal((await answerText(page).innerText()).trim(), '你好，世界');
});

for (const [way, act] of [
  ['Esc', (page) => page.keyboard.press('Escape')],
  ['the Stop button', (page) => page.getByRole('button', { name: 'Stop' }).click()],
]) {
  browserTest(`${way} stops the answer at the server too`, async ({ page, server }) => {
    const stream = held(server);
    await ask(page, 'Go on for ever');
    await stream.opened;
    stream.write(chunk('Once upon'));
    await page.getByText('Once upon').waitFor();
    await act(page);
    await phase(page, 'stopped');
    await until(() => stream.closed, 'the end of the request at the server');
    assert.match(await page.locator('.answer').innerText(), /Once upon[\s\S]*Stopped\./);
    assert.equal(await page.locator('.failure').count(), 0);
    assert.ok(await page.getByRole('button', { name: 'Regenerate' }).isVisible());
  });
}

browserTest('stopping works before the first byte of an answer', async ({ page, server }) => {
  let gone = false;
  server.onChat = (_body, response) => response.on('close', () => (gone = true));
  await ask(page, 'Hello?');
  await page.getByText('Sending…').waitFor();
  await until(() => server.chats.length === 1, 'the request');
  await page.keyboard.press('Escape');
  await phase(page, 'stopped');
  await until(() => gone, 'the end of the request at the server');
});

browserTest('Enter sends, Shift+Enter does not, and an input method keeps its Enter', async ({ page, server }) => {
  await page.fill('#message', 'first');
  await page.press('#message', 'Shift+Enter');
  await page.locator('#message').pressSequentially('second');
  assert.equal(await page.inputValue('#message'), 'first\nsecond');
  // The two ways in which browsers say that Enter belongs to an input method.
  for (const init of [{ isComposing: true }, { keyCode: 229 }]) {
    const taken = await page.evaluate((extra) => {
      const event = new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, ...extra });
      document.querySelector('#message').dispatchEvent(event);
      return event.defaultPrevented;
    }, init);
    assert.equal(taken, false, JSON.stringify(init));
  }
  assert.equal(server.chats.length, 0);
  await page.press('#message', 'Enter');
  await phase(page, 'done');
  assert.equal(server.chats[0].messages[0].content, 'first\nsecond');
  assert.equal(await page.inputValue('#message'), '');
});

browserTest('a real input method composing Chinese does not send', async ({ page, server }) => {
  await page.focus('#message');
  const session = await page.context().newCDPSession(page);
  await session.send('Input.imeSetComposition', { text: 'nihao', selectionStart: 5, selectionEnd: 5 });
  await session.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 229 });
  await session.send('Input.insertText', { text: '你好' });
  assert.equal(await page.inputValue('#message'), '你好');
  assert.equal(server.chats.length, 0);
});

browserTest('the conversation is sent along, regenerate replaces the last answer', async ({ page, server }) => {
  server.onChat = (body, response) => answer(response, `Answer ${server.chats.length}`);
  await ask(page, 'One');
  await page.getByText('Answer 1').waitFor();
  await ask(page, 'Two');
  await page.getByText('Answer 2').waitFor();
  await page.getByRole('button', { name: 'Regenerate' }).click();
  await page.getByText('Answer 3').waitFor();
  assert.equal(await page.getByText('Answer 2').count(), 0);
  const expected = [
    { role: 'user', content: 'One' }, { role: 'assistant', content: 'Answer 1' }, { role: 'user', content: 'Two' },
  ];
  assert.deepEqual(server.chats[1].messages, expected);
  assert.deepEqual(server.chats[2].messages, expected);
});

browserTest('a reload keeps the conversation and the draft; a new chat forgets the one and keeps no answer', async ({ page, server }) => {
  server.onChat = (_body, response) => answer(response, 'Kept **answer**');
  await ask(page, 'Kept question');
  await phase(page, 'done');
  await page.fill('#message', 'half a thought');
  await page.reload();
  await page.getByText('Kept question').waitFor();
  assert.equal(await page.locator('.markdown strong').innerText(), 'answer');
  assert.match(await page.locator('.metrics').innerText(), /12 in, 34 out/);
  assert.equal(await page.inputValue('#message'), 'half a thought');
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.locator('.welcome').waitFor();
  await page.reload();
  await page.locator('.welcome').waitFor();
});

browserTest('works without storage, clipboard API and randomUUID, as over plain http', async ({ page, server }) => {
  await page.addInitScript(() => {
    for (const name of ['localStorage', 'sessionStorage']) {
      Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
    }
    Object.defineProperty(Navigator.prototype, 'clipboard', { get: () => undefined });
    Object.defineProperty(Crypto.prototype, 'randomUUID', { value: undefined });
  });
  await page.reload();
  server.onChat = (_body, response) => answer(response, 'Text to copy');
  await ask(page, 'Hi');
  await phase(page, 'done');
  await page.evaluate(() => document.addEventListener('copy', () => (globalThis.copied = document.getSelection().toString() || document.activeElement.value)));
  await page.getByRole('button', { name: 'Copy' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => globalThis.copied), 'Text to copy');
});

browserTest('copies the answer as it was written, and code without its fence', { permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page, server }) => {
  const text = 'Use **this**:\n\n```sh\necho "<hi>"\n```\n';
  server.onChat = (_body, response) => answer(response, text);
  await ask(page, 'Hi');
  await phase(page, 'done');
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  await page.locator('.footer').getByRole('button', { name: 'Copy' }).click();
  await until(async () => (await clipboard()) === text, 'copying the answer');
  await page.locator('.copy-code').click();
  await until(async () => (await clipboard()) === 'echo "<hi>"', 'copying the code');
});

browserTest('copies every space and line of a text where there is no clipboard API', { permissions: ['clipboard-read', 'clipboard-write'] }, async ({ page, server }) => {
  const text = 'a\n\n    two  spaces\n\tand a tab\n';
  server.onChat = (_body, response) => answer(response, text);
  await page.evaluate(() => (navigator.clipboard.writeText = undefined));
  await ask(page, 'Hi');
  await phase(page, 'done');
  await page.locator('.footer').getByRole('button', { name: 'Copy' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
});

browserTest('stays at the end only for a reader who is there', { viewport: { width: 900, height: 500 } }, async ({ page, server }) => {
  const stream = held(server);
  await ask(page, 'Long');
  await stream.opened;
  const left = () => page.locator('[role=log]').evaluate((node) => node.scrollHeight - node.clientHeight - node.scrollTop);
  const grow = async (mark) => {
    for (let i = 0; i < 12; i += 1) stream.write(chunk(`Paragraph ${i} of ${mark}.\n\n`));
    await page.getByText(`Paragraph 11 of ${mark}.`).waitFor({ state: 'attached' });
  };
  await grow('first');
  await until(async () => (await left()) < 2, 'following the end');
  await page.locator('[role=log]').hover();
  await page.mouse.wheel(0, -200);
  await page.getByRole('button', { name: 'Jump to latest' }).waitFor();
  const top = await page.locator('[role=log]').evaluate((node) => node.scrollTop);
  await grow('second');
  assert.equal(await page.locator('[role=log]').evaluate((node) => node.scrollTop), top, 'the text moved under the reader');
  await page.getByRole('button', { name: 'Jump to latest' }).click();
  await until(async () => (await left()) < 2, 'jumping to the end');
  await grow('third');
  await until(async () => (await left()) < 2, 'following again');
  stream.end(chunk(undefined, { finish_reason: 'stop' }) + done);
  await phase(page, 'done');
});

browserTest('renders once a frame, and touches only the open block', async ({ page, server }) => {
  const stream = held(server);
  await ask(page, 'Much');
  await stream.opened;
  stream.write(chunk('First paragraph.\n\nSecond.\n\nThird.\n\n'));
  await page.getByText('Third.').waitFor();
  await page.evaluate(() => {
    globalThis.touched = { frozen: 0, frames: 0, renders: 0 };
    const first = document.querySelector('.markdown > div');
    new MutationObserver(() => (globalThis.touched.frozen += 1)).observe(first, { childList: true, subtree: true, characterData: true });
    new MutationObserver(() => (globalThis.touched.renders += 1)).observe(document.querySelector('.markdown'), { childList: true, subtree: true });
    const frame = () => {
      globalThis.touched.frames += 1;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  for (let i = 0; i < 2_000; i += 1) stream.write(chunk(`word${i} `));
  await page.getByText('word1999').waitFor();
  const { frozen, frames, renders } = await page.evaluate(() => globalThis.touched);
  assert.equal(frozen, 0, 'a closed block was touched');
  assert.ok(renders > 0 && renders <= frames + 1, `${renders} renders in ${frames} frames`);
  stream.end(chunk(undefined, { finish_reason: 'stop' }) + done);
  await phase(page, 'done');
});

browserTest('the place in the queue is shown, from the header and from comments', async ({ page, server }) => {
  const stream = held(server, { 'X-Portico-Queue-Position': '5' });
  await ask(page, 'Hi');
  await page.getByText('Waiting, position 5').waitFor();
  stream.write(': queued position=2\n\n');
  await page.getByText('Waiting, position 2').waitFor();
  stream.end(chunk('Now') + chunk(undefined, { finish_reason: 'stop' }) + done);
  await phase(page, 'done');
  assert.equal((await answerText(page).innerText()).trim(), 'Now');
});

browserTest('says that the model is loading, takes the message, and notices when it is ready', {
  arrange(server) {
    server.readiness = { ready: false, models: { 'seer-1': 'loading' } };
  },
}, async ({ page, server }) => {
  await page.getByText('The model is loading; your message will be sent when it is ready.').waitFor();
  await page.getByText('Loading', { exact: true }).waitFor();
  let answerNow;
  server.onChat = (_body, response) => (answerNow = () => answer(response, 'Here I am.'));
  await ask(page, 'Are you there?');
  await page.getByText('Waiting until the model is loaded…').waitFor();
  server.readiness = { ready: true, models: { 'seer-1': 'ready' } };
  await page.getByText('Ready', { exact: true }).waitFor();
  await page.getByText('The model is reading').or(page.getByText('Sending…')).waitFor();
  assert.equal(await page.locator('.notice').count(), 0);
  answerNow();
  await page.getByText('Here I am.').waitFor();
});

browserTest('says which models do not answer or are stopped', async ({ page, server }) => {
  server.models = [seeingModel, textModel];
  server.readiness = { ready: false, models: { 'seer-1': 'down', 'writer-1': 'stopped' } };
  await page.reload();
  await page.getByText('Not answering').waitFor();
  await page.getByText('The model does not answer right now.').waitFor();
  await page.getByRole('combobox', { name: 'Model' }).selectOption('writer-1');
  await page.getByText('The model is stopped.').waitFor();
});

browserTest('remembers the chosen model', async ({ page, server }) => {
  server.models = [textModel, seeingModel];
  server.readiness = { ready: true, models: {} };
  await page.reload();
  await page.getByRole('combobox', { name: 'Model' }).selectOption('seer-1');
  await page.reload();
  assert.equal(await page.getByRole('combobox', { name: 'Model' }).inputValue(), 'seer-1');
  await ask(page, 'Hi');
  await phase(page, 'done');
  assert.equal(server.chats[0].model, 'seer-1');
});

browserTest('says plainly that a stand-in is one, until dismissed', async ({ page, server }) => {
  server.models = [{ ...textModel, id: 'smollm2-135m' }, { ...seeingModel, id: 'colour' }];
  await page.reload();
  await page.getByText('SmolLM2-135M, a small stand-in: it writes fluently but is often wrong.').waitFor();
  await page.getByRole('button', { name: 'Dismiss' }).click();
  assert.equal(await page.getByText('small stand-in').count(), 0);
  await page.getByRole('combobox', { name: 'Model' }).selectOption('colour');
  await page.getByText('Colour model: a real Qwen3-VL of half a million parameters that only names colours.').waitFor();
  await page.reload();
  await page.getByRole('combobox', { name: 'Model' }).selectOption('smollm2-135m');
  await page.getByText('Ready', { exact: true }).waitFor();
  assert.equal(await page.getByText('small stand-in').count(), 0, 'dismissed is dismissed');
});

const listHeld = { arrange: (server) => server.holdModels() };

browserTest('what is sent before the models are known goes out once they are', listHeld, async ({ page, server }) => {
  await ask(page, 'Early');
  await page.locator('.hint').getByText('Goes out in a moment…').waitFor();
  await page.keyboard.press('Enter');
  json(await heldList(server), 200, { object: 'list', data: [seeingModel] });
  await phase(page, 'done');
  assert.equal(server.chats.length, 1);
  assert.equal(server.chats[0].messages[0].content, 'Early');
  assert.equal(await page.inputValue('#message'), '');
});

browserTest('and does not while it is changed, nor after the list failed', listHeld, async ({ page, server, allowed }) => {
  allowed.push(/500/);
  await ask(page, 'Earl');
  await page.locator('.hint').getByText('Goes out in a moment…').waitFor();
  await page.keyboard.type('y');
  await page.getByText('Enter sends').waitFor();
  await page.keyboard.press('Enter');
  await page.locator('.hint').getByText('Goes out in a moment…').waitFor();
  json(await heldList(server), 500, { error: { type: 'internal_error', code: 'internal_error', message: 'x' } });
  await page.locator('.notice').waitFor();
  server.models = [seeingModel];
  await page.locator('.notice').waitFor({ state: 'detached' });
  assert.equal(server.chats.length, 0);
  assert.equal(await page.inputValue('#message'), 'Early');
});

browserTest('an example prompt is one click', async ({ page, server }) => {
  await page.getByRole('button', { name: /Explain something/ }).click();
  await phase(page, 'done');
  assert.match(server.chats[0].messages[0].content, /Why is the sky blue/);
});

browserTest('thoughts of the model are kept apart from its answer', async ({ page, server }) => {
  const stream = held(server);
  await ask(page, 'Think');
  await stream.opened;
  stream.write(`data: ${JSON.stringify({ choices: [{ delta: { reasoning_content: 'Let me see.' } }] })}\n\n`);
  await page.getByText('Let me see.').waitFor();
  stream.end(chunk('Done.') + chunk(undefined, { finish_reason: 'stop' }) + done);
  await phase(page, 'done');
  assert.equal((await answerText(page).innerText()).trim(), 'Done.');
  assert.equal(await page.getByText('Let me see.').isVisible(), false, 'folded away once the answer begins');
  await ask(page, 'More');
  await until(() => server.chats.length === 2, 'the second request');
  assert.equal(JSON.stringify(server.chats[1].messages).includes('Let me see'), false, 'thoughts are not sent back');
  stream.end(chunk('x') + done);
});

browserTest('says when the length limit ended an answer, and when nothing came', async ({ page, server }) => {
  server.onChat = (_body, response) => answer(response, 'Half of', { finish: 'length' });
  await ask(page, 'One');
  await page.getByText('The answer reached its length limit and ends here.').waitFor();
  server.onChat = (_body, response) => answer(response, '');
  await ask(page, 'Two');
  await page.getByText('The model answered with nothing.').waitFor();
});

browserTest('a double click on Send sends and does not stop; the focus is never lost', async ({ page, server }) => {
  const stream = held(server);
  await page.fill('#message', 'Hi');
  await page.getByRole('button', { name: 'Send' }).dblclick();
  await stream.opened;
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.tagName);
  assert.notEqual(await focused(), 'BODY');
  stream.write(chunk('Still here'));
  await page.getByText('Still here').waitFor();
  await page.getByRole('button', { name: 'Stop' }).click();
  await phase(page, 'stopped');
  assert.equal(await focused(), 'message');
  await page.getByRole('button', { name: 'Regenerate' }).click();
  await until(() => server.chats.length === 2, 'the second request');
  await until(async () => (await focused()) === 'message', 'the focus to come back');
  await page.getByRole('button', { name: 'Stop' }).focus();
  stream.end(chunk('x') + done);
  await phase(page, 'done');
  await until(async () => (await focused()) === 'message', 'the focus to come back when Stop is gone');
});

browserTest('after the queue the model is reading, before its first word', async ({ page, server }) => {
  const stream = held(server, { 'X-Portico-Queue-Position': '2' });
  await ask(page, 'Hi');
  await page.getByText('Waiting, position 2').waitFor();
  stream.write(chunk(null));
  await page.getByText('The model is reading…').waitFor();
  stream.end(chunk('x') + done);
  await phase(page, 'done');
});
