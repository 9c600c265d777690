import type { PlainKey } from '../i18n.ts';
import { RequestError, type Failure, type FailureKind } from './failure.ts';

/** Our words for what the account's calls are refused with. A page adds its own. */
const byCode: Record<string, PlainKey> = {
  wrong_credentials: 'troubleCredentials',
  too_many_attempts: 'troubleAttempts',
  server_busy: 'troubleBusy',
  identity_required: 'troubleSession',
  network_refused: 'troubleNetworkRefused',
  https_required: 'troubleHttps',
};

const byKind: Partial<Record<FailureKind, PlainKey>> = {
  offline: 'troubleOffline',
  network: 'troubleNetwork',
  timeout: 'troubleTimeout',
  garbled: 'troubleGarbled',
  internal: 'troubleInternal',
  upstream: 'troubleNetwork',
  busy: 'troubleBusy',
};

/** The words to show, or undefined where the server's own say more. */
export function troubleWords(failure: Failure, own: Record<string, PlainKey> = {}): PlainKey | undefined {
  const words = own[failure.code] ?? byCode[failure.code];
  if (words) return words;
  if (failure.status === 0 || failure.message === '') {
    return byKind[failure.kind] ?? (failure.kind === 'forbidden' ? 'troubleForbidden' : 'troubleUnknown');
  }
  return failure.kind === 'internal' ? 'troubleInternal' : undefined;
}

/** What was caught, as a failure. Anything but our own error is a fault of this page, and must be seen too. */
export function caught(error: unknown): Failure {
  return (error instanceof RequestError ? error : new RequestError({ kind: 'garbled', message: String(error) })).failure;
}
