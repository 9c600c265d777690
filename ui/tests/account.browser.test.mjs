import assert from 'node:assert/strict';
import { key, member, operator, password, refuseWith } from './support/accounts.mjs';
import { suite, until } from './support/suite.mjs';

const { page: browserTest, server } = suite();

const as = (user, keys = []) => ({
  path: '/account',
  arrange(server) {
    server.accounts.enter(user);
    server.accounts.keys = keys;
  },
});
const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
const several = [
  key(),
  key({ id: 'k_2', name: 'nightly report', last_used: '2026-11-20T10:00:00Z', models: ['seer-1'], networks: ['10.0.0.0/8'], expires: null }),
  key({ id: 'k_3', name: 'stolen', state: 'revoked' }),
  key({ id: 'k_4', name: 'older', state: 'expired', expires: '2026-01-01T00:00:00Z' }),
  key({ id: 'k_5', name: 'replaced', state: 'rotated', expires: '2099-02-03T00:00:00Z' }),
];

/** Lets a test see what is copied, also where there is no clipboard. */
const watchCopies = (page) => page.evaluate(() =>
  document.addEventListener('copy', () => (globalThis.copied = document.getSelection().toString() || document.activeElement.value)));

browserTest('tells who one is', as(member), async ({ page }) => {
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
  assert.match(await page.locator('dl').innerText(), /User[\s\S]*team[\s\S]*Jun 1, 2099/);
  assert.equal(await page.title(), 'Your account · Portico');
  assert.equal(await page.getByText('portico user add').count(), 0, 'only operators invite');
  await page.getByRole('link', { name: 'To the chat' }).click();
  await page.waitForURL(`${server.url}/`);
});

browserTest('dates are written as the reader writes them', { ...as(member, several), locale: 'en-GB' }, async ({ page }) => {
  assert.match(await page.locator('dl').innerText(), /1 Jun 2099, 12:00/);
  await page.getByRole('button', { name: '切换到中文' }).click();
  assert.match(await page.locator('dl').innerText(), /2099年6月1日/);
});

browserTest('an operator is told how to let others in', as(operator), async ({ page }) => {
  await page.getByRole('heading', { name: 'Let others in' }).waitFor();
  await watchCopies(page);
  await page.getByRole('button', { name: 'Copy: On the server' }).click();
  await page.getByText('Copied').first().waitFor();
});

browserTest('whoever is not logged in logs in here', { path: '/account', arrange: (server) => (server.accounts.mode = 'identity') }, async ({ page }) => {
  await page.fill('#name', 'lin');
  await page.fill('#password', password);
  await page.press('#password', 'Enter');
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
  assert.equal(page.url(), `${server.url}/account`);
  await until(async () => (await focused(page)) === 'Your account', 'the focus');
});

browserTest('an account that cannot be read now can be tried again', {
  path: '/account',
  arrange(server) {
    server.accounts.enter(member);
    server.accounts.on.me = (_body, response) => response.destroy();
  },
}, async ({ page }) => {
  await page.getByRole('alert').filter({ hasText: 'The server cannot be reached.' }).waitFor();
  server.accounts.on = {};
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('heading', { name: 'Your account' }).waitFor();
});

browserTest('without a key it is said what one is for', as(member), async ({ page }) => {
  await page.getByText('You have no key yet.').waitFor();
  await page.getByRole('button', { name: 'Create the key' }).click();
  assert.equal(await focused(page), 'key-name');
  await page.getByText('Say what the key is for').waitFor();
});

