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
  for (const { name } of rows) assert.match(name, /^(chat\.html|favicon\.svg|assets\/chat-[A-Z0-9]{8}\.(js|css))$/);
  const names = new Set(rows.map(({ name }) => `/${name}`));
  const html = await readFile(join(dist, 'chat.html'), 'utf8');
  const links = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, link]) => link);
  assert.equal(links.length, 3);
  for (const link of links) assert.ok(names.has(link), `${link} is not in the build`);
  for (const name of names) assert.ok(name === '/chat.html' || links.includes(name), `${name} is used by no page`);
  assert.doesNotMatch(html, /<script>|<style|style=|%[A-Z]+%/);
});

test('the lock file names no registry', async () => {
  const lock = await readFile(join(root, 'package-lock.json'), 'utf8');
  assert.doesNotMatch(lock, /"resolved"/);
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, `${name} is not pinned`);
  }
});
