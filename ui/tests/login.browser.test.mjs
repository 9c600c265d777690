import assert from 'node:assert/strict';
import { json } from './support/answers.mjs';
import { member, operator, password, refuseWith } from './support/accounts.mjs';
import { suite, until } from './support/suite.mjs';

const { page: browserTest, server } = suite();

const closed = (server) => (server.accounts.mode = 'identity');
const at = (path, more = {}) => ({ path, arrange: closed, ...more });
const trouble = (page) => page.locator('.trouble');
const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.tagName);

async function logIn(page, name = 'lin', secret = password) {
  await page.fill('#name', name);
  await page.fill('#password', secret);
  await page.press('#password', 'Enter');
}

browserTest('in place of a page that asks who you are stands the login, and then the page', at('/'), async ({ page }) => {
  assert.equal(await page.title(), 'Log in · Portico');
  assert.equal(await focused(page), 'name');
  await logIn(page);
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  assert.equal(page.url(), `${server.url}/`);
  assert.deepEqual(server.accounts.called('login'), [{ name: 'lin', password }]);
});

browserTest('from its own address the login leads to the chat, also who is logged in already', at('/login'), async ({ page }) => {
  await logIn(page);
  await page.waitForURL(`${server.url}/`);
  await page.goto(`${server.url}/login`);
  await page.waitForURL(`${server.url}/`);
});

browserTest('password managers find what they look for, and nothing is corrected', at('/login'), async ({ page }) => {
  const fields = await page.locator('form input').evaluateAll((inputs) => inputs.map((input) =>
    [input.name, input.type, input.autocomplete, input.getAttribute('autocapitalize'), input.spellcheck]));
  assert.deepEqual(fields, [['name', 'text', 'username', 'none', false], ['password', 'password', 'current-password', 'none', false]]);
  await page.fill('#password', 'secret');
  await page.getByRole('button', { name: 'Show the password' }).click();
  assert.equal(await page.getAttribute('#password', 'type'), 'text');
  assert.equal(await page.inputValue('#password'), 'secret');
  await page.getByRole('button', { name: 'Hide the password' }).click();
  assert.equal(await page.getAttribute('#password', 'type'), 'password');
});

browserTest('what is missing is said at its field, which gets the focus', at('/login'), async ({ page }) => {
  await page.getByRole('button', { name: 'Log in' }).click();
  assert.equal(await focused(page), 'name');
  assert.equal(await page.locator('#name').getAttribute('aria-invalid'), 'true');
  assert.equal(await page.locator(`#${await page.getAttribute('#name', 'aria-describedby')}`).innerText(), 'Enter your name.');
  await page.fill('#name', 'lin');
  await page.press('#name', 'Enter');
  assert.equal(await focused(page), 'password');
  assert.equal(await page.locator('#password-problem').innerText(), 'Enter your password.');
  assert.deepEqual(server.accounts.called('login'), [], 'nothing was sent');
});

