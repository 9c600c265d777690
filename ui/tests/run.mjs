// Runs the tests that need no server, and those that need a browser where there is one.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromiumPath } from './support/browser.mjs';

const folder = fileURLToPath(new URL('.', import.meta.url));
const ends = chromiumPath ? ['.unit.test.mjs', '.browser.test.mjs'] : ['.unit.test.mjs'];
if (!chromiumPath) {
  console.error('SKIPPED: the browser tests. No Chromium was found; `apt-get install chromium` or set CHROMIUM.');
}
const files = readdirSync(folder).filter((name) => ends.some((end) => name.endsWith(end)));
const { status } = spawnSync(process.execPath, ['--test', '--test-concurrency=2', ...files.map((name) => folder + name)], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
