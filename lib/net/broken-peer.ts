import type { KithError } from '../base/errors.ts';

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