browserTest('wrong credentials: announced, the name kept, the password ready to be typed over', at('/login'), async ({ page }) => {
  await logIn(page, 'lin', 'wrong');
  await page.getByRole('alert').filter({ hasText: 'The name or the password is wrong.' }).waitFor();
  await until(async () => (await focused(page)) === 'password', 'the focus on the password');
  assert.match(await trouble(page).innerText(), /req-test-1/);
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/`);
});

const refusals = [
  ['server_busy', 'The server is busy with other logins', '服务器正忙于处理其他登录'],
  ['network_refused', 'Your network is not among those that are let in', '您所在的网络不被允许'],
  ['https_required', 'takes passwords only over https', '只通过 https 接收密码'],
  ['internal_error', 'The server made a mistake', '服务器内部错误'],
];
for (const [code, english, chinese] of refusals) {
  browserTest(`the login says in words: ${code}`, at('/login'), async ({ page }) => {
    server.accounts.on.login = (_body, response) => refuseWith(response, code);
    await logIn(page);
    await trouble(page).waitFor();
    assert.match(await trouble(page).innerText(), new RegExp(`${english}[\\s\\S]*req-test-1`));
    await page.getByRole('button', { name: '切换到中文' }).click();
    assert.match(await trouble(page).innerText(), new RegExp(chinese));
    assert.equal(await page.inputValue('#password'), password, 'what was typed is kept');
  });
}

browserTest('a refusal without words of ours is said in the server\'s, asked for in the page\'s language', at('/login'), async ({ page }) => {
  let asked;
  server.accounts.on.login = (_body, response, request) => {
    asked = request.headers['accept-language'];
    json(response, 409, { error: { message: '今天不行', type: 'invalid_request_error', code: 'not_today', param: null } });
  };
  await page.getByRole('button', { name: '切换到中文' }).click();
  await logIn(page);
  await page.getByRole('alert').filter({ hasText: '今天不行' }).waitFor();
  assert.equal(asked, 'zh-CN');
});

browserTest('after too many attempts the time is counted down, and the button waits', at('/login'), async ({ page }) => {
  await page.clock.install();
  server.accounts.on.login = (_body, response) => refuseWith(response, 'too_many_attempts');
  await logIn(page);
  await page.clock.runFor(100);
  await page.getByRole('button', { name: 'Try again in 30 s' }).waitFor();
  await page.press('#password', 'Enter');
  await page.clock.runFor(12_000);
  await page.getByRole('button', { name: /Try again in 1[5-8] s/ }).waitFor();
  assert.doesNotMatch(await page.locator('.trouble [role=alert]').innerText(), /\d+ s/, 'an alert must not tick');
  assert.equal(server.accounts.called('login').length, 1, 'too early');
  await page.clock.runFor(19_000);
  server.accounts.on = {};
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(`${server.url}/`);
});

browserTest('a server that is down is said, and a button tries again', at('/login'), async ({ page }) => {
  server.accounts.on.login = (_body, response) => response.destroy();
  await logIn(page);
  await page.getByRole('alert').filter({ hasText: 'The server cannot be reached.' }).waitFor();
  await page.context().setOffline(true);
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('alert').filter({ hasText: 'Your device has no network.' }).waitFor();
  await page.context().setOffline(false);
  server.accounts.on = {};
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.waitForURL(`${server.url}/`);
});

browserTest('a server that never answers is given up', at('/login'), async ({ page }) => {
  await page.clock.install();
  server.accounts.on.login = () => undefined;
  await logIn(page);
  await until(() => server.accounts.called('login').length === 1, 'the request');
  await page.getByRole('button', { name: 'Logging in…' }).waitFor();
  await page.clock.fastForward(31_000);
  await page.getByRole('alert').filter({ hasText: 'The server did not answer in time.' }).waitFor();
});

browserTest('an answer that is not Portico\'s is said', at('/login'), async ({ page }) => {
  for (const body of ['<html>', '{}', 'null']) {
    server.accounts.on.login = (_body, response) => response.end(body);
    await logIn(page);
    await page.getByRole('alert').filter({ hasText: 'something this page does not understand' }).waitFor();
  }
});

browserTest('an input method keeps its Enter', at('/login'), async ({ page }) => {
  await page.fill('#password', password);
  await page.focus('#name');
  const session = await page.context().newCDPSession(page);
  await session.send('Input.imeSetComposition', { text: 'lin', selectionStart: 3, selectionEnd: 3 });
  await session.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 229 });
  await session.send('Input.insertText', { text: '林' });
  assert.equal(await page.inputValue('#name'), '林');
  assert.deepEqual(server.accounts.called('login'), []);
});

browserTest('everything works by keyboard alone, and the focus is seen', at('/login'), async ({ page }) => {
  await page.keyboard.type('lin');
  const seen = [];
  for (let i = 0; i < 3; i += 1) {
    await page.keyboard.press('Tab');
    seen.push(await page.evaluate(() => {
      const node = document.activeElement;
      const shown = getComputedStyle(node).outlineStyle !== 'none' || getComputedStyle(node.closest('.box') ?? node).boxShadow !== 'none';
      return `${node.id || node.getAttribute('aria-label') || node.textContent.trim()}${shown ? '' : ' (not seen)'}`;
    }));
  }
  assert.deepEqual(seen, ['password', 'Show the password', 'Log in']);
  await page.focus('#password');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/`);
});

browserTest('over plain http it is said that the password can be read, and all works there', at('/login', { host: 'portico.test' }), async ({ page }) => {
  assert.equal(await page.evaluate(() => window.isSecureContext || 'clipboard' in navigator || 'randomUUID' in crypto), false);
  await page.getByText('This page came over plain http').waitFor();
  await logIn(page);
  await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
});

browserTest('on loopback nobody is warned', at('/login'), async ({ page }) => {
  await page.locator('form').waitFor();
  assert.equal(await page.getByText('plain http').count(), 0);
});

for (const path of ['/login', '/account']) {
  browserTest(`in local mode ${path} says that nobody is asked`, { path }, async ({ page }) => {
    await page.getByRole('heading', { name: 'Nobody is asked to log in here' }).waitFor();
    await page.getByRole('link', { name: 'To the chat' }).click();
    await page.getByRole('heading', { name: 'What would you like to know?' }).waitFor();
  });
  browserTest(`where nobody exists ${path} says how to begin`, { path, arrange: (server) => (server.accounts.mode = 'closed') }, async ({ page }) => {
    await page.getByRole('heading', { name: 'Nobody can log in yet' }).waitFor();
    assert.equal(await page.locator('code').innerText(), 'portico user add NAME');
  });
}

