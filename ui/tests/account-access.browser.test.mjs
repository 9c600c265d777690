// The account's pages and the login over the chat, for everybody: axe in every state, both themes and languages, narrow
// windows, touch.
import assert from 'node:assert/strict';
import { faults } from './support/axe.mjs';
import { key, member, operator, refuseWith } from './support/accounts.mjs';
import { ask, suite } from './support/suite.mjs';

const { page: browserTest, server } = suite();

const several = [
  key(),
  key({ id: 'k_2', name: 'a-quite-long-name-of-a-key-that-nobody-wanted-to-break', last_used: '2026-11-20T10:00:00Z', models: ['seer-1'], networks: ['10.0.0.0/8', '2001:db8::/32'] }),
  key({ id: 'k_3', name: 'stolen', state: 'revoked' }),
];
const asks = (accounts) => (accounts.mode = 'identity');
const submit = (page) => page.locator('form').last().locator('[type=submit]').click();
async function logIn(page) {
  await page.fill('#name', 'lin');
  await page.fill('#password', 'wrong');
  await page.press('#password', 'Enter');
}

/** [state, path, the server before, what the reader does, what to wait for] */
const states = [
  ['login', '/login', asks],
  ['login, nothing filled in', '/login', asks, submit, '.problem'],
  ['login, wrong', '/', asks, logIn, '.trouble'],
  ['login, too many attempts', '/', (accounts) => {
    asks(accounts);
    accounts.on.login = (_body, response) => refuseWith(response, 'too_many_attempts');
  }, logIn, '.trouble'],
  ['login, server down', '/', (accounts) => {
    asks(accounts);
    accounts.on.login = (_body, response) => response.destroy();
  }, logIn, '.trouble button'],
  ['local mode', '/account', () => undefined, undefined, '.card a'],
  ['network', '/account', (accounts) => (accounts.mode = 'network'), undefined, '.card a'],
  ['closed', '/login', (accounts) => (accounts.mode = 'closed'), undefined, 'code'],
  ['invitation', '/invite#a-token', asks, undefined, '#new-password'],
  ['invitation, too short', '/invite#a-token', asks, submit, '.problem'],
  ['invitation, invalid', '/invite#old', asks, undefined, 'code'],
  ['link without its secret', '/invite', asks],
  ['setup', '/setup#a-token', (accounts) => (accounts.mode = 'closed'), submit, '.problem'],
  ['setup, invalid', '/setup#old', asks, async (page) => {
    await page.fill('#name', 'ada');
    await page.fill('#new-password', 'long enough');
    await submit(page);
  }, 'code'],
  ['account, empty', '/account', (accounts) => accounts.enter(operator), undefined, '.empty'],
  ['account, keys', '/account', (accounts) => {
    accounts.enter(member);
    accounts.keys = several;
  }, (page) => page.locator('summary').click(), 'details li'],
  ['account, file', '/account', (accounts) => accounts.enter({ ...member, password: 'file' }), undefined, '.empty'],
  ['account, cannot be read', '/account', (accounts) => {
    accounts.enter(member);
    accounts.on.me = (_body, response) => refuseWith(response, 'internal_error');
  }, undefined, '.trouble'],
  ['a new key', '/account', (accounts) => accounts.enter(member), async (page) => {
    await page.fill('#key-name', 'laptop');
    await page.press('#key-name', 'Enter');
  }, '.shown'],
  ['a question', '/account', (accounts) => {
    accounts.enter(member);
    accounts.keys = several;
  }, (page) => page.locator('.actions button').first().click(), 'dialog'],
  ['password, faults', '/account', (accounts) => accounts.enter(member), submit, '.problem'],
  ['chat, menu', '/', (accounts) => accounts.enter(member), (page) => page.locator('header [aria-expanded]').click(), '.panel a'],
  ['chat, logged out', '/', (accounts) => accounts.enter(member), async (page) => {
    server.accounts.session = undefined;
    await ask(page, 'Hi');
    await page.locator('dialog').waitFor();
    await logIn(page);
  }, '.trouble'],
];

/** Brings the page into a state. */
async function enter(page, [, path, before, act, expected]) {
  server.reset();
  before(server.accounts);
  // Away first: another fragment alone would load nothing.
  await page.goto('about:blank');
  await page.goto(server.url + path);
  await page.locator('.page').waitFor();
  await act?.(page);
  if (expected) await page.locator(expected).first().waitFor();
}

for (const colorScheme of ['light', 'dark']) {
  for (const locale of ['en-US', 'zh-CN']) {
    browserTest(`axe finds nothing in any state, ${colorScheme}, ${locale}`, { colorScheme, locale, path: '/login', timeout: 180_000 }, async ({ page, allowed, elsewhere }) => {
      allowed.push(/^policy: style-src/); // axe reads styles by ways the policy forbids
      for (const state of states) {
        await enter(page, state);
        assert.deepEqual(await faults(page), [], state[0]);
      }
      elsewhere.length = 0; // about:blank
    });
  }
}

for (const [name, viewport] of [['320 pixels wide', { width: 320, height: 568 }], ['1280x800 at 200 %', { width: 640, height: 400 }], ['1280x1024 at 400 %', { width: 320, height: 256 }]]) {
  browserTest(`nothing is cut off at ${name}`, { viewport, path: '/login', timeout: 180_000 }, async ({ page, elsewhere }) => {
    for (const state of states) {
      await enter(page, state);
      const wide = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll('.card, form, dialog, header, .panel')]
        .filter((node) => node.scrollWidth > node.clientWidth + 1).map((node) => node.outerHTML.slice(0, 80)));
      assert.deepEqual(wide, [], state[0]);
      // Every control can be brought into view as a whole.
      const unreachable = await page.evaluate(() => {
        const within = document.querySelector('dialog') ?? document;
        return [...within.querySelectorAll(':is(.card, .panel, dialog) :is(button, input, select, a)')].flatMap((node) => {
          node.scrollIntoView({ block: 'center' });
          const box = node.getBoundingClientRect();
          if (box.width === 0) return []; // not shown
          const whole = box.left >= 0 && box.right <= innerWidth + 1 && box.top >= -1 && box.bottom <= innerHeight + 1;
          return whole ? [] : [`${node.outerHTML.slice(0, 80)} ${JSON.stringify(box)}`];
        });
      });
      assert.deepEqual(unreachable, [], state[0]);
    }
    elsewhere.length = 0;
  });
}

browserTest('targets are 44 pixels on touch screens', { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, path: '/login', timeout: 180_000 }, async ({ page, elsewhere }) => {
  for (const state of states) {
    await enter(page, state);
    const small = await page.evaluate(() => [...document.querySelectorAll('button, select, input, summary, a.button, a.small')]
      .map((node) => ({ node, box: (node.matches('.field input') ? node.closest('.box') : node).getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0 && (box.height < 43.5 || box.width < 43.5))
      .map(({ node, box }) => `${node.outerHTML.slice(0, 60)} ${box.width}x${box.height}`));
    assert.deepEqual(small, [], state[0]);
  }
  elsewhere.length = 0;
});
