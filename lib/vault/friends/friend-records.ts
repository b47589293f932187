import { Semaphore } from '../../base/concurrency.ts';
import { encodeFriendRecord, type FriendRecord } from '../../format/friend-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import type { Session } from '../session.ts';

const locks = new WeakMap<Session, Semaphore>();

/**
 * Held from reading a friend's line to having written the next: commands, cards that come in and invites that are answered all write
 * lines, and one that was made from an older line would take back what the other said.
 */
export function friendLock(session: Session): Semaphore {
  const known = locks.get(session);
  if (known !== undefined) return known;
  const lock = new Semaphore(1);
  locks.set(session, lock);
  return lock;
}

/** A record's body; its time is set so that it counts. Encode it under the lock, right before it is appended. */
export function friendBody(
  session: Session,
  friend: Omit<FriendRecord, 'atNs'>,
  options: { readonly asGuess?: boolean } = {},
): Uint8Array {
  const atNs =
    options.asGuess === true
      ? 0n
      : session.state.friendTimeNs(friend.identity, session.surroundings.clock.nowNs());
  return encodeFriendRecord({ ...friend, atNs });
}

/** Writes a line of the friends book to the catalog. Whoever made it from the line before holds friendLock. */
export async function appendFriend(
  session: Session,
  friend: Omit<FriendRecord, 'atNs'>,
  options: {
    /** Any other line about the friend counts more. */
    readonly asGuess?: boolean;
  } = {},
): Promise<void> {
  const body = friendBody(session, friend, options);
  await session.logs.append(logRoles.catalog, [{ kind: recordKinds.friend, body }]);
}

/** Writes what becomes of a friend's line, if anything. What `change` throws ends it, and nothing is written. */
export async function writeFriend(
  session: Session,
  identity: Uint8Array,
  change: (before: FriendRecord | undefined) => FriendRecord | undefined,
): Promise<void> {
  await friendLock(session).run(async () => {
    const after = change(session.state.friend(identity));
    if (after !== undefined) await appendFriend(session, after);
  });
}
