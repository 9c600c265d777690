// The chat page where people log in: the menu, a session that ends, and what is kept.
import assert from 'node:assert/strict';
import { picture } from './support/browser.mjs';
import { member, operator, password, refuseWith } from './support/accounts.mjs';
import { answer, chunk, done, seeingModel, startStream } from './support/server.mjs';
import { ask, heldList, phase, suite, until } from './support/suite.mjs';

const { page: browserTest, server } = suite();

const loggedIn = { arrange: (server) => server.accounts.enter(member) };
const menu = (page) => page.getByRole('button', { name: 'Account of lin' });
const dialog = (page) => page.getByRole('dialog', { name: 'Log in to go on' });

async function logIn(page, name = 'lin') {
  await page.fill('#name', name);
  await page.fill('#password', password);
  await page.press('#password', 'Enter');
}

browserTest('in local mode there is no account to show', async ({ page }) => {
  await page.locator('.state.ready').waitFor();
  await until(() => server.accounts.called('me').length > 0, 'asking who is here');
  assert.equal(await page.locator('header .menu').count(), 0);
});

browserTest('the menu tells who one is, opens and closes by keyboard and pointer', loggedIn, async ({ page }) => {
  await menu(page).focus();
  await page.keyboard.press('Enter');
  await page.getByText('Plan: team').waitFor();
  assert.equal(await menu(page).getAttribute('aria-expanded'), 'true');
  await page.keyboard.press('Escape');
  assert.equal(await menu(page).getAttribute('aria-expanded'), 'false');
  assert.ok(await menu(page).evaluate((node) => node === document.activeElement));
  await menu(page).click();
  await page.locator('#message').click();
  assert.equal(await menu(page).getAttribute('aria-expanded'), 'false');
  await menu(page).click();
  for (let i = 0; i < 3; i += 1) await page.keyboard.press('Tab');
  assert.equal(await menu(page).getAttribute('aria-expanded'), 'false', 'the focus has left it');
  await menu(page).click();
  await page.getByRole('link', { name: 'Account and keys' }).click();
  await page.waitForURL(`${server.url}/account`);
});

browserTest('logging out keeps the draft, and leads to the login', loggedIn, async ({ page }) => {
  await page.fill('#message', 'half a thought');
  await menu(page).click();
  server.accounts.on.logout = (_body, response) => refuseWith(response, 'internal_error');
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('alert').filter({ hasText: 'The server made a mistake.' }).waitFor();
  server.accounts.on = {};
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL(`${server.url}/login`);
  await logIn(page);
  await page.waitForURL(`${server.url}/`);
  assert.equal(await page.inputValue('#message'), 'half a thought');
});

browserTest('what one person wrote is not shown to the next', loggedIn, async ({ page }) => {
  await ask(page, 'a secret question');
  await phase(page, 'done');
  await page.fill('#message', 'half a secret');
  await menu(page).click();
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL(`${server.url}/login`);
  await logIn(page, 'ada');
  await page.getByRole('button', { name: 'Account of ada' }).waitFor();
  assert.equal(await page.inputValue('#message'), '');
  assert.equal(await page.getByText('a secret question').count(), 0);
});

browserTest('a session that ended: the login opens over the page, all stays, and the refused message goes out', loggedIn, async ({ page }) => {
  await ask(page, 'First');
  await phase(page, 'done');
  server.accounts.session = undefined;
  await ask(page, 'Second');
  await dialog(page).waitFor();
  assert.equal(server.chats.length, 1, 'the second was refused');
  assert.equal(await page.inputValue('#name'), 'lin');
  await until(() => page.evaluate(() => document.activeElement.id === 'password'), 'the focus on the password');
  await page.keyboard.type('wrong');
  await page.keyboard.press('Enter');
  await dialog(page).getByRole('alert').filter({ hasText: 'The name or the password is wrong.' }).waitFor();
  server.onChat = (_body, response) => answer(response, 'Let in.');
  await logIn(page);
  await page.getByText('Let in.').waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
  assert.deepEqual(server.chats[1].messages, [
    { role: 'user', content: 'First' }, { role: 'assistant', content: 'Hello.' }, { role: 'user', content: 'Second' },
  ]);
  assert.equal(await page.locator('.failure').count(), 0);
  assert.equal(page.url(), `${server.url}/`, 'the page was not left');
});

browserTest('what is being written stays, with its pictures, while the login is put away and brought back', loggedIn, async ({ page }) => {
  await page.locator('input[type=file]').setInputFiles({ name: 'red.png', mimeType: 'image/png', buffer: await picture(page, { width: 64, height: 64 }) });
  await page.locator('.composer figure').waitFor();
  await page.fill('#message', 'Look at this');
  server.accounts.session = undefined;
  await page.evaluate(() => window.dispatchEvent(new Event('online'))); // the page asks for its models again
  await dialog(page).waitFor();
  await page.keyboard.press('Escape');
  await dialog(page).waitFor({ state: 'detached' });
  assert.equal(await page.inputValue('#message'), 'Look at this');
  assert.equal(await page.locator('.composer figure').count(), 1);
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await page.locator('.notice').getByRole('button', { name: 'Log in' }).click();
  await logIn(page);
  await dialog(page).waitFor({ state: 'detached' });
  await page.locator('.notice').waitFor({ state: 'detached' });
  await page.press('#message', 'Enter');
  await phase(page, 'done');
  const [image, text] = server.chats[0].messages[0].content;
  assert.match(image.image_url.url, /^data:image\/png/);
  assert.equal(text.text, 'Look at this');
});

