// Who may come in, for real: a Portico that asks, a real browser, over https and over plain http at a name that is no loopback.
//   PORTICO_BINARY     the program
//   PORTICO_SCRIPTED   the socket of a scripted model server
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { faults as axeFaults } from './support/axe.mjs';
import { chromiumPath, launch, open } from './support/browser.mjs';
import { ask, phase, until } from './support/suite.mjs';

const binary = process.env.PORTICO_BINARY;
const model = process.env.PORTICO_SCRIPTED;
const skip = !binary || !model ? 'PORTICO_BINARY or PORTICO_SCRIPTED is not set' : !chromiumPath ? 'no Chromium was found' : false;
const execute = promisify(execFile);
const password = 'long enough for anybody';

/** @type {import('playwright-core').Browser} */ let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(async () => browser?.close());

const freePort = () => new Promise((resolve, reject) => {
  const server = createServer();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** A Portico that has nobody yet. `secure`: https with its own authority, else plain http at portico.test. */
async function house(secure) {
  const folder = await mkdtemp(join(tmpdir(), 'portico-door-'));
  const port = await freePort();
  const file = join(folder, 'portico.toml');
  const listen = secure ? `http = []\nhttps = ["127.0.0.1:${port}"]` : `http = ["127.0.0.1:${port}"]`;
  await writeFile(file, `
[site]
data_dir = "${folder}/data"
${secure ? '' : 'names = ["portico.test"]'}
[listen]
${listen}
admin = "unix:${folder}/admin.sock"
[tls]
issuer = "${secure ? 'local' : 'off'}"
[access]
deny = ["203.0.113.0/24"]
[log]
access = "${folder}/access.log"
[[model]]
name = "scripted"
upstream_name = "scripted-model"
engine = "external"
endpoints = ["unix:${model}"]
`);
  const running = spawn(binary, ['run', '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => running.once('exit', resolve));
  let said = '';
  running.stdout.on('data', (piece) => (said += piece));
  await until(() => /setup#\S+/.test(said), 'the setup link');
  const url = secure ? `https://localhost:${port}` : `http://portico.test:${port}`;
  return {
    url,
    setup: said.match(/setup#\S+/)[0],
    command: (...words) => execute(binary, [...words, '--config', file]),
    tell: (input, ...words) => {
      const told = execute(binary, [...words, '--config', file]);
      told.child.stdin.end(input);
      return told;
    },
    async close() {
      running.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function logIn(page, name, secret = password) {
  await page.fill('#name', name);
  await page.fill('#password', secret);
  await page.press('#password', 'Enter');
}

/** axe asks for styles in ways that the page's policy forbids. */
const provoked = /^policy: style-src/;

async function visit(house, path, run, options = {}) {
  const visited = await open(browser, house.url, { ignoreHTTPSErrors: true, path, ...options });
  try {
    await run(visited.page, visited);
    assert.deepEqual(visited.faults.filter((fault) => !provoked.test(fault)), [], 'errors or policy violations in the page');
    assert.deepEqual(visited.elsewhere, [], 'the page asked another origin');
  } finally {
    await visited.close();
  }
}

for (const secure of [true, false]) {
  const where = secure ? 'https' : 'plain http at a name in the LAN';

  test(`${where}: setup, logout, login, an invitation, the account, and a session that ends with a draft`, { skip, timeout: 240_000 }, async () => {
    const portico = await house(secure);
    try {
      await visit(portico, `/${portico.setup}`, async (page) => {
        await page.fill('#name', 'boss');
        await page.fill('#new-password', password);
        assert.deepEqual(await axeFaults(page), [], 'setup');
        await page.press('#new-password', 'Enter');
        await page.getByRole('heading', { name: 'Your account' }).waitFor();
        const [cookie] = await page.context().cookies();
        assert.deepEqual(
          { name: cookie.name, secure: cookie.secure, httpOnly: cookie.httpOnly, sameSite: cookie.sameSite },
          { name: secure ? '__Host-portico' : 'portico', secure, httpOnly: true, sameSite: 'Lax' },
        );
        assert.equal(await page.evaluate(() => window.isSecureContext), secure);

        // A key, made here, opens the API.
        await page.fill('#key-name', 'laptop');
        await page.getByRole('button', { name: 'Create the key' }).click();
        await page.locator('.shown').waitFor();
        assert.deepEqual(await axeFaults(page), [], 'account');
        const key = (await page.locator('.shown pre').first().innerText()).trim();
        assert.match(key, /^pk-[0-9A-Za-z]{49}$/);
        const status = await page.evaluate(async (key) => {
          const answer = await fetch('/v1/models', { headers: { Authorization: `Bearer ${key}` }, credentials: 'omit' });
          return answer.status;
        }, key);
        assert.equal(status, 200);

        await page.goto(`${portico.url}/`);
        await ask(page, 'hello');
        await phase(page, 'done');
        await page.getByRole('button', { name: 'Account of boss' }).click();
        await page.getByRole('button', { name: 'Log out' }).click();
        await page.waitForURL(`${portico.url}/login`);
        assert.deepEqual(await page.context().cookies(), []);

        // What asks for identity shows the login at its own address.
        const refused = await page.goto(`${portico.url}/`);
        assert.equal(refused.status(), 401);
        assert.deepEqual(await axeFaults(page), [], 'login');
        await logIn(page, 'boss', 'wrong');
        await page.getByRole('alert').filter({ hasText: 'The name or the password is wrong.' }).waitFor();
        await logIn(page, 'boss');
        await page.locator('#message').waitFor();

        // The operator ends the session while something is being written.
        await page.fill('#message', 'half a thought, and hello');
        await portico.tell('another password', 'user', 'passwd', 'boss', '--password-stdin');
        await page.press('#message', 'Enter');
        const dialog = page.getByRole('dialog', { name: 'Log in to go on' });
        await dialog.waitFor();
        assert.deepEqual(await axeFaults(page), [], 'the login over the chat');
        await logIn(page, 'boss', 'another password');
        await dialog.waitFor({ state: 'detached' });
        await phase(page, 'done');
        await page.getByText('half a thought, and hello').first().waitFor();
      });

      const { stdout } = await portico.command('user', 'add', 'lin', '--json');
      const link = new URL(JSON.parse(stdout).invitation);
      await visit(portico, link.pathname + link.hash, async (page) => {
        await page.locator('#new-password').waitFor();
        assert.equal(await page.inputValue('#name'), 'lin');
        assert.equal(new URL(page.url()).hash, '', 'the token left the address bar');
        assert.deepEqual(await axeFaults(page), [], 'invitation');
        await page.fill('#new-password', password);
        await page.press('#new-password', 'Enter');
        await page.locator('#message').waitFor();
        await page.goto(`${portico.url}${link.pathname}${link.hash}`);
        await page.locator('code').filter({ hasText: 'portico user invite' }).waitFor();
      });
    } finally {
      await portico.close();
    }
  });

  test(`${where}: the login in Chinese, in the dark, on a phone`, { skip, timeout: 120_000 }, async () => {
    const portico = await house(secure);
    try {
      await portico.tell(password, 'user', 'add', '小明', '--password-stdin');
      const phone = { locale: 'zh-CN', colorScheme: 'dark', viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true };
      await visit(portico, '/', async (page) => {
        await page.getByRole('button', { name: '登录' }).waitFor();
        assert.deepEqual(await axeFaults(page), []);
        await logIn(page, '小明');
        await page.locator('#message').waitFor();
        await page.goto(`${portico.url}/account`);
        await page.getByText('小明').first().waitFor();
        assert.deepEqual(await axeFaults(page), []);
      }, phone);
    } finally {
      await portico.close();
    }
  });
}
