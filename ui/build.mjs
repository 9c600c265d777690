// Builds every page into `dist/`: PAGE.html, content-hashed files in the page's own folder of assets, and static files as
// they are. Nothing else may be written there: the server embeds the whole folder.
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import * as esbuild from 'esbuild';
import { compile, compileModule } from 'svelte/compiler';

const root = dirname(fileURLToPath(import.meta.url));

/**
 * One entry per page: the folder `src/NAME/` holds `main.ts` and `NAME.html`. What the account page needs is served to
 * people whom the server does not know yet, the chat page's files are not; so each page has a folder of assets.
 */
export const pages = [
  { name: 'chat', assets: 'assets' },
  { name: 'account', assets: 'account/assets' },
];

/** What pages share is in the folder that everybody may read. */
const sharedAssets = 'account/assets';

/** Everything a first visit may cost, all pages' HTML, JS and CSS together, after brotli. */
export const budgetBytes = 100 * 1024;

const toDiagnostic = (error, file, source) => ({
  text: error.message,
  location: error.start && {
    file,
    line: error.start.line,
    column: error.start.column,
    lineText: source.split('\n')[error.start.line - 1] ?? '',
  },
});

/** Svelte's own compiler as an esbuild plugin. A warning fails the build: most of them are accessibility faults. */
export const svelte = {
  name: 'svelte',
  setup(build) {
    // Styles become part of the page's one style sheet: injecting them would need `style-src 'unsafe-inline'`.
    const styles = new Map();
    build.onResolve({ filter: /^svelte-style:/ }, ({ path }) => ({ path: path.slice(13), namespace: 'svelte-style' }));
    build.onLoad({ filter: /.*/, namespace: 'svelte-style' }, ({ path }) => ({
      contents: styles.get(path),
      loader: 'css',
      resolveDir: dirname(path),
    }));
    build.onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      try {
        const { js, css, warnings } = compile(source, { filename: path, rootDir: root, css: 'external', runes: true });
        if (css) styles.set(path, css.code);
        return {
          contents: css ? `${js.code}\nimport ${JSON.stringify(`svelte-style:${path}`)};` : js.code,
          resolveDir: dirname(path),
          loader: 'js',
          errors: warnings.map((warning) => toDiagnostic(warning, path, source)),
        };
      } catch (error) {
        return { errors: [toDiagnostic(error, path, source)] };
      }
    });
    build.onLoad({ filter: /\.svelte\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      try {
        const { code } = await esbuild.transform(source, { loader: 'ts', target: 'esnext', sourcefile: path });
        return { contents: compileModule(code, { filename: path, rootDir: root }).js.code, loader: 'js' };
      } catch (error) {
        return { errors: [toDiagnostic(error, path, source)] };
      }
    });
  },
};

/** Refuses what the page's Content-Security-Policy would block in the browser. */
function assertNoInline(html, page) {
  for (const [pattern, what] of [
    [/<script(?![^>]*\ssrc=)/i, 'an inline script'],
    [/<style/i, 'an inline style sheet'],
    [/\sstyle=/i, 'a style attribute'],
    [/\son[a-z]+=/i, 'an event attribute'],
  ]) {
    if (pattern.test(html)) throw new Error(`${page}.html holds ${what}, which the page's policy blocks`);
  }
}

/** Makes the folder hold these files and no others. What is there already is left as it is: to touch it would make the
 * server be built anew. */
async function fill(dist, files) {
  for (const { assets } of pages) await mkdir(join(dist, assets), { recursive: true });
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && !files.has(path)) await rm(path);
  }
  for (const [path, contents] of files) {
    const there = await readFile(path).catch(() => undefined);
    if (!there?.equals(Buffer.from(contents))) await writeFile(path, contents);
  }
}

