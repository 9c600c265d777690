/** Why an answer failed, as far as the reader can do something about it. */
export type FailureKind =
  | 'offline' | 'network' | 'cut' | 'silent' | 'garbled'
  | 'signedOut' | 'forbidden' | 'networkRefused' | 'httpsRequired' | 'notLocal' | 'noModel' | 'notFound'
  | 'contextFull' | 'tooLarge' | 'tooManyImages' | 'badImage' | 'noVision' | 'badRequest'
  | 'tooOften' | 'quotaUsed' | 'queueFull' | 'loading' | 'busy' | 'upstream' | 'timeout' | 'internal';

export interface Failure {
  kind: FailureKind;
  /** 0 where no status was received: the network failed, or the error came inside the stream. */
  status: number;
  code: string;
  /** The field that the server names; empty where it names none. */
  param: string;
  /** The server's own words; empty where there are none. */
  message: string;
  /** What an operator finds the request by; empty where the request never arrived. */
  requestId: string;
  /** Seconds, from `Retry-After`. */
  retryAfter: number | undefined;
}

/** Carries a `Failure` through `throw`. */
export class RequestError extends Error {
  readonly failure: Failure;

  constructor(failure: Partial<Failure> & { kind: FailureKind }) {
    super(failure.message || failure.kind);
    this.failure = { status: 0, code: '', param: '', message: '', requestId: '', retryAfter: undefined, ...failure };
  }
}

interface ErrorBody {
  message: string;
  type: string;
  code: string;
  param: string;
}

const asText = (value: unknown): string => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '');

/** Reads `{"error":{message,type,code}}`; everything missing is an empty text. */
export function readErrorBody(value: unknown): ErrorBody {
  const error = value && typeof value === 'object' ? (value as { error?: unknown }).error : undefined;
  if (typeof error === 'string') return { message: error, type: '', code: '', param: '' };
  const fields = (error && typeof error === 'object' ? error : {}) as Record<string, unknown>;
  return { message: asText(fields['message']), type: asText(fields['type']), code: asText(fields['code']), param: asText(fields['param']) };
}

/** The first entry that matches `code type` decides, before the bare type and the status are looked at. */
const byWord: [RegExp, FailureKind][] = [
  [/network_refused/, 'networkRefused'],
  [/https_required/, 'httpsRequired'],
  [/not_local/, 'notLocal'],
  [/model_not_found/, 'noModel'],
  [/context|too_many_tokens|prompt_too_long/, 'contextFull'],
  [/too_many_images|image_count/, 'tooManyImages'],
  [/vision|modality|image_unsupported|images_not_supported/, 'noVision'],
  [/image/, 'badImage'],
  [/quota|tokens_per_day|daily/, 'quotaUsed'],
  [/queue/, 'queueFull'],
  [/loading|starting|not_ready/, 'loading'],
  [/too_large|body_limit/, 'tooLarge'],
];

const byType: Record<string, FailureKind> = {
  authentication_error: 'signedOut',
  permission_error: 'forbidden',
  rate_limit_error: 'tooOften',
  not_found_error: 'notFound',
  overloaded_error: 'busy',
  upstream_error: 'upstream',
  timeout_error: 'timeout',
  invalid_request_error: 'badRequest',
};

function byStatus(status: number): FailureKind {
  if (status === 401) return 'signedOut';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'notFound';
  if (status === 408 || status === 504) return 'timeout';
  if (status === 413) return 'tooLarge';
  if (status === 429) return 'tooOften';
  if (status === 502) return 'upstream';
  if (status === 503) return 'busy';
  return status >= 400 && status < 500 ? 'badRequest' : 'internal';
}

/** Judges an error by its code, then its type, then its status. A queue that was waited in too long is a time-out. */
export function classify(status: number, { type, code, message }: ErrorBody): FailureKind {
  const words = `${code} ${type}`.toLowerCase();
  if (/queue\w*(timeout|timed_out|max_wait)/.test(words)) return 'timeout';
  const word = byWord.find(([pattern]) => pattern.test(words))?.[1];
  if (word) return word;
  // llama.cpp says this with status 500 and no code of its own.
  if (/image input is not supported/i.test(message)) return 'noVision';
  if (status === 413) return 'tooLarge';
  return byType[type] ?? (status === 0 ? 'internal' : byStatus(status));
}

/** `Retry-After` in seconds, given as a number or as a date. */
export function retryAfterSeconds(header: string | null, now = Date.now()): number | undefined {
  if (!header) return undefined;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : Math.ceil((Date.parse(header) - now) / 1000);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 24 * 3600) : undefined;
}
