/** What the other side is told as its session ends since it is no device of a friend, or no longer. */
export const notOneOfIts = 'the card does not show that this device belongs to its identity';
export const notWanted = 'this device is not wanted here any longer';

/** Why a friend who is connected holds nothing for us: a meeting point, or one who doesn't grant the store. */
export const noRoomHere = 'it gives no room here (yet)';

/**
 * True for words of `Presence.trouble` by which a friend knows our identity and takes this device for none of its. (`notWanted` may as well mean
 * that the friendship has ended.)
 */
export function saysNotOurs(trouble: string): boolean {
  return trouble.includes(notOneOfIts);
}
