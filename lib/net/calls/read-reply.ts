import { isKithError } from '../../base/errors.ts';
import type { CallReply } from '../service.ts';

/**
 * What an answer says. One that can't be read, or isn't signed by whom it names, ends the session in which it came: no honest kith sends
 * it. `read` says so by KithError `malformed` or `not-authentic`; its errors are passed on.
 */
export function readReply<T>(reply: CallReply, read: (reply: CallReply) => T): T {
  try {
    return read(reply);
  } catch (error) {
    if (isKithError(error, 'malformed', 'not-authentic')) reply.broken?.(error);
    throw error;
  }
}
