import assert from 'node:assert/strict';
import { test } from 'node:test';
import { source } from './support/source.mjs';

const { MarkdownStream, safeUrl } = await source('lib/markdown.ts');
const words = { copyCode: 'Copy', blockedImage: 'Picture not loaded' };
const render = (text) => new MarkdownStream(words).update(text, true).join('');

const sample = `Intro with **bold**, \`code\` and [a link][ref].

# Title

- one
- two
  - nested

  more of two

1. first
2. second

\`\`\`js
const a = 1;

// a blank line above
\`\`\`

| a | b |
|---|--:|
| 1 | 2 |

> quote

Setext
---

- [x] done
- [ ] open

[ref]: https://example.org/x
`;

test('a text that grows letter by letter ends as the text that came at once', () => {
  for (const ending of ['\n', '\r\n']) {
    const text = sample.replaceAll('\n', ending);
    const whole = new MarkdownStream(words).update(text, true);
    for (const step of [1, 2, 7]) {
      const stream = new MarkdownStream(words);
      for (let at = step; at < text.length; at += step) stream.update(text.slice(0, at));
      assert.deepEqual(stream.update(text, true), whole, `step ${step}`);
    }
  }
});

test('closed blocks are frozen: they are the very same strings, and their number never shrinks below them', () => {
  const stream = new MarkdownStream(words);
  const paragraphs = Array.from({ length: 30 }, (_, i) => `Paragraph ${i} with *words*.`).join('\n\n');
  let previous = [];
  for (let at = 1; at < paragraphs.length; at += 3) {
    const blocks = stream.update(paragraphs.slice(0, at));
    for (let i = 0; i < previous.length - 2; i += 1) assert.equal(blocks[i], previous[i]);
    previous = blocks;
  }
  assert.equal(previous.length, 30);
});

test('time grows with the text, not with its square', () => {
  const text = 'A paragraph of *some* words, `code` and more.\n\n'.repeat(2_000);
  const stream = new MarkdownStream(words);
  const started = performance.now();
  for (let at = 0; at < text.length; at += 100) stream.update(text.slice(0, at));
  const took = performance.now() - started;
  // Parsing all of it each time takes minutes; this takes about a tenth of a second.
  assert.ok(took < 5_000, `${took} ms`);
});

test('raw HTML is text', () => {
  for (const html of [
    '<script>alert(1)</script>', '<img src=x onerror=alert(1)>', 'a <b onclick="x()">b</b> c', '<style>*{}</style>',
    '<iframe src="https://evil.example"></iframe>', '<!-- x -->', '<svg><a xlink:href="javascript:x">',
    '<form action=//evil.example><input>', '<meta http-equiv=refresh content=0>', '<a href="javascript:x">x</a>',
  ]) {
    const out = render(html);
    assert.doesNotMatch(out, /<(script|img|b|style|iframe|svg|form|input|meta|!--|a)\b/i, html);
    assert.match(out, /&lt;/, html);
  }
});

test('markdown cannot carry HTML in its own parts', () => {
  const attacks = [
    '[x](https://a.example/"onmouseover="alert(1))', '[x](<https://a.example/" onclick="y>)', '[<img src=x onerror=y>](https://a.example)',
    '![" onerror="alert(1)](https://a.example/x.png)', '```"><img src=x onerror=y>\ncode</code></pre><script>x</script>\n```',
    '`<script>x</script>`', '# <img src=x>', '| <img src=x> |\n|---|\n| <script>y</script> |',
    '[x]: https://a.example/ "t\\" onclick=\\"y"\n\n[x]', '<https://a.example/?"onclick=y>', '&lt;script&gt;x&lt;/script&gt;',
  ];
  for (const attack of attacks) {
    const out = render(attack);
    // Every tag in the result is one of ours, and none of them carries a handler.
    for (const [tag, name] of out.matchAll(/<\/?([a-z0-9]+)[^>]*>/gi)) {
      assert.match(name, /^(p|br|a|span|div|pre|code|button|table|thead|tbody|tr|th|td|h[3-6]|li|ul|ol|strong|em)$/, `${attack} gave ${tag}`);
      assert.doesNotMatch(tag.replace(/"[^"]*"/g, '""'), /\son\w+=|style=|src=/i, `${attack} gave ${tag}`);
    }
  }
});

test('links lead to the web or to a mail program, and nowhere else', () => {
  for (const href of [
    'javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'java\tscript:x', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd', 'blob:x',
    '//evil.example', '/logout', 'chat.html', '#top', 'http:evil', ' javascript:x', 'portico://x',
  ]) {
    assert.equal(safeUrl(href), undefined, href);
    assert.doesNotMatch(render(`[x](<${href}>)`), /<a\b/, href);
  }
  const out = render('[docs](https://docs.example/page)');
  assert.match(out, /<a href="https:\/\/docs\.example\/page" target="_blank" rel="noopener noreferrer">docs<\/a>/);
  assert.match(out, /\(docs\.example\)/, 'a link whose text hides its host shows it');
  assert.doesNotMatch(render('https://docs.example/page'), /class="host"/, 'a link that shows it need not say it twice');
});

test('pictures of an answer are never loaded', () => {
  for (const source of ['![x](https://evil.example/?q=secret)', '![x](data:image/png;base64,AA)', '![x](/v1/models)', '![x][r]\n\n[r]: https://evil.example/y.png']) {
    assert.doesNotMatch(render(source), /<img|src=/i, source);
    assert.match(render(source), /Picture not loaded: x/, source);
  }
});
