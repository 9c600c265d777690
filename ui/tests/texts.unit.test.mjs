import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'svelte/compiler';
import { parts, source } from './support/source.mjs';

const { languages, learn, translate, preferredLanguage } = await source('i18n.ts');
const { sharedTexts } = await source('texts/shared.ts');
const { chatTexts } = await source('texts/chat.ts');
const { accountTexts } = await source('texts/account.ts');
const { failureTexts } = await source('chat/failures.ts');
const texts = { ...sharedTexts, ...chatTexts, ...accountTexts };
learn(texts);
const src = fileURLToPath(new URL('../src', import.meta.url));

const placeholders = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
const chinese = /\p{Script=Han}/u;
/** The name of each language is written in itself, and a picture of the other one. */
const mirrored = new Set(['switchLanguage', 'switchLanguageLabel']);

test('every text exists in both languages, with the same placeholders', () => {
  assert.deepEqual(languages, ['en', 'zh']);
  for (const [key, text] of Object.entries(texts)) {
    assert.deepEqual(Object.keys(text).sort(), ['en', 'zh'], key);
    for (const language of languages) assert.ok(text[language].trim().length > 0, `${key} is empty in ${language}`);
    assert.deepEqual(placeholders(text.zh), placeholders(text.en), `${key}: placeholders differ`);
    if (mirrored.has(key)) continue;
    assert.doesNotMatch(text.en, chinese, `${key}: Chinese in the English text`);
    if (placeholders(text.en).length === 0) assert.match(text.zh, chinese, `${key}: no Chinese in the Chinese text`);
  }
});

test('every text is used', async () => {
  const files = await readdir(src, { recursive: true });
  const code = await Promise.all(
    files.filter((name) => /\.(svelte|ts)$/.test(name) && !name.startsWith('texts/')).map((name) => readFile(join(src, name), 'utf8')),
  );
  const all = code.join('\n');
  for (const key of Object.keys(texts)) assert.ok(all.includes(`'${key}'`), `${key} is used nowhere`);
});

test('no text stands in two places', () => {
  const count = [sharedTexts, chatTexts, accountTexts].reduce((sum, part) => sum + Object.keys(part).length, 0);
  assert.equal(Object.keys(texts).length, count);
});

test('every page knows the texts that it uses', async () => {
  for (const [page, own] of [['chat', chatTexts], ['account', accountTexts]]) {
    const inputs = (await parts(`${page}/main.ts`)).filter((path) => path.startsWith('src/') && !path.startsWith('src/texts/'));
    assert.ok(inputs.length > 10, `${page}: the parts were not found`);
    const known = new Set([...Object.keys(sharedTexts), ...Object.keys(own)]);
    for (const path of inputs) {
      const code = await readFile(join(src, '..', path), 'utf8');
      // What `t` is called with; in a file with a table of texts, every quoted word.
      const said = code.includes('PlainKey') ? [code] : [...code.matchAll(/\bt\(([^()]*(?:\([^()]*\)[^()]*)*)\)/g)].map(([, call]) => call);
      for (const [, word] of said.join('\n').matchAll(/'(\w+)'/g)) {
        assert.ok(!(word in texts) || known.has(word), `${path} of the page ${page} says '${word}', which that page does not know`);
      }
    }
  }
});

/** Calls `visit` for every node of a compiled component's syntax tree. */
function walk(node, visit) {
  if (!node || typeof node !== 'object') return;
  if (typeof node.type === 'string') visit(node);
  for (const [key, value] of Object.entries(node)) {
    if (key !== 'css' && key !== 'instance' && key !== 'module') [value].flat().forEach((child) => walk(child, visit));
  }
}

test('no component holds words of its own', async () => {
  const read = new Set(['aria-label', 'title', 'placeholder', 'alt']);
  let seen = 0;
  for (const name of (await readdir(src, { recursive: true })).filter((file) => file.endsWith('.svelte'))) {
    const words = [];
    walk(parse(await readFile(join(src, name), 'utf8'), { modern: true }).fragment, (node) => {
      seen += 1;
      if (node.type === 'Fragment') words.push(...node.nodes.filter(({ type }) => type === 'Text').map(({ data }) => data));
      if (node.type === 'Attribute' && read.has(node.name)) {
        words.push(...[node.value].flat().filter(({ type }) => type === 'Text').map(({ data }) => data));
      }
    });
    for (const word of words) assert.ok(word === 'Portico' || !/\p{L}/u.test(word), `${name} holds the words ${JSON.stringify(word)}`);
  }
  assert.ok(seen > 200, 'the trees were not walked');
});

test('a browser without scripts is told so in both languages', async () => {
  for (const page of ['chat', 'account']) {
    const html = await readFile(join(src, page, `${page}.html`), 'utf8');
    const [, words] = /<noscript>(.*)<\/noscript>/.exec(html) ?? [];
    assert.match(words, /JavaScript\..*lang="zh-CN".*\p{Script=Han}/u);
  }
});

test('every failure has words', () => {
  for (const [kind, { title, advice }] of Object.entries(failureTexts)) {
    assert.ok(texts[title] && texts[advice], kind);
  }
});

test('values are filled in, and a dollar sign in them is only a dollar sign', () => {
  assert.equal(translate('en', 'stepQueued', { position: 3 }), 'Waiting, position 3');
  assert.equal(translate('zh', 'stepQueued', { position: 3 }), '排队中，第 3 位');
  assert.equal(translate('en', 'removeImage', { name: '$& {name}' }), 'Remove $& {name}');
});

test('the browser decides the language', () => {
  assert.equal(preferredLanguage(['zh-TW', 'en']), 'zh');
  assert.equal(preferredLanguage(['de', 'zh-Hans-CN', 'en']), 'zh');
  assert.equal(preferredLanguage(['de', 'en-GB', 'zh']), 'en');
  assert.equal(preferredLanguage(['fr']), 'en');
  assert.equal(preferredLanguage([]), 'en');
});