browserTest('who came in by the network may still log in', { path: '/account', arrange: (server) => (server.accounts.mode = 'network') }, async ({ page }) => {
  await page.getByRole('heading', { name: 'You came in by your network' }).waitFor();
  await page.getByRole('link', { name: 'Log in' }).click();
  await logIn(page);
  await page.waitForURL(`${server.url}/`);
});

// Invitation and setup: their links.

browserTest('an invitation: the name is told, the token leaves the address bar, and the password lets in', at('/invite#a-token'), async ({ page }) => {
  await page.getByRole('heading', { name: 'Welcome, lin' }).waitFor();
  assert.equal(page.url(), `${server.url}/invite`);
  assert.equal(await page.evaluate(() => history.length <= 2), true, 'no entry with the token is left behind');
  assert.equal(await page.inputValue('[autocomplete=username]'), 'lin');
  await until(async () => (await focused(page)) === 'new-password', 'the focus on the password');
  await page.keyboard.type('short');
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('#new-password-problem').innerText(), 'Use at least 8 characters.');
  await page.keyboard.type(' and longer');
  assert.equal(await page.locator('#new-password-hint').innerText(), '16 characters: good.');
  server.accounts.on.invite = (_body, response) => refuseWith(response, 'password_refused', { message: 'It must not be your name.', param: 'new' });
  await page.keyboard.press('Enter');
  await page.getByText('It must not be your name.').waitFor();
  assert.equal(await focused(page), 'new-password');
  server.accounts.on = {};
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/`);
  assert.deepEqual(server.accounts.called('invite').at(-1), { token: 'a-token', password: 'short and longer' });
});

browserTest('an invitation that is no longer good says what to ask for', at('/invite#old'), async ({ page }) => {
  await page.getByRole('heading', { name: 'This invitation is no longer good' }).waitFor();
  assert.equal(await page.locator('code').innerText(), 'portico user invite NAME');
  // A new link in the same tab changes only the fragment.
  await page.evaluate(() => (location.hash = '#a-token'));
  await page.getByRole('heading', { name: 'Welcome, lin' }).waitFor();
  server.accounts.on.invite = (_body, response) => refuseWith(response, 'invitation_invalid');
  await page.fill('#new-password', 'long enough');
  await page.press('#new-password', 'Enter');
  await page.getByRole('heading', { name: 'This invitation is no longer good' }).waitFor();
});

browserTest('an invitation that cannot be read now can be tried again', at('/invite#a-token', {
  arrange(server) {
    closed(server);
    server.accounts.on.invitation = (_body, response) => refuseWith(response, 'server_busy');
  },
}), async ({ page }) => {
  await trouble(page).waitFor();
  server.accounts.on = {};
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('heading', { name: 'Welcome, lin' }).waitFor();
});

for (const path of ['/invite', '/setup']) {
  browserTest(`${path} without its secret says that the link is not whole`, at(path), async ({ page }) => {
    await page.getByRole('heading', { name: 'The link is not whole' }).waitFor();
    assert.deepEqual(server.accounts.calls, []);
  });
}

browserTest('setup makes the first operator and tells how others come in', { path: '/setup#a-token', arrange: (server) => (server.accounts.mode = 'closed') }, async ({ page }) => {
  assert.equal(page.url(), `${server.url}/setup`);
  await page.getByRole('button', { name: 'Make the account' }).click();
  assert.equal(await focused(page), 'name');
  await page.keyboard.type('a/b');
  await page.press('#name', 'Enter');
  assert.equal(await focused(page), 'new-password');
  await page.keyboard.type('long enough');
  server.accounts.on.setup = (_body, response) => refuseWith(response, 'password_refused', { code: 'invalid_value', message: 'No slash, please.', param: 'name' });
  await page.keyboard.press('Enter');
  await page.getByText('No slash, please.').waitFor();
  assert.equal(await focused(page), 'name');
  server.accounts.on = {};
  await page.fill('#name', 'ada');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/account`);
  await page.getByText('portico user invite NAME').waitFor();
  assert.deepEqual(server.accounts.called('setup').at(-1), { token: 'a-token', name: 'ada', password: 'long enough' });
});

browserTest('a setup link that is no longer good says why and what else there is', { path: '/setup#old', arrange: (server) => (server.accounts.users = [operator]) }, async ({ page }) => {
  await page.fill('#name', 'ada');
  await page.fill('#new-password', 'long enough');
  await page.press('#new-password', 'Enter');
  await page.getByRole('heading', { name: 'This setup link is no longer good' }).waitFor();
  await page.getByText('older than 15 minutes').waitFor();
});

browserTest('no secret and no password is kept in the browser', at('/invite#a-token'), async ({ page }) => {
  await page.fill('#new-password', 'long enough');
  await page.press('#new-password', 'Enter');
  await page.waitForURL(`${server.url}/`);
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.doesNotMatch(kept, /a-token|long enough|session=/);
  assert.match(kept, new RegExp(member.name));
});
