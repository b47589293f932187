import { textOf, utf8 } from '../../base/bytes.ts';
import { errorCodes, isKithError, KithError } from '../../base/errors.ts';
import type { ErrorCode, ErrorDetails } from '../../base/errors.ts';
import { detailCountMax, detailKeyBytesMax, detailTextBytesMax, wordsBytesMax } from './call-codec.ts';
import type { DetailValue, FailureMessage } from './call-codec.ts';

/** Codes that a friend may speak of; what else goes wrong there is its own affair. */
const spokenCodes: ReadonlySet<string> = new Set<ErrorCode>([
  'holder-unavailable',
  'quota-exceeded',
  'disk-full',
  'log-forked',
  'key-record-stale',
  'shard-damaged',
  'shard-missing',
  'io-error',
  'malformed',
  'not-authentic',
  'limit-exceeded',
  'usage',
  'too-new',
  'not-granted',
  'failed',
]);

/** Instead of words that are the operating system's, or somebody's code: they may hold paths. */
const diskWords = 'the disk there failed to read or write';
const failedWords = 'the other side could not do it';

/**
 * Text of at most so many bytes of UTF-8, on one line: control characters, and those that turn or hide text, become
 * spaces or go.
 */
export function plainText(text: string, bytesMax: number): string {
  const clean = text
    .slice(0, bytesMax)
    .replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replaceAll(/\p{Cf}/gu, '');
  const bytes = utf8(clean);
  // A character of UTF-8 has four bytes at most: one of these ends between two.
  const longest = Math.min(bytes.length, bytesMax);
  for (let length = longest; length > longest - 4 && length > 0; length--) {
    const cut = textOf(bytes.subarray(0, length));
    if (cut !== undefined) return cut;
  }
  return '';
}

function plainDetails(details: ErrorDetails): FailureMessage['details'] {
  const kept: [string, DetailValue][] = [];
  for (const [key, value] of Object.entries(details)) {
    if (kept.length === detailCountMax) break;
    const name = plainText(key, detailKeyBytesMax);
    if (value === null || typeof value === 'boolean') kept.push([name, value]);
    else if (typeof value === 'string') kept.push([name, plainText(value, detailTextBytesMax)]);
    else if (typeof value === 'number' && Number.isSafeInteger(value)) kept.push([name, value]);
  }
  return kept;
}

/** What a caller is told of an error. */
export function failureOf(id: number, error: unknown): FailureMessage {
  if (!isKithError(error) || !spokenCodes.has(error.code)) {
    return { id, code: 'failed', words: failedWords, details: [] };
  }
  const { code } = error;
  if (code === 'io-error') return { id, code, words: diskWords, details: [] };
  return { id, code, words: plainText(error.message, wordsBytesMax), details: plainDetails(error.details) };
}

/** The error that a failure stands for here: cleaned again, since the other side may not have done it. */
export function errorOf({ code, words, details }: FailureMessage): KithError {
  const known = spokenCodes.has(code) && Object.hasOwn(errorCodes, code);
  const clean: Record<string, DetailValue> = Object.create(null) as Record<string, DetailValue>;
  for (const [key, value] of details) {
    const name = plainText(key, detailKeyBytesMax);
    clean[name] = typeof value === 'string' ? plainText(value, detailTextBytesMax) : value;
  }
  return new KithError(
    known ? (code as ErrorCode) : 'holder-unavailable',
    plainText(words, wordsBytesMax) || 'the other side gave no reason',
    { details: { ...clean } },
  );
}
