// One browser and one scripted server for a file of tests; each test gets a fresh page.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { launch, open } from './browser.mjs';
import { ScriptedServer } from './server.mjs';

/** @returns {{server: ScriptedServer, page: (name: string, options: object | ((t: any) => Promise<void>), run?: (t: any) => Promise<void>) => void}} */
export function suite() {
  const server = new ScriptedServer();
  /** @type {import('playwright-core').Browser} */ let browser;
  before(async () => {
    await server.listen();
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await server.close();
  });
  beforeEach(() => server.reset());

  return {
    server,
    /**
     * A test with an open page. `t.allowed` holds patterns of faults that the test provokes on purpose. Options: `arrange` the
     * server before, the `path` to open, the `host` to open it at, the `timeout` in milliseconds, and
     * Playwright's own.
     */
    page(name, options, run) {
      if (typeof options === 'function') [options, run] = [{}, options];
      const { arrange, host, timeout = 60_000, ...context } = options;
      test(name, { timeout }, async () => {
        arrange?.(server);
        const url = host ? server.url.replace('127.0.0.1', host) : server.url;
        const opened = await open(browser, url, context);
        const t = { ...opened, server, allowed: [] };
        try {
          await opened.page.locator('.page').waitFor();
          await run(t);
          const faults = opened.faults.filter((fault) => !t.allowed.some((pattern) => pattern.test(fault)));
          assert.deepEqual(faults, [], 'errors or policy violations in the page');
          assert.deepEqual(opened.elsewhere, [], 'the page asked another origin');
          assert.deepEqual(server.strays, [], 'the page asked for what does not exist');
          assert.deepEqual(server.unmarked, [], 'calls without the mark of a page');
        } finally {
          await opened.close();
        }
      });
    },
  };
}

/** Types a message and sends it. */
export async function ask(page, text) {
  await page.fill('#message', text);
  await page.press('#message', 'Enter');
}

export const answerText = (page) => page.locator('.answer').last().locator('.markdown');
export const phase = (page, name) => page.locator(`.answer[data-phase=${name}]`).last().waitFor();

/** The page's call for its models, once it has come; see `holdModels`. */
export async function heldList(server) {
  await until(() => server.heldLists.length > 0, 'the page asking for its models');
  return server.heldLists.shift();
}

/** Waits until `check` holds: for things that are no element of the page. */
export async function until(check, what, deadline = 10_000) {
  const end = Date.now() + deadline;
  while (!(await check())) {
    if (Date.now() > end) assert.fail(`${what} did not happen within ${deadline} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
