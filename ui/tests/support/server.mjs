// A scripted stand-in for Portico: serves the built page with Portico's own policy, and answers as each test says.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Accounts } from './accounts.mjs';
import { json, refuse } from './answers.mjs';

export { refuse } from './answers.mjs';

export const dist = fileURLToPath(new URL('../../dist', import.meta.url));

/** What Portico sends with its pages. */
export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; " +
  'trusted-types svelte-trusted-html dompurify portico';

/** Every call waits so many milliseconds: finds tests that only hold where answers are fast. */
const slowness = Number(process.env.PORTICO_TEST_SLOW ?? 0);

/** The addresses of the account's page, which the server gives to everybody. */
const accountPages = new Set(['/login', '/account', '/invite', '/setup']);

const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

export const textModel = { id: 'writer-1', modalities: ['text'], max_model_len: 4096, state: 'ready' };
export const seeingModel = { id: 'seer-1', modalities: ['text', 'image'], max_model_len: 4096, state: 'ready' };

export const chunk = (text, more = {}) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: text === undefined ? {} : { content: text }, ...more }] })}\n\n`;
export const usage = (prompt_tokens, completion_tokens) =>
  `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens, completion_tokens } })}\n\n`;
export const done = 'data: [DONE]\n\n';

/** Opens an answer stream; the test writes into the response and ends it. */
export function startStream(response, headers = {}) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Request-Id': 'req-test-1', ...headers });
  response.flushHeaders();
}

/** A whole answer at once. */
export function answer(response, text, { finish = 'stop', tokens = [12, 34] } = {}) {
  startStream(response);
  response.end(chunk(text) + chunk(undefined, { finish_reason: finish }) + usage(...tokens) + done);
}

const identityRequired = { type: 'authentication_error', code: 'identity_required', message: 'words of the server' };

async function read(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

export class ScriptedServer {
  /** @type {any[]} */ models = [seeingModel];
  /** @type {{ready: boolean, models?: Record<string, string>}} */ readiness = { ready: true, models: {} };
  /** Calls for the list of models that wait for an answer of the test's own, after `holdModels`. */
  heldLists = [];
  /** Called with the parsed request, the response and the request. */
  onChat = (_body, response) => answer(response, 'Hello.');
  /** Every chat request's body. */
  chats = [];
  /** Paths asked for that this server does not have: a page must never ask for one. */
  strays = [];
  /** Calls without the mark of a page: on a 401 to one of them the browser would open its own box. */
  unmarked = [];
  accounts = new Accounts();
  #server = createServer((request, response) => {
    this.#handle(request, response).catch((error) => {
      if (error.code !== 'ECONNRESET') throw error; // the page has left in the middle of its body
    });
  });

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve(undefined)));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  reset() {
    this.models = [seeingModel];
    this.heldLists = [];
    this.readiness = { ready: true, models: {} };
    this.onChat = (_body, response) => answer(response, 'Hello.');
    this.chats = [];
    this.strays = [];
    this.unmarked = [];
    this.accounts = new Accounts();
  }

  holdModels() {
    this.models = (response) => this.heldLists.push(response);
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #handle(request, response) {
    const { pathname } = new URL(request.url, 'http://page');
    const call = /^\/(v1|health|account\/api)\//.test(pathname);
    if (call && slowness > 0) {
      await new Promise((resolve) => setTimeout(resolve, slowness));
      if (request.socket.destroyed) return; // the page of a test before
    }
    if (call && request.headers['x-portico-page'] !== '1') this.unmarked.push(pathname);
    if (pathname.startsWith('/account/api/')) return this.accounts.answer(request, await read(request), response);
    if (pathname.startsWith('/v1/') && this.accounts.asks()) return refuse(response, 401, identityRequired);
    if (pathname === '/health/ready') return json(response, this.readiness.ready ? 200 : 503, this.readiness);
    if (pathname === '/v1/models') {
      if (typeof this.models === 'function') return this.models(response);
      return json(response, 200, { object: 'list', data: this.models });
    }
    if (pathname === '/v1/chat/completions' && request.method === 'POST') {
      const body = JSON.parse(await read(request));
      this.chats.push(body);
      return this.onChat(body, response, request);
    }
    // In place of a page that nobody may see yet stands the login.
    const refused = this.accounts.asks() && !accountPages.has(pathname) && !/^\/account\/assets\/|^\/favicon\.svg$/.test(pathname);
    const account = refused || accountPages.has(pathname);
    const name = account ? 'account.html' : pathname === '/' ? 'chat.html' : normalize(pathname).slice(1);
    try {
      const bytes = await readFile(join(dist, name));
      response.writeHead(refused ? 401 : 200, {
        'Content-Type': types[extname(name)] ?? 'application/octet-stream',
        'Content-Security-Policy': policy,
        'X-Content-Type-Options': 'nosniff',
      });
      response.end(bytes);
    } catch {
      this.strays.push(pathname);
      response.writeHead(404).end();
    }
  }
}
