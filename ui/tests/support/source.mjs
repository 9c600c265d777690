// Node reads no TypeScript by itself at the version we support; the modules under test are bundled into memory.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { svelte } from '../../build.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

async function bundle(path, options) {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [`src/${path}`],
    bundle: true,
    write: false,
    logLevel: 'silent',
    ...options,
  });
  return outputFiles[0].contents;
}

/** Imports a module of `src/` that needs neither a browser nor Svelte. */
export async function source(path) {
  const contents = await bundle(path, { format: 'esm', platform: 'neutral', mainFields: ['module', 'main'] });
  return import(`data:text/javascript;base64,${Buffer.from(contents).toString('base64')}`);
}

/** A module of `src/` as a script that leaves its exports in the global `name`, for use inside a page. */
export async function script(path, name) {
  return Buffer.from(await bundle(path, { format: 'iife', platform: 'browser', globalName: name, footer: { js: `globalThis.${name} = ${name};` } })).toString('utf8');
}

/** The files that a module of `src/` is made of, itself included. */
export async function parts(path) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [`src/${path}`],
    bundle: true,
    write: false,
    metafile: true,
    outdir: 'unused',
    format: 'esm',
    conditions: ['svelte', 'browser', 'production'],
    plugins: [svelte],
    logLevel: 'silent',
  });
  return Object.keys(metafile.inputs);
}
