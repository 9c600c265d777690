import { RequestError, classify, readErrorBody, retryAfterSeconds } from './failure.ts';

/**
 * What every request of a page carries. The mark keeps `WWW-Authenticate` out of a 401, so that the browser opens no box of
 * its own; the server's words are asked for in the language that the page shows, which the reader may have chosen.
 */
export function pageHeaders(more: Record<string, string> = {}): Record<string, string> {
  return { 'X-Portico-Page': '1', 'Accept-Language': document.documentElement.lang, ...more };
}

export function networkError(): RequestError {
  return new RequestError({ kind: navigator.onLine === false ? 'offline' : 'network' });
}

/** What an answer that is no success says. */
export async function refusal(response: Response): Promise<RequestError> {
  let body: unknown;
  try {
    body = JSON.parse(await response.text());
  } catch {
    body = undefined; // an error page of something in between, or nothing: the status alone speaks
  }
  const error = readErrorBody(body);
  return new RequestError({
    kind: classify(response.status, error),
    status: response.status,
    code: error.code,
    param: error.param,
    message: error.message,
    requestId: response.headers.get('X-Request-Id') ?? '',
    retryAfter: retryAfterSeconds(response.headers.get('Retry-After')),
  });
}
