import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

export const chromiumPath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  .find((path) => path && existsSync(path));

/** On a busy machine Chromium now and then fails to fork at its start, before it has seen a page. */
const launches = 3;

export async function launch() {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await chromium.launch({
        executablePath: chromiumPath,
        args: [
          '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
          '--disable-sync',
          // A name that is not loopback: over http its pages are no secure context.
          '--host-resolver-rules=MAP portico.test 127.0.0.1',
        ],
      });
    } catch (error) {
      if (attempt === launches) throw error;
      console.error(`Chromium did not start (attempt ${attempt} of ${launches}): ${String(error.message).split('\n')[0]}`);
    }
  }
}

/**
 * Opens a page, `path` of the server at `url`, that remembers what must not happen: uncaught errors, violations of its policy, requests elsewhere.
 * @returns {Promise<{page: import('playwright-core').Page, faults: string[], elsewhere: string[], close: () => Promise<void>}>}
 */
export async function open(browser, url, { path = '/', ...options } = {}) {
  const context = await browser.newContext({ locale: 'en-US', viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const faults = [];
  const elsewhere = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  await page.exposeFunction('__violation', (text) => faults.push(`policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      // @ts-expect-error exposed by the test
      window.__violation(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) elsewhere.push(request.url());
  });
  await page.goto(url + path);
  return { page, faults, elsewhere, close: () => context.close() };
}

/** A picture made in the page itself, as bytes. */
export async function picture(page, { width, height, colour = '#ff0000', type = 'image/png' }) {
  const base64 = await page.evaluate(
    ({ width, height, colour, type }) => {
      const canvas = document.createElement('canvas');
      canvas.width = width;
      canvas.height = height;
      const context = canvas.getContext('2d');
      context.fillStyle = colour;
      context.fillRect(0, 0, width, height);
      return canvas.toDataURL(type).split(',')[1];
    },
    { width, height, colour, type },
  );
  return Buffer.from(base64, 'base64');
}
