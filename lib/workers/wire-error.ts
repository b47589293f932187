import {
  KithError,
  isKithError,
  messageOf,
  systemCode,
  type ErrorCode,
  type ErrorDetails,
} from '../base/errors.ts';
import { XattrFailure } from '../source/restore-xattrs.ts';
import { problemCode, reasonOf } from '../source/problem.ts';

/** An error on its way between threads: structured clone keeps neither class nor code. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
  /** Where something went wrong that nobody foresaw. */
  readonly stack?: string | undefined;
}

export function errorToWire(error: unknown): WireError {
  if (isKithError(error)) return { code: error.code, message: error.message, details: error.details };
  const stack = error instanceof Error ? error.stack : undefined;
  return { code: 'internal', message: messageOf(error), details: {}, stack };
}

export function errorFromWire({ code, message, details, stack }: WireError): KithError {
  return new KithError(code, message, { details, ...(stack === undefined ? {} : { cause: stack }) });
}

/** The same for one that may be a system call's: its code and words are those for people. */
export function systemErrorToWire(error: unknown): WireError {
  if (error instanceof XattrFailure)
    return { code: 'failed', message: error.message, details: { xattrKind: error.kind } };
  if (isKithError(error) || systemCode(error) === undefined) return errorToWire(error);
  return { code: problemCode(error), message: reasonOf(error), details: {} };
}