browserTest('by one click, too, for who put the login away', loggedIn, async ({ page }) => {
  await page.locator('.state.ready').waitFor();
  server.accounts.session = undefined;
  await ask(page, 'Hi');
  await dialog(page).waitFor();
  await page.getByRole('button', { name: 'Not now' }).click();
  await page.locator('.failure[data-kind=signedOut]').getByRole('button', { name: 'Log in' }).click();
  await logIn(page);
  await phase(page, 'done');
  assert.equal(server.chats.length, 1);
});

/** Sends a message before the list of models is there, which then is refused: the session has ended. */
async function askTooEarly(page) {
  const list = await heldList(server);
  await ask(page, 'Early');
  await page.locator('.hint').getByText('Goes out in a moment…').waitFor();
  server.accounts.session = undefined;
  refuseWith(list, 'identity_required');
  await dialog(page).waitFor();
  server.models = [seeingModel];
}
const listHeld = {
  arrange(server) {
    server.accounts.enter(member);
    server.holdModels();
  },
};

browserTest('what was sent before the models were known goes out after the login', listHeld, async ({ page }) => {
  await askTooEarly(page);
  await logIn(page);
  await phase(page, 'done');
  assert.equal(server.chats.length, 1);
  assert.equal(await page.inputValue('#message'), '');
});

browserTest('and waits where the login was put away', listHeld, async ({ page }) => {
  await askTooEarly(page);
  await page.keyboard.press('Escape');
  await page.locator('.hint').getByText('Enter sends').waitFor();
  await page.locator('.notice').getByRole('button', { name: 'Log in' }).click();
  await logIn(page);
  await page.locator('.state.ready').waitFor();
  assert.equal(await page.inputValue('#message'), 'Early');
  assert.equal(server.chats.length, 0);
});

browserTest('Esc in the dialog does not stop an answer', loggedIn, async ({ page }) => {
  let stream;
  server.onChat = (_body, response) => {
    startStream(response);
    stream = response;
  };
  await ask(page, 'Long');
  await until(() => stream, 'the request');
  server.accounts.session = undefined;
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await dialog(page).waitFor();
  await page.keyboard.press('Escape');
  stream.end(chunk('Whole.') + chunk(undefined, { finish_reason: 'stop' }) + done);
  await phase(page, 'done');
  await page.getByText('Whole.').waitFor();
});

browserTest('a login in another tab is noticed', loggedIn, async ({ page }) => {
  await page.locator('.state.ready').waitFor();
  server.accounts.session = undefined;
  await ask(page, 'Hi');
  await dialog(page).waitFor();
  server.accounts.session = member;
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await phase(page, 'done');
  assert.equal(await page.getByRole('dialog').count(), 0);
});

browserTest('another person who logs in over the page gets a page of their own', loggedIn, async ({ page }) => {
  await page.locator('.state.ready').waitFor();
  server.accounts.session = undefined;
  await ask(page, 'a secret question');
  await dialog(page).waitFor();
  await logIn(page, 'ada');
  await page.getByRole('button', { name: 'Account of ada' }).waitFor();
  await page.locator('.welcome').waitFor();
  assert.equal(server.chats.length, 0, 'nothing of one was sent as the other');
  assert.equal(operator.name, 'ada');
});

browserTest('a refused message survives a reload, the login, and is sent by one click', loggedIn, async ({ page }) => {
  await page.locator('.state.ready').waitFor();
  server.accounts.session = undefined;
  await ask(page, 'Still here?');
  await dialog(page).waitFor();
  await page.fill('#name', ''); // a reader who rather loads the page anew
  await page.reload();
  await logIn(page);
  await page.getByRole('button', { name: 'Send again' }).click();
  await phase(page, 'done');
  assert.deepEqual(server.chats[0].messages, [{ role: 'user', content: 'Still here?' }]);
});

browserTest('nobody is asked twice by what happens by itself', loggedIn, async ({ page }) => {
  await page.locator('.state.ready').waitFor();
  server.accounts.session = undefined;
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await dialog(page).waitFor();
  await page.keyboard.press('Escape');
  const asked = server.accounts.called('me').length;
  for (let i = 0; i < 3; i += 1) await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await page.waitForTimeout(300);
  assert.equal(await page.getByRole('dialog').count(), 0);
  assert.equal(server.accounts.called('me').length, asked);
});
