import { compareBytes, equalBytes } from '../../base/bytes.ts';
import type { Via } from '../links/link.ts';

/** True on the side that decides which link of two devices is the session (docs/formats/wire.md). */
export function chooses(ownDeviceId: Uint8Array, peerDeviceId: Uint8Array): boolean {
  return compareBytes(ownDeviceId, peerDeviceId) < 0;
}

/** True if a link is worth leaving another for: one that needs nobody else's line. */
export function isBetterWay(via: Via, than: Via): boolean {
  return via !== 'relay' && than === 'relay';
}

/** The session there is, as the chooser knows it. */
export interface CurrentLink {
  readonly runId: Uint8Array;
  /** The moment of the follower's last offers on it; undefined while it hasn't answered. */
  readonly offersMoment: number | undefined;
  /** An answer on it is overdue here. */
  readonly isDoubted: boolean;
}

/** A further link that has greeted. */
export interface FurtherLink {
  readonly runId: Uint8Array;
  readonly helloMoment: number;
  /** True if the chooser opened it. */
  readonly openedByChooser: boolean;
  /** It goes a better way than the session there is. */
  readonly isBetter: boolean;
}

/**
 * Whether the chooser puts a further link in the place of the session it has. A follower says hello on a link of its
 * own making only while it has no session, or doubts it: a hello later than its answer on the old link shows that.
 */
export function takesPlace(current: CurrentLink, further: FurtherLink): boolean {
  if (!equalBytes(current.runId, further.runId)) return true;
  // Offers under way on two links could overtake each other.
  if (current.offersMoment === undefined) return false;
  if (further.isBetter || current.isDoubted) return true;
  if (further.openedByChooser) return false;
  return further.helloMoment > current.offersMoment;
}
