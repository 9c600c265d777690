// The real thing: a running Portico at PORTICO_URL, a real browser, real models.
//   PORTICO_TEXT_MODEL    model to chat with; default: the first one
//   PORTICO_VISION_MODEL  model to show a red picture to; without it that part is skipped
//   PORTICO_SCREENSHOTS   folder for pictures of the page
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromiumPath, launch, open, picture } from './support/browser.mjs';

const url = process.env.PORTICO_URL?.replace(/\/+$/, '');
const textModel = process.env.PORTICO_TEXT_MODEL;
const visionModel = process.env.PORTICO_VISION_MODEL;
const screenshots = process.env.PORTICO_SCREENSHOTS;
const skip = !url ? 'PORTICO_URL is not set' : !chromiumPath ? 'no Chromium was found' : false;

/** A model on two busy cores may need its time. */
const ANSWER_MS = 120_000;

/** @type {import('playwright-core').Browser} */ let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(async () => browser?.close());

async function visit(run, options = {}) {
  const visited = await open(browser, url, { ignoreHTTPSErrors: true, ...options });
  try {
    await visited.page.locator('.page').waitFor();
    await run(visited.page);
    assert.deepEqual(visited.faults, [], 'errors or policy violations in the page');
    assert.deepEqual(visited.elsewhere, [], 'the page asked another origin');
  } finally {
    await visited.close();
  }
}

async function shoot(page, name) {
  if (!screenshots) return;
  await mkdir(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`) });
}

async function useModel(page, model) {
  await page.locator('.state.ready, .state.loading').waitFor({ timeout: ANSWER_MS });
  const select = page.getByRole('combobox');
  if (model && (await select.count()) > 0) await select.selectOption(model);
  else if (model) assert.equal(await page.locator('.model .name').innerText(), model);
}

async function finished(page) {
  await page.locator('.answer').last().and(page.locator('[data-phase=done]')).waitFor({ timeout: ANSWER_MS });
  return page.locator('.answer').last();
}

test('the page comes from Portico with a strict policy', { skip }, async () => {
  await visit(async (page) => {
    const response = await page.reload();
    const policy = response.headers()['content-security-policy'] ?? '';
    for (const part of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]) {
      assert.ok(policy.includes(part), `the policy lacks ${part}: ${policy}`);
    }
    const script = await page.locator('script[src]').getAttribute('src');
    const asset = await page.request.get(url + script);
    assert.match(asset.headers()['cache-control'] ?? '', /immutable/);
    assert.doesNotMatch(response.headers()['cache-control'] ?? '', /immutable/);
    await page.locator('.welcome').waitFor();
    await page.locator('.state.ready').waitFor({ timeout: ANSWER_MS });
    await shoot(page, 'start');
  });
});

test('a person types, and the real model\'s words appear as they are made, until Esc', { skip }, async () => {
  await visit(async (page) => {
    await useModel(page, textModel);
    await page.evaluate(() => {
      globalThis.lengths = new Set();
      new MutationObserver(() => globalThis.lengths.add(document.querySelector('.answer .markdown')?.textContent.length ?? 0))
        .observe(document.querySelector('[role=log]'), { childList: true, subtree: true, characterData: true });
    });
    await page.fill('#message', 'Write a long story about a lighthouse.');
    await page.press('#message', 'Enter');
    const text = page.locator('.answer .markdown');
    // A vision model of half a million parameters has little to tell: its whole answer is enough, too.
    await page.waitForFunction(
      () => document.querySelector('.answer[data-phase=done]') || document.querySelector('.answer .markdown')?.textContent.length > 300,
      undefined,
      { timeout: ANSWER_MS },
    );
    await page.keyboard.press('Escape');
    await page.locator('.answer[data-phase=stopped], .answer[data-phase=done]').waitFor();
    const written = (await text.innerText()).trim();
    assert.ok(written.length > 0, 'the model said nothing');
    const steps = await page.evaluate(() => globalThis.lengths.size);
    if (written.length > 300) assert.ok(steps > 5, `${written.length} letters came in ${steps} pieces`);
    assert.match(await page.locator('.metrics').innerText(), /first token \d+\.\d+ s/);
    await shoot(page, 'answer');
    // What is left of the request must not hold up the next one.
    await page.fill('#message', 'Say hello.');
    await page.press('#message', 'Enter');
    await page.waitForFunction(() => document.querySelectorAll('.answer .markdown').length === 2, undefined, { timeout: ANSWER_MS });
    await page.keyboard.press('Escape');
  });
});

test('a red picture is seen by the real vision model', { skip: skip || (!visionModel && 'PORTICO_VISION_MODEL is not set') }, async () => {
  await visit(async (page) => {
    await useModel(page, visionModel);
    const buffer = await picture(page, { width: 256, height: 256, colour: '#ff0000' });
    await page.locator('input[type=file]').setInputFiles({ name: 'red.png', mimeType: 'image/png', buffer });
    await page.locator('.composer figure').waitFor();
    await page.fill('#message', 'What colour is this picture?');
    await page.press('#message', 'Enter');
    const last = await finished(page);
    assert.match(await last.locator('.markdown').innerText(), /\bred\b/i);
    assert.match(await last.locator('.metrics').innerText(), /\d+ in, \d+ out/);
    await shoot(page, 'picture');
  });
});

test('the page speaks Chinese, on a phone, in the dark', { skip }, async () => {
  await visit(async (page) => {
    await page.locator('.state.ready').waitFor({ timeout: ANSWER_MS });
    await page.getByRole('heading', { name: '想聊点什么？' }).waitFor();
    await shoot(page, 'phone-zh-dark');
  }, { locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
});
