/** Whether trying again can help: never, later at the same place, or at another holder now. */
export type Retry = 'never' | 'later' | 'elsewhere';

/**
 * Every code that kith raises on purpose, with the exit status the command line gives it and whether a retry helps.
 * The table is part of the documentation: docs/errors.md.
 */
export const errorCodes = {
  usage: { exit: 2, retry: 'never' },
  internal: { exit: 1, retry: 'never' },
  failed: { exit: 1, retry: 'never' },
  interrupted: { exit: 130, retry: 'later' },
  'vault-missing': { exit: 10, retry: 'never' },
  'vault-exists': { exit: 1, retry: 'never' },
  locked: { exit: 11, retry: 'later' },
  'wrong-passphrase': { exit: 12, retry: 'never' },
  'wrong-phrase': { exit: 12, retry: 'never' },
  'unknown-identity': { exit: 12, retry: 'never' },
  'not-restorable': { exit: 5, retry: 'later' },
  'nobody-reached': { exit: 5, retry: 'later' },
  'snapshot-unknown': { exit: 1, retry: 'never' },
  'path-unknown': { exit: 1, retry: 'never' },
  'source-missing': { exit: 1, retry: 'never' },
  'source-changed': { exit: 3, retry: 'later' },
  'source-unreadable': { exit: 3, retry: 'later' },
  'no-holders': { exit: 1, retry: 'never' },
  'queue-full': { exit: 1, retry: 'later' },
  pending: { exit: 1, retry: 'later' },
  'holder-unavailable': { exit: 1, retry: 'later' },
  'holder-foreign': { exit: 1, retry: 'never' },
  'holder-exists': { exit: 1, retry: 'never' },
  'holder-unknown': { exit: 1, retry: 'never' },
  'friend-unknown': { exit: 1, retry: 'never' },
  'friend-exists': { exit: 1, retry: 'never' },
  'invite-used': { exit: 1, retry: 'never' },
  'invite-expired': { exit: 1, retry: 'never' },
  'invite-refused': { exit: 1, retry: 'never' },
  'peer-unreachable': { exit: 1, retry: 'later' },
  'peer-refused': { exit: 1, retry: 'later' },
  'device-unknown': { exit: 1, retry: 'never' },
  'device-revoked': { exit: 1, retry: 'never' },
  'not-granted': { exit: 1, retry: 'never' },
  'address-taken': { exit: 1, retry: 'never' },
  'quota-exceeded': { exit: 1, retry: 'elsewhere' },
  'disk-full': { exit: 1, retry: 'elsewhere' },
  'log-forked': { exit: 1, retry: 'never' },
  'key-record-stale': { exit: 1, retry: 'never' },
  'shard-missing': { exit: 1, retry: 'elsewhere' },
  'shard-damaged': { exit: 1, retry: 'elsewhere' },
  'blob-missing': { exit: 1, retry: 'later' },
  damaged: { exit: 1, retry: 'never' },
  malformed: { exit: 1, retry: 'never' },
  'too-new': { exit: 1, retry: 'never' },
  'not-authentic': { exit: 1, retry: 'never' },
  'limit-exceeded': { exit: 1, retry: 'never' },
  'io-error': { exit: 1, retry: 'later' },
} as const;

/** A name from the table of error codes. */
export type ErrorCode = keyof typeof errorCodes;

/** Facts about an error that a program may want to read; values are plain JSON. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[] | null>>;

/**
 * The one error class of kith. The message is for people and names the next command where there is one;
 * programs go by `code`.
 */
export class KithError extends Error {
  readonly code: ErrorCode;
  readonly retry: Retry;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KithError';
    this.code = code;
    this.retry = errorCodes[code].retry;
    this.details = options.details ?? {};
  }

  /** Exit status of the command line for this error. */
  get exitCode(): number {
    return errorCodes[this.code].exit;
  }
}

/** True for a KithError, with one of the given codes if any are given. */
export function isKithError(error: unknown, ...codes: ErrorCode[]): error is KithError {
  return error instanceof KithError && (codes.length === 0 || codes.includes(error.code));
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a system error such as ENOENT, or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
