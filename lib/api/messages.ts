import { KithError, errorCodes, messageOf, type ErrorCode, type ErrorDetails } from '../base/errors.ts';
import { decodeWire, encodeWire } from './wire-json.ts';
import type { ListedEntry, Problem, Progress } from '../vault/types.ts';

/** The number of the API: a daemon and a command understand each other if they have the same. */
export const apiNumber = 1;

/** Bytes of a request at most. */
export const requestBytesMax: number = 1024 * 1024;

/** Header of an answer with the id by which the call can be cancelled. */
export const callHeader = 'kith-call';

/** Whom a client has reached. */
export interface About {
  readonly api: number;
  /** kith's version. */
  readonly version: string;
  readonly pid: number;
  /** Of the identity whose home it is. */
  readonly id: string;
  readonly name: string;
}

type Item = { readonly action: string; readonly path: string; readonly bytes: number };

/** One line of an answer. The last one is a result or an error. */
export type Message =
  | ({ readonly type: 'progress' } & Progress)
  | ({ readonly type: 'problem' } & Problem)
  | ({ readonly type: 'item' } & Item)
  | { readonly type: 'entry'; readonly entry: ListedEntry }
  | { readonly type: 'result'; readonly value: unknown }
  | {
      readonly type: 'error';
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: ErrorDetails;
    };

/** A line with its line break. */
export function encodeMessage(message: Message): string {
  return `${encodeWire(message)}\n`;
}

const types: readonly string[] = ['progress', 'problem', 'item', 'entry', 'result', 'error'];

/** KithError `malformed` for a line that is no message. What is in it is the daemon's word: one and the same user's program. */
export function decodeMessage(line: string): Message {
  const value = decodeWire(line);
  if (value !== null && typeof value === 'object' && 'type' in value && typeof value.type === 'string') {
    if (types.includes(value.type)) return value as Message;
  }
  throw new KithError('malformed', 'what the daemon said is not a message');
}

/** An error as a message; what isn't a KithError is a mistake in kith. */
export function errorMessage(error: unknown): Extract<Message, { readonly type: 'error' }> {
  const told =
    error instanceof KithError ? error : new KithError('internal', messageOf(error), { cause: error });
  return { type: 'error', code: told.code, message: told.message, details: told.details };
}

/** The error that a message tells of; a code that this kith doesn't know becomes `internal`. */
export function errorOf(message: Extract<Message, { readonly type: 'error' }>): KithError {
  const code = Object.hasOwn(errorCodes, message.code) ? message.code : 'internal';
  return new KithError(code, message.message, { details: message.details });
}
