import { KithError, isKithError, type ErrorDetails } from '../../base/errors.ts';

/**
 * An error as a friend is told of it: the same code, without the paths of this computer. What isn't a KithError is passed
 * through; the call layer says nothing of it.
 */
export function toldToFriend(error: unknown): unknown {
  if (!isKithError(error)) return error;
  const { code, details } = error;
  const say = (words: string, kept: ErrorDetails = {}): KithError =>
    new KithError(code, words, { details: kept, cause: error });
  switch (code) {
    case 'holder-unavailable':
      return say('its store is not there', { foreign: details['foreign'] === true });
    case 'disk-full':
      // With a path it is the file system's word, without one the room book's.
      return details['path'] === undefined ? error : say('its disk is full');
    case 'shard-damaged':
      return say('what it holds of this shard is damaged', shardOf(details));
    case 'limit-exceeded':
      return details['max'] === undefined ? say('a file there is larger than it can be') : error;
    default:
      return error;
  }
}

function shardOf({ pack, index }: ErrorDetails): ErrorDetails {
  return { ...(pack !== undefined && { pack }), ...(index !== undefined && { index }) };
}
