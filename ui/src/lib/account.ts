import { RequestError } from './failure.ts';
import { networkError, pageHeaders, refusal } from './request.ts';

export interface User {
  name: string;
  role: 'user' | 'operator';
  plan: string | null;
  /** `file`: kept in a file of the operator's, and not to be changed here. */
  password: 'own' | 'file';
}

/** How people come in: everybody here, nobody yet, by who they are, or by where they are. */
export type Mode = 'local' | 'closed' | 'identity' | 'network';

export interface Me {
  mode: Mode;
  user: User | null;
  /** Null where no session of this page lets in, but a network or a password that the browser itself sends. */
  session: { expires: string } | null;
  realm: string;
}

export type KeyState = 'active' | 'expired' | 'revoked' | 'rotated';

/** Times are RFC 3339. */
export interface Key {
  id: string;
  name: string;
  created: string;
  expires: string | null;
  last_used: string | null;
  /** Empty: all that its owner may use. */
  models: string[];
  /** Empty: from everywhere. */
  networks: string[];
  state: KeyState;
}

/** A key that was just made: the only time that it is told. */
export interface NewKey {
  id: string;
  key: string;
}

export interface RotatedKey extends NewKey {
  old_until: string;
}

export type KeyLifetime = '30d' | '90d' | '365d';

/** A password is checked slowly on purpose, and many may wait for their turn; after this long nothing comes any more. */
const DEADLINE_MS = 30_000;

/** Throws `RequestError` for everything but a success. */
async function call(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), DEADLINE_MS);
  try {
    const response = await fetch(`/account/api/${path}`, {
      method,
      headers: pageHeaders({ Accept: 'application/json', ...(body && { 'Content-Type': 'application/json' }) }),
      ...(body && { body: JSON.stringify(body) }),
      cache: 'no-store',
      signal: deadline.signal,
    });
    if (!response.ok) throw await refusal(response);
    return response.status === 204 ? undefined : await response.json();
  } catch (error) {
    if (error instanceof RequestError) throw error;
    if (deadline.signal.aborted) throw new RequestError({ kind: 'timeout' });
    throw error instanceof SyntaxError ? new RequestError({ kind: 'garbled' }) : networkError();
  } finally {
    clearTimeout(timer);
  }
}

/** The object that an answer is, or the one in its field. Everything else did not come from Portico. */
function object<T>(answer: unknown, field?: string): T {
  const value = field === undefined ? answer : (answer as Record<string, unknown> | null)?.[field];
  if (typeof value !== 'object' || value === null) throw new RequestError({ kind: 'garbled' });
  return value as T;
}

export async function fetchMe(): Promise<Me> {
  return object<Me>(await call('GET', 'me'));
}

export async function logIn(name: string, password: string): Promise<User> {
  return object<User>(await call('POST', 'login', { name, password }), 'user');
}

export async function logOut(): Promise<void> {
  await call('POST', 'logout', {});
}

export async function changePassword(current: string, fresh: string): Promise<void> {
  await call('POST', 'password', { current, new: fresh });
}

export async function fetchKeys(): Promise<Key[]> {
  const keys = object<Key[]>(await call('GET', 'keys'), 'keys');
  if (!Array.isArray(keys)) throw new RequestError({ kind: 'garbled' });
  return keys;
}

export async function createKey(name: string, expires: KeyLifetime | null): Promise<NewKey> {
  return object<NewKey>(await call('POST', 'keys', { name, expires }));
}

export async function rotateKey(id: string): Promise<RotatedKey> {
  return object<RotatedKey>(await call('POST', `keys/${encodeURIComponent(id)}/rotate`, {}));
}

export async function revokeKey(id: string): Promise<void> {
  await call('POST', `keys/${encodeURIComponent(id)}/revoke`, {});
}

export async function endOtherSessions(): Promise<void> {
  await call('POST', 'sessions/end', {});
}

/** Whom an invitation is for. Using it up takes `acceptInvitation`. */
export async function readInvitation(token: string): Promise<string> {
  return object<{ name: string }>(await call('POST', 'invitation', { token })).name;
}

export async function acceptInvitation(token: string, password: string): Promise<User> {
  return object<User>(await call('POST', 'invite', { token, password }), 'user');
}

export async function setUp(token: string, name: string, password: string): Promise<User> {
  return object<User>(await call('POST', 'setup', { token, name, password }), 'user');
}