browserTest('a key is created, shown once, and ready to be used', as(member), async ({ page }) => {
  await watchCopies(page);
  await page.fill('#key-name', ' laptop ');
  await page.selectOption('#key-expires', '30d');
  await page.press('#key-name', 'Enter');
  await page.getByRole('heading', { name: 'Copy the key “laptop” now' }).waitFor();
  assert.match(await focused(page), /Copy the key/);
  assert.deepEqual(server.accounts.called('keys').filter(Boolean), [{ name: 'laptop', expires: '30d' }]);
  const secret = 'pk-0123456789abcdef';
  const blocks = async () => page.locator('.shown pre').allInnerTexts();
  await until(async () => (await blocks())[1].includes('seer-1'), 'the name of a model here');
  const [shown, curl, python] = await blocks();
  assert.equal(shown, secret);
  assert.ok(curl.startsWith(`curl '${server.url}/v1/chat/completions'`) && curl.includes(`Bearer ${secret}`), curl);
  assert.ok(python.includes(`base_url="${server.url}/v1"`) && python.includes(`api_key="${secret}"`), python);
  await page.evaluate(() => Object.defineProperty(Navigator.prototype, 'clipboard', { get: () => undefined }));
  for (const [name, text] of [['The key', shown], ['Try it with curl', curl], ['In Python, with OpenAI’s library (pip install openai)', python]]) {
    await page.getByRole('button', { name: `Copy: ${name}` }).click();
    assert.equal(await page.evaluate(() => globalThis.copied), text);
  }
  await page.getByRole('button', { name: 'I have stored it' }).click();
  assert.equal(await page.getByText(secret).count(), 0);
  assert.match(await page.locator('.keys').innerText(), /laptop[\s\S]*never used[\s\S]*expires Jan 1, 2099/);
  assert.equal(await page.inputValue('#key-name'), '');
  await page.reload();
  await page.locator('.keys li').waitFor();
  assert.equal(await page.getByText(secret).count(), 0);
  assert.doesNotMatch(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }])), /pk-/);
});

browserTest('a key can live for ever; a list of models that is refused leaves a word to fill in', as(member), async ({ page }) => {
  server.models = (response) => response.destroy();
  await page.fill('#key-name', 'x');
  await page.selectOption('#key-expires', 'never');
  await page.getByRole('button', { name: 'Create the key' }).click();
  await page.locator('.shown').waitFor();
  assert.match((await page.locator('.shown pre').allInnerTexts())[2], /model="MODEL"/);
  assert.deepEqual(server.accounts.called('keys').filter(Boolean), [{ name: 'x', expires: null }]);
});

browserTest('keys are listed with what they may, the former ones folded away', as(member, several), async ({ page }) => {
  const list = page.locator('.keys');
  await list.getByText('laptop').waitFor();
  assert.match(await list.innerText(), /nightly report k_2\s*created Mar 1, 2026 · last used Nov 20, 2026 · does not expire · only seer-1 · only from 10.0.0.0\/8/);
  assert.equal(await list.getByText('stolen').isVisible(), false);
  await page.getByText('Former keys (2)').click();
  assert.match(await list.locator('details').innerText(), /stolen[\s\S]*Revoked[\s\S]*older[\s\S]*Expired[\s\S]*expired Jan 1, 2026/);
  // One that was replaced still works for a while: it can be ended before, and not replaced again.
  assert.equal(await page.getByRole('button', { name: 'Revoke replaced' }).count(), 1);
  assert.equal(await page.getByRole('button', { name: 'Rotate replaced' }).count(), 0);
});

browserTest('rotating explains the overlap, and says when it ends', as(member, several), async ({ page }) => {
  await page.getByRole('button', { name: 'Rotate laptop' }).click();
  const dialog = page.getByRole('dialog', { name: 'Rotate “laptop”?' });
  await dialog.getByText('The old one goes on working for a while').waitFor();
  await dialog.getByRole('button', { name: 'Make the new key' }).click();
  await page.getByRole('heading', { name: 'Copy the key “laptop” now' }).waitFor();
  await page.getByText('The old key works until Feb 3, 2099, 10:00').waitFor();
  await until(async () => (await focused(page)).startsWith('Copy the key'), 'the focus on the new key');
  assert.equal(await page.locator('.shown pre').first().innerText(), 'pk-fedcba9876543210');
});

