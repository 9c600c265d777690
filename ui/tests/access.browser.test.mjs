import assert from 'node:assert/strict';
import { faults } from './support/axe.mjs';
import { picture } from './support/browser.mjs';
import { answer, refuse, seeingModel, textModel } from './support/server.mjs';
import { ask, phase, suite, until } from './support/suite.mjs';

const { page: browserTest, server } = suite();

const text = 'Some **text**, a [link](https://docs.invalid/), `code`.\n\n```js\nconst a = 1;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote\n\n![x](https://evil.invalid/x.png)';

for (const colorScheme of ['light', 'dark']) {
  for (const locale of ['en-US', 'zh-CN']) {
    browserTest(`axe finds nothing, ${colorScheme}, ${locale}`, { colorScheme, locale }, async ({ page, allowed }) => {
      // axe reads styles by ways the policy forbids; what it tries is not the page's doing.
      allowed.push(/^policy: style-src/);
      server.models = [{ ...textModel, id: 'smollm2-135m' }, seeingModel];
      await page.reload();
      await page.locator('.state.ready').waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.lang), locale === 'zh-CN' ? 'zh-CN' : 'en');
      assert.deepEqual(await faults(page), [], 'start page');

      server.onChat = (_body, response) => answer(response, text, { finish: 'length' });
      await ask(page, 'Hi');
      await phase(page, 'done');
      await page.locator('input[type=file]').setInputFiles({ name: 'red.png', mimeType: 'image/png', buffer: await picture(page, { width: 64, height: 64 }) });
      await page.locator('.composer figure').waitFor();
      assert.deepEqual(await faults(page), [], 'an answer, an attachment, a notice');

      await page.locator('.composer .remove').click();
      server.onChat = (_body, response) => refuse(response, 429, { type: 'rate_limit_error', message: 'wait' }, { 'Retry-After': '60' });
      await ask(page, 'Hi');
      await phase(page, 'failed');
      assert.deepEqual(await faults(page), [], 'an error card');

      server.readiness = { ready: false, models: { 'seer-1': 'loading' } };
      await page.locator('select').selectOption('seer-1');
      await page.locator('.state.loading').waitFor();
      server.onChat = () => undefined;
      await ask(page, 'Hi');
      await phase(page, 'sending');
      assert.deepEqual(await faults(page), [], 'loading and waiting');
    });
  }
}

browserTest('the check can fail', async ({ page, allowed }) => {
  allowed.push(/^policy: style-src/);
  await page.locator('.round.quiet').evaluate((button) => button.removeAttribute('aria-label') ?? button.removeAttribute('title'));
  assert.match((await faults(page)).join('\n'), /button-name/);
});

for (const [name, viewport] of [['320 pixels wide', { width: 320, height: 568 }], ['1280x800 at 200 %', { width: 640, height: 400 }], ['1280x1024 at 400 %', { width: 320, height: 256 }]]) {
  browserTest(`everything can be reached at ${name}`, { viewport }, async ({ page }) => {
    server.models = [{ ...textModel, id: 'smollm2-135m' }, { ...seeingModel, id: 'a-model-with-quite-a-long-name-indeed' }];
    await page.reload();
    await page.locator('.state.ready').waitFor();
    const wide = () => page.evaluate(() => [document.documentElement, ...document.querySelectorAll('[role=log], form, header')]
      .filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.outerHTML.slice(0, 80)));
    assert.deepEqual(await wide(), [], 'start page');
    server.onChat = (_body, response) => answer(response, `${text}\n\n${'verylongword'.repeat(20)}\n\nhttps://docs.invalid/${'path/'.repeat(40)}`);
    await ask(page, 'A question '.repeat(10));
    await phase(page, 'done');
    assert.deepEqual(await wide(), [], 'conversation');
    for (const control of ['Send', 'Attach pictures', 'New chat', '切换到中文', 'Regenerate']) {
      const button = page.getByRole('button', { name: control });
      await button.scrollIntoViewIfNeeded();
      const box = await button.boundingBox();
      assert.ok(box && box.x >= 0 && box.x + box.width <= viewport.width + 1 && box.y >= 0 && box.y + box.height <= viewport.height + 1, `${control} ${JSON.stringify(box)}`);
    }
    const log = await page.locator('[role=log]').boundingBox();
    assert.ok(log && log.height >= 60, `the conversation has ${log?.height} pixels`);
  });
}

browserTest('targets are 44 pixels on touch screens', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, async ({ page }) => {
  server.models = [{ ...textModel, id: 'smollm2-135m' }, seeingModel];
  await page.reload();
  await page.locator('.state.ready').waitFor();
  server.onChat = (_body, response) => answer(response, text);
  const small = () => page.evaluate(() => [...document.querySelectorAll('button, select, textarea, summary')]
    .map((node) => ({ node, box: node.getBoundingClientRect() }))
    .filter(({ box }) => box.width > 0 && (box.height < 43.5 || box.width < 43.5))
    .map(({ node, box }) => `${node.outerHTML.slice(0, 60)} ${box.width}x${box.height}`));
  assert.deepEqual(await small(), []);
  await page.locator('#message').fill('Hi');
  await page.getByRole('button', { name: 'Send' }).tap();
  await phase(page, 'done');
  await page.locator('input[type=file]').setInputFiles({ name: 'red.png', mimeType: 'image/png', buffer: await picture(page, { width: 64, height: 64 }) });
  await page.locator('.composer figure').waitFor();
  assert.deepEqual(await small(), []);
});

browserTest('everything works by keyboard, and the focus is seen', async ({ page }) => {
  await page.locator('.state.ready').waitFor();
  await page.evaluate(() => document.activeElement?.blur());
  const names = [];
  for (let i = 0; i < 12; i += 1) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(() => {
      const node = document.activeElement;
      if (node === document.body) return undefined; // went round once
      const style = getComputedStyle(node);
      const box = node.closest('.box') && getComputedStyle(node.closest('.box'));
      return {
        name: node.getAttribute('aria-label') ?? node.textContent.trim(),
        seen: style.outlineStyle !== 'none' || (box && box.boxShadow !== 'none'),
      };
    });
    if (!focused) continue;
    assert.ok(focused.seen, `the focus on ${focused.name} is not seen`);
    names.push(focused.name);
  }
  for (const name of ['Skip to the message box', 'Conversation', 'Message', 'Attach pictures', 'New chat']) assert.ok(names.includes(name), `${name} of ${names}`);
});

browserTest('the language can be switched and is remembered', async ({ page }) => {
  await page.getByRole('button', { name: '切换到中文' }).click();
  await page.getByRole('heading', { name: '想聊点什么？' }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-CN');
  assert.equal(await page.title(), 'Portico 对话');
  await page.reload();
  await page.getByRole('heading', { name: '想聊点什么？' }).waitFor();
  await page.getByRole('button', { name: 'Switch to English' }).click();
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
});

browserTest('an answer follows the language too', async ({ page }) => {
  server.onChat = (_body, response) => answer(response, text);
  await ask(page, 'Hi');
  await phase(page, 'done');
  await page.getByRole('button', { name: '切换到中文' }).click();
  assert.match(await page.locator('.blocked-image').innerText(), /外部图片，未加载/);
});

browserTest('no motion for those who asked for none', { reducedMotion: 'reduce' }, async ({ page }) => {
  server.onChat = () => undefined;
  await ask(page, 'Hi');
  await page.locator('.dots').waitFor();
  await until(async () => (await page.evaluate(() => document.getAnimations().length)) === 0, 'stillness');
});
