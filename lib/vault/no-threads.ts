import type { KithError } from '../base/errors.ts';
import type { Problem } from './types.ts';

/** What is told of an operation that can have no worker threads, and so does their work in its own. */
export function noThreads({ code, message }: KithError): Problem {
  return {
    item: 'this computer',
    message: `${message}; all is done in one thread, which takes longer`,
    code,
  };
}
