import { encodeFriendRecord, type FriendRecord } from '../format/friend-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { logRoles } from '../format/segment.ts';
import type { Session } from './session.ts';

/** Writes a line of the friends book to the catalog; its time is set so that it counts. */
export async function appendFriend(
  session: Session,
  friend: Omit<FriendRecord, 'atNs'>,
  options: {
    /** Any other line about the friend counts more. */
    readonly asGuess?: boolean;
  } = {},
): Promise<void> {
  const atNs =
    options.asGuess === true
      ? 0n
      : session.state.friendTimeNs(friend.identity, session.surroundings.clock.nowNs());
  const body = encodeFriendRecord({ ...friend, atNs });
  await session.logs.append(logRoles.catalog, [{ kind: recordKinds.friend, body }]);
}
