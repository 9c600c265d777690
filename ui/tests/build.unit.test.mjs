import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { budgetBytes, counted, sizes } from '../build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const rows = await sizes(dist);

test('the pages stay within their budget', () => {
  const total = counted(rows).reduce((sum, { brotli }) => sum + brotli, 0);
  assert.ok(total > 10_000, `only ${total} bytes: the build is not whole`);
  assert.ok(total <= budgetBytes, `${total} of ${budgetBytes} bytes after brotli`);
});

test('the build holds pages, hashed assets and the icon, nothing else', async () => {
  const used = new Set();
  for (const { name } of rows) {
    assert.match(name, /^(chat\.html|account\.html|favicon\.svg|assets\/chat-[A-Z0-9]{8}\.(js|css)|account\/assets\/(account|shared|favicon)-[A-Z0-9]{8}\.(js|css|svg))$/);
  }
  const names = new Set(rows.map(({ name }) => `/${name}`));
  for (const page of ['chat.html', 'account.html']) {
    const html = await readFile(join(dist, page), 'utf8');
    const links = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link]) => link);
    assert.equal(links.length, 4, page);
    for (const link of links) {
      assert.ok(names.has(link), `${link} is not in the build`);
      used.add(link);
    }
    assert.doesNotMatch(html, /<script>|<style|style=|%[A-Z]+%/);
  }
  for (const name of names) assert.ok(/\.html$/.test(name) || used.has(name), `${name} is used by no page`);
});

test('what the account page needs lies in the folder that everybody may read', async () => {
  const html = await readFile(join(dist, 'account.html'), 'utf8');
  for (const [, link] of html.matchAll(/(?:href|src)="([^"]+)"/g)) assert.match(link, /^\/account\/assets\//);
  for (const { name } of rows.filter(({ name }) => name.startsWith('account/assets/') && name.endsWith('.js'))) {
    const script = await readFile(join(dist, name), 'utf8');
    // A bundle names what it imports, all of it named before.
    for (const [, path] of script.matchAll(/(?:from|import)\s*"(\.[^"]+)"/g)) assert.match(path, /^\.\/shared-/, `${name} imports ${path}`);
  }
});

test('the account page costs little beside what it shares', () => {
  const own = rows.filter(({ name }) => /^account(\.html|\/assets\/account-)/.test(name)).reduce((sum, { brotli }) => sum + brotli, 0);
  assert.ok(own > 5_000 && own <= 25 * 1024, `${own} bytes after brotli`);
});

test('the lock file names no registry', async () => {
  const lock = await readFile(join(root, 'package-lock.json'), 'utf8');
  assert.doesNotMatch(lock, /"resolved"/);
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is not pinned`);
  }
});