/** Puts the addresses of the page's files into its HTML. Shared code is named too, or it would be asked for one round later. */
function fillTemplate(template, { outputs }, { name }, icon) {
  const entry = Object.entries(outputs).find(([, output]) => output.entryPoint === `src/${name}/main.ts`);
  if (!entry) throw new Error(`no bundle came out for the page ${name}`);
  const address = (path) => `/${path.replace(/^dist\//, '')}`;
  const [script, { cssBundle, imports }] = entry;
  const preloads = imports.map(({ path }) => `<link rel="modulepreload" href="${address(path)}">`);
  return template
    .replace('%STYLE%', cssBundle ? address(cssBundle) : '')
    .replace('%PRELOAD%', preloads.join('\n'))
    .replace('%SCRIPT%', address(script))
    .replace('%ICON%', icon)
    .replace(/^\s*<!--.*?-->\n/gms, '');
}

/** The icon's address. Among a page's own assets it needs a name that changes with it. */
async function hashedIcon({ assets }, files) {
  if (assets !== sharedAssets) return '/favicon.svg';
  const icon = await readFile(join(root, 'src/static/favicon.svg'));
  const hash = createHash('sha256').update(icon).digest('hex').slice(0, 8).toUpperCase();
  files.set(join(root, 'dist', assets, `favicon-${hash}.svg`), icon);
  return `/${assets}/favicon-${hash}.svg`;
}

export async function build() {
  const dist = join(root, 'dist');
  const files = new Map();

  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: pages.map(({ name, assets }) => ({ in: `src/${name}/main.ts`, out: `${assets}/${name}` })),
    bundle: true,
    format: 'esm',
    splitting: true,
    target: 'es2022',
    minify: true,
    legalComments: 'eof',
    sourcemap: false,
    conditions: ['svelte', 'browser', 'production'],
    define: { 'process.env.NODE_ENV': '"production"' },
    outdir: 'dist',
    // Eight base32 characters of a hash of the content: the server may call these files immutable.
    entryNames: '[dir]/[name]-[hash]',
    chunkNames: `${sharedAssets}/shared-[hash]`,
    plugins: [svelte],
    metafile: true,
    write: false,
    logLevel: 'silent',
  });
  for (const file of outputFiles) files.set(file.path, file.contents);

  for (const page of pages) {
    const template = await readFile(join(root, 'src', page.name, `${page.name}.html`), 'utf8');
    const html = fillTemplate(template, metafile, page, await hashedIcon(page, files));
    assertNoInline(html, page.name);
    files.set(join(dist, `${page.name}.html`), html);
  }
  for (const name of await readdir(join(root, 'src/static'))) {
    files.set(join(dist, name), await readFile(join(root, 'src/static', name)));
  }
  await fill(dist, files);
  return sizes(dist);
}

/** Every file of the build with its size as it is and after brotli, as the server will send it. */
export async function sizes(dist = join(root, 'dist')) {
  const rows = [];
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const bytes = await readFile(path);
    const packed = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
    rows.push({ name: path.slice(dist.length + 1), bytes: bytes.length, brotli: packed.length });
  }
  return rows.sort((a, b) => a.name.localeCompare(b.name));
}

export const counted = (rows) => rows.filter(({ name }) => /\.(js|css|html)$/.test(name));

async function main() {
  let rows;
  try {
    rows = await build();
  } catch (error) {
    const messages = error.errors ?? [];
    if (messages.length === 0) throw error;
    console.error((await esbuild.formatMessages(messages, { kind: 'error', color: process.stderr.isTTY })).join('\n'));
    process.exit(1);
  }
  const total = counted(rows).reduce((sum, row) => sum + row.brotli, 0);
  if (!process.argv.includes('--quiet')) {
    const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`.padStart(11);
    for (const row of rows) console.log(`${row.name.padEnd(28)}${kib(row.bytes)}${kib(row.brotli)} br`);
    console.log(`${'js + css + html'.padEnd(39)}${kib(total)} br of ${kib(budgetBytes).trim()}`);
  }
  if (total > budgetBytes) {
    console.error(`The pages are over their size budget: ${total} of ${budgetBytes} bytes after brotli.`);
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
