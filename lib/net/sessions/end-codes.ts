import { KithError } from '../../base/errors.ts';
import type { ErrorCode } from '../../base/errors.ts';

/** Why this side ends a session: the code of its goodbye (docs/formats/wire.md). */
export type EndCode =
  | 'superseded'
  | 'refused'
  | 'disowned'
  | 'stopping'
  | 'broken'
  | 'paused'
  | 'silent'
  | 'invite-used'
  | 'invite-expired'
  | 'invite-refused';

/** Refusals that the other side is told by their own code. */
const toldCodes = ['invite-used', 'invite-expired', 'invite-refused'] as const;

/** What one is told whose card doesn't make this device one of its identity, or no longer. */
export function disownedError(words: string): KithError {
  return new KithError('peer-refused', words, { details: { disowned: true } });
}

/**
 * True for the end of a session in which the other side, which had proved its key, said that it knows our identity and takes this device for
 * none of its. Errors that tell what somebody else said never have it.
 */
export function isDisowned(error: KithError): boolean {
  return error.details['disowned'] === true;
}

/** The code of a goodbye for an error of a hello. */
export function endCodeOf(error: KithError): EndCode {
  const { code } = error;
  if (isDisowned(error)) return 'disowned';
  if (code === 'malformed' || code === 'not-authentic') return 'broken';
  return toldCodes.find((told) => told === code) ?? 'refused';
}

/** The error that ends a session here when this side says that goodbye. */
export function errorCodeOfEnd(code: EndCode): ErrorCode {
  if (code === 'broken') return 'malformed';
  if (code === 'refused' || code === 'disowned') return 'peer-refused';
  return toldCodes.find((told) => told === code) ?? 'holder-unavailable';
}

/** The error that a goodbye from the other side comes to. Codes that aren't known here mean no more than that it ended. */
export function errorOfGoodbye(code: string, words: string): KithError {
  if (code === 'disowned') return disownedError(words);
  if (code === 'refused') return new KithError('peer-refused', words);
  return new KithError(toldCodes.find((told) => told === code) ?? 'holder-unavailable', words);
}
