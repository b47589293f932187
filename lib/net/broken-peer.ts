import { isKithError, type KithError } from '../base/errors.ts';

/**
 * What a handler throws where a peer sent what no honest one sends: the caller is told the cause, then the session ends
 * as for any other broken rule of the wire.
 */
export class BrokenPeer extends Error {
  override readonly cause: KithError;

  constructor(cause: KithError) {
    super(cause.message, { cause });
    this.name = 'BrokenPeer';
    this.cause = cause;
  }
}

/** What a peer's bytes say. BrokenPeer where they can't be read, or aren't signed by whom they name: nobody honest sent them. */
export function heard<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw asBroken(error);
  }
}

/** The error of something that a peer sent: a BrokenPeer where it is `malformed` or `not-authentic`. */
export function asBroken(error: unknown): unknown {
  return isKithError(error, 'malformed', 'not-authentic') ? new BrokenPeer(error) : error;
}