browserTest('revoking asks first; Esc and Cancel change nothing', as(member, several), async ({ page }) => {
  const revoke = page.getByRole('button', { name: 'Revoke laptop' });
  await revoke.click();
  assert.equal(await focused(page), 'Cancel');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /Revoke laptop/, 'the focus comes back');
  await revoke.click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  assert.deepEqual(server.accounts.called('keys/k_7f3a/revoke'), []);
  await revoke.click();
  server.accounts.on['keys/k_7f3a/revoke'] = (_body, response) => refuseWith(response, 'internal_error');
  await page.getByRole('button', { name: 'Revoke the key' }).click();
  await page.getByRole('dialog').getByRole('alert').waitFor();
  server.accounts.on = {};
  await page.getByRole('button', { name: 'Revoke the key' }).click();
  await page.getByRole('status').filter({ hasText: 'The key “laptop” is revoked.' }).waitFor();
  await page.getByText('Former keys (3)').waitFor();
  await until(() => page.evaluate(() => document.activeElement !== document.body), 'the focus to be somewhere');
});

browserTest('the password is changed with the current one', as(member), async ({ page }) => {
  await page.locator('#new-password').waitFor();
  const fields = await page.locator('form').last().locator('input').evaluateAll((inputs) => inputs.map(({ autocomplete, value }) => [autocomplete, value]));
  assert.deepEqual(fields, [['username', 'lin'], ['current-password', ''], ['new-password', '']]);
  const change = page.getByRole('button', { name: 'Change the password' });
  await change.click();
  assert.equal(await focused(page), 'current-password');
  await page.fill('#current-password', 'wrong');
  await page.fill('#new-password', 'short');
  await change.click();
  assert.equal(await focused(page), 'new-password');
  assert.deepEqual(server.accounts.called('password'), []);
  await page.fill('#new-password', 'long enough by far, is it not');
  assert.equal(await page.locator('#new-password-hint').innerText(), '29 characters: strong.');
  await change.click();
  await page.getByText('This is not your current password.').waitFor();
  assert.equal(await focused(page), 'current-password');
  await page.fill('#current-password', password);
  server.accounts.on.password = (_body, response) => refuseWith(response, 'password_refused', { param: 'new', message: 'That is your name.' });
  await change.click();
  await page.getByText('That is your name.').waitFor();
  assert.equal(await focused(page), 'new-password');
  server.accounts.on = {};
  await page.press('#new-password', 'Enter');
  await page.getByRole('status').filter({ hasText: 'The password is changed. Every other session has ended.' }).waitFor();
  assert.deepEqual([await page.inputValue('#current-password'), await page.inputValue('#new-password')], ['', '']);
  assert.deepEqual(server.accounts.called('password').at(-1), { current: password, new: 'long enough by far, is it not' });
});

browserTest('a password kept in a file is not changed here', as({ ...member, password: 'file' }), async ({ page }) => {
  await page.getByText('The operator keeps your password in a file').waitFor();
  assert.equal(await page.locator('#new-password').count(), 0);
});

browserTest('other sessions are ended', as(member), async ({ page }) => {
  server.accounts.on['sessions/end'] = (_body, response) => refuseWith(response, 'internal_error');
  await page.getByRole('button', { name: 'End every other session' }).click();
  await page.getByRole('alert').filter({ hasText: 'The server made a mistake.' }).waitFor();
  server.accounts.on = {};
  await page.getByRole('button', { name: 'End every other session' }).click();
  await page.getByRole('status').filter({ hasText: 'Every other session has ended.' }).waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
});

browserTest('logging out leads to the login', as(member), async ({ page }) => {
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.waitForURL(`${server.url}/login`);
  await page.getByRole('heading', { name: /^Log in to/ }).waitFor();
});

browserTest('whoever came without a session has none to end', {
  path: '/account',
  arrange(server) {
    server.accounts.enter(member);
    server.accounts.on.me = (_body, response) => response.end(JSON.stringify({ mode: 'identity', user: member, session: null, realm: 'x' }));
  },
}, async ({ page }) => {
  await page.getByText('Your browser sends name and password by itself').waitFor();
  assert.equal(await page.getByRole('button', { name: /Log out|End every/ }).count(), 0);
});

browserTest('a session that ended meanwhile is said, with the way back', as(member), async ({ page }) => {
  await page.fill('#key-name', 'x'); // so the list of keys has come
  server.accounts.session = undefined;
  await page.getByRole('button', { name: 'Create the key' }).click();
  await page.getByRole('alert').filter({ hasText: 'Your session has ended. Log in again.' }).waitFor();
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('#password').waitFor();
});
