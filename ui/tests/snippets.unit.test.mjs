import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { source } from './support/source.mjs';

const { curlSnippet, pythonSnippet } = await source('account/snippets.ts');
const { viewAt } = await source('account/view.ts');

const calls = [
  { origin: 'https://chat.example.com', key: 'pk-0123', model: 'qwen3-vl-8b' },
  { origin: 'http://[::1]:8080', key: 'pk-0123', model: `org/it's "quoted" $HOME \`x\` \\ 模型` },
];

test('a shell gives curl what was meant', () => {
  for (const call of calls) {
    const { stdout, stderr } = spawnSync('sh', ['-c', `curl() { printf '%s\\0' "$@"; }\n${curlSnippet(call)}`], { encoding: 'utf8' });
    const [address, ...rest] = stdout.split('\0').slice(0, -1);
    assert.equal(stderr, '');
    assert.equal(address, `${call.origin}/v1/chat/completions`);
    assert.deepEqual(rest.slice(0, 5), ['-H', `Authorization: Bearer ${call.key}`, '-H', 'Content-Type: application/json', '-d']);
    assert.deepEqual(JSON.parse(rest[5]), { model: call.model, messages: [{ role: 'user', content: 'Hello' }] });
  }
});

const python = spawnSync('python3', ['--version']).status === 0;
test('Python reads what was meant', { skip: !python && 'there is no python3' }, () => {
  const read = 'import ast, json, sys; print(json.dumps([node.value for node in ast.walk(ast.parse(sys.stdin.read())) if isinstance(node, ast.Constant)]))';
  for (const call of calls) {
    const { stdout, stderr } = spawnSync('python3', ['-c', read], { encoding: 'utf8', input: pythonSnippet(call) });
    assert.equal(stderr, '');
    for (const text of [`${call.origin}/v1`, call.key, call.model]) assert.ok(JSON.parse(stdout).includes(text), text);
  }
});

test('the address decides what is shown', () => {
  for (const [path, view] of [
    ['/login', 'login'], ['/account', 'account'], ['/account/', 'account'], ['/invite', 'invite'], ['/setup', 'setup'],
    ['/', 'login'], ['/chat.html', 'login'], ['/accounts', 'login'], ['/x/account', 'login'], ['/constructor', 'login'],
  ]) {
    assert.equal(viewAt(path), view, path);
  }
});
