// Node reads no TypeScript by itself at the version we support; the modules under test are bundled into memory.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Imports a module of `src/` that needs neither a browser nor Svelte. */
export async function source(path) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [`src/${path}`],
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    write: false,
    logLevel: 'silent',
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}
