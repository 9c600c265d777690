// The scripted server's people: who is logged in, and their keys. By default it asks nobody, as in local mode.
import { json, refuse } from './answers.mjs';

export const operator = { name: 'ada', role: 'operator', plan: null, password: 'own' };
export const member = { name: 'lin', role: 'user', plan: 'team', password: 'own' };
export const password = 'correct horse';

export const key = (more = {}) => ({
  id: 'k_7f3a', name: 'laptop', created: '2026-03-01T09:00:00Z', expires: '2099-01-01T00:00:00Z', last_used: null, models: [], networks: [],
  state: 'active', ...more,
});

/** What each refusal of the account's calls looks like. */
export const refusals = {
  identity_required: [401, 'authentication_error'],
  wrong_credentials: [401, 'authentication_error'],
  too_many_attempts: [429, 'rate_limit_error', { 'Retry-After': '30' }],
  server_busy: [503, 'overloaded_error', { 'Retry-After': '2' }],
  password_refused: [400, 'invalid_request_error'],
  invitation_invalid: [410, 'invalid_request_error'],
  setup_link_invalid: [410, 'invalid_request_error'],
  network_refused: [403, 'permission_error'],
  https_required: [403, 'permission_error'],
  internal_error: [500, 'internal_error'],
};

export function refuseWith(response, code, more = {}) {
  const [status, type, headers] = refusals[code];
  refuse(response, status, { type, code, message: `words of the server: ${code}`, ...more }, headers);
}

export class Accounts {
  mode = 'local';
  /** Who exists, and who is logged in. */
  users = [operator, member];
  session = undefined;
  keys = [];
  token = 'a-token';
  /** Answers of a test's own, by `login`, `keys/ID/rotate` and so on; one that returns false leaves it to the script. */
  on = {};
  /** Every call: `[name, body]`. */
  calls = [];

  /** Lets somebody in who has logged in before. */
  enter(user) {
    this.mode = 'identity';
    this.session = user;
  }

  asks() {
    return this.mode === 'identity' && !this.session;
  }

  called(name) {
    return this.calls.filter(([called]) => called === name).map(([, body]) => body);
  }

  answer(request, text, response) {
    const name = request.url.replace('/account/api/', '');
    const body = text ? JSON.parse(text) : undefined;
    if (request.method === 'POST' && request.headers['content-type'] !== 'application/json') throw new Error(`${name} is no JSON`);
    this.calls.push([name, body]);
    if (this.on[name] && this.on[name](body, response, request) !== false) return;
    this.#script(request.method, name, body, response);
  }

  #script(method, name, body, response) {
    const none = () => response.writeHead(204).end();
    const enter = (status, user) => {
      this.enter(user);
      json(response, status, { user }, { 'Set-Cookie': 'session=1; HttpOnly; SameSite=Lax; Path=/' });
    };
    if (name === 'me') {
      if (this.asks()) return refuseWith(response, 'identity_required');
      const session = this.session ? { expires: '2099-06-01T12:00:00Z' } : null;
      return json(response, 200, { mode: this.mode, user: this.session ?? null, session, realm: 'Portico of the lab' });
    }
    if (name === 'login') {
      const user = this.users.find((one) => one.name === body.name);
      return user && body.password === password ? enter(200, user) : refuseWith(response, 'wrong_credentials');
    }
    if (name === 'invitation') {
      return body.token === this.token ? json(response, 200, { name: member.name }) : refuseWith(response, 'invitation_invalid');
    }
    if (name === 'invite') return body.token === this.token ? enter(200, member) : refuseWith(response, 'invitation_invalid');
    if (name === 'setup') {
      if (body.token !== this.token) return refuseWith(response, 'setup_link_invalid');
      return enter(201, { ...operator, name: body.name });
    }
    if (!this.session) return refuseWith(response, 'identity_required');
    if (name === 'logout') {
      this.session = undefined;
      return none();
    }
    if (name === 'password') return body.current === password ? none() : refuseWith(response, 'wrong_credentials');
    if (name === 'sessions/end') return none();
    if (name === 'keys' && method === 'GET') return json(response, 200, { keys: this.keys });
    if (name === 'keys') {
      const made = key({ id: `k_new${this.keys.length}`, name: body.name, expires: body.expires && '2099-01-01T00:00:00Z' });
      this.keys = [...this.keys, made];
      return json(response, 201, { ...made, key: 'pk-0123456789abcdef' });
    }
    const [, id, what] = /^keys\/([^/]+)\/(rotate|revoke)$/.exec(name) ?? [];
    if (!id) return refuse(response, 404, { type: 'not_found_error', code: 'not_found' });
    const state = what === 'rotate' ? 'rotated' : 'revoked';
    const old = this.keys.find((one) => one.id === id);
    this.keys = this.keys.map((one) => (one.id === id ? { ...one, state } : one));
    if (what === 'revoke') return none();
    this.keys = [...this.keys, { ...old, id: `${id}_next`, state: 'active' }];
    return json(response, 201, { id: `${id}_next`, key: 'pk-fedcba9876543210', old_until: '2099-02-03T10:00:00Z' });
  }
}
