import type { ErrorCode } from '../base/errors.ts';

/** Why this side ends a session: the code of its goodbye (docs/formats/wire.md). */
export type EndCode =
  | 'superseded'
  | 'refused'
  | 'stopping'
  | 'broken'
  | 'paused'
  | 'silent'
  | 'invite-used'
  | 'invite-expired'
  | 'invite-refused';

/** Refusals that the other side is told by their own code. */
const toldCodes = ['invite-used', 'invite-expired', 'invite-refused'] as const;

/** The code of a goodbye for an error of a hello. */
export function endCodeOf(code: ErrorCode): EndCode {
  if (code === 'malformed' || code === 'not-authentic') return 'broken';
  return toldCodes.find((told) => told === code) ?? 'refused';
}

/** The error that ends a session here when this side says that goodbye. */
export function errorCodeOfEnd(code: EndCode): ErrorCode {
  if (code === 'broken') return 'malformed';
  if (code === 'refused') return 'peer-refused';
  return toldCodes.find((told) => told === code) ?? 'holder-unavailable';
}

/** The error that a goodbye from the other side comes to. Codes that aren't known here mean no more than that it ended. */
export function errorCodeOfGoodbye(code: string): ErrorCode {
  if (code === 'refused') return 'peer-refused';
  return toldCodes.find((told) => told === code) ?? 'holder-unavailable';
}
