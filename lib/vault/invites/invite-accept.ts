import { equalBytes, fromHex } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { friendStateNumbers, type FriendRecord } from '../../format/friend-records.ts';
import { decodeInviteText } from '../../format/invite-text.ts';
import { decodeInvite, oneTimePair, verifyInvite, type Invite } from '../../format/invite.ts';
import { pendingStateNumbers, type PendingStateNumber } from '../../format/invite-records.ts';
import type { KeyPair } from '../../net/links/link.ts';
import { exchangeWithAll } from '../logs/exchange.ts';
import { friendInfo } from '../friends/friend-info.ts';
import { writeFriend } from '../friends/friend-records.ts';
import { changeFriend, findFriend, lineOf } from '../friends/friends.ts';
import { nowMs } from './invite-welcome.ts';
import { pendingOf, withoutPending, withPending } from './pending-invite.ts';
import type { Session } from '../session.ts';
import type { FriendInfo, FriendOptions } from '../types.ts';

/** Clocks may be a day apart before an invite is refused here rather than by the one who made it. */
const toleranceMs = 86_400_000;

/**
 * Takes the one who invites into the book, with the invite as pending, and begins to dial. Only what an invite must be is checked here;
 * the inviter's side decides. KithError `malformed`, `too-new`, `not-authentic`, `invite-expired`, `friend-exists`, `usage`.
 */
export async function accept(session: Session, text: string, options: FriendOptions): Promise<FriendInfo> {
  const invite = decodeInvite(decodeInviteText(text));
  const card = verifyInvite(invite);
  if (equalBytes(card.identity, session.device.vaultId)) {
    throw new KithError('usage', 'this is an invite of your own. Give it to the friend whom you invite.');
  }
  if (nowMs(session) > invite.expiresMs + toleranceMs) {
    const day = new Date(invite.expiresMs).toISOString().slice(0, 10);
    throw new KithError('invite-expired', `this invite expired on ${day}. Ask your friend for a new one.`);
  }
  await exchangeWithAll(session);
  await refuseFriend(session, card.identity);
  return await changeFriend(session, card.identity, () => {
    const line = lineOf(session, card, options);
    return { ...line, extensions: withPending(line.extensions, pendingFrom(invite)) };
  });
}

function pendingFrom({
  seed,
  deviceId,
  expiresMs,
  quotaBytes,
  hints,
}: Invite): Parameters<typeof withPending>[1] {
  return { state: pendingStateNumbers.waiting, seed, deviceId, expiresMs, quotaBytes, hints };
}

/** KithError `friend-exists` for one who has us as a friend as well, as far as can be seen now. */
async function refuseFriend(session: Session, identity: Uint8Array): Promise<void> {
  const known = session.state.friend(identity);
  if (known?.state !== friendStateNumbers.active || pendingOf(known) !== undefined) return;
  await session.network.settled?.();
  const friend = session.friends().find(({ record }) => equalBytes(record.identity, identity));
  if (friend === undefined || !session.network.presence(friend.id).online) return;
  throw new KithError(
    'friend-exists',
    `you and "${friend.name}" are friends already: nothing is to be done, and this invite was not asked for anything.`,
  );
}

/**
 * Waits until a friend whose invite is pending has let us in or refused, no longer than so many ms, and gives what is known then. KithError
 * `friend-unknown`; the signal's reason if it fires.
 */
export async function acceptWait(
  session: Session,
  nameOrId: string,
  msMax: number,
  signal: AbortSignal | undefined,
): Promise<FriendInfo> {
  const { id, record } = findFriend(session, nameOrId);
  const { clock } = session.surroundings;
  const startMs = clock.monotonicMs();
  await session.network.settled?.(signal);
  const leftMs = Math.max(0, msMax - (clock.monotonicMs() - startMs));
  // Asked in the middle of the network's work, so that it must not throw: the friend may be removed meanwhile.
  const isWaiting = (): boolean =>
    pendingOf(session.state.friend(record.identity) ?? record)?.state === pendingStateNumbers.waiting;
  const isOnline = (): boolean => session.network.presence(id).online;
  await session.network.waitUntil?.(() => isOnline() || !isWaiting(), leftMs, signal);
  if (isOnline()) await inviteCompleted(session, id);
  return await friendInfo(session, findFriend(session, id), { words: true });
}

/** Changes or drops the pending invite of a friend who has one. */
async function changePending(
  session: Session,
  id: string,
  change: (record: FriendRecord) => FriendRecord | undefined,
): Promise<void> {
  const identity = fromHex(id);
  const record = identity === undefined ? undefined : session.state.friend(identity);
  if (identity === undefined || record === undefined || pendingOf(record) === undefined) return;
  // As before every record that a command writes: a home that was put back from an old copy hears first what it wrote since.
  await exchangeWithAll(session);
  await writeFriend(session, identity, (before) =>
    before === undefined || pendingOf(before) === undefined ? undefined : change(before),
  );
  session.takeNews();
}

/** The friend has let us in: their invite has done its work. Nothing for friends without one. */
export async function inviteCompleted(session: Session, id: string): Promise<void> {
  await changePending(session, id, (record) => ({
    ...record,
    extensions: withoutPending(record.extensions),
  }));
}

const refusals: Readonly<Record<string, PendingStateNumber>> = {
  'invite-used': pendingStateNumbers.used,
  'invite-expired': pendingStateNumbers.expired,
  'invite-refused': pendingStateNumbers.refused,
};

/** The device that made the pending invite has refused it for good, with one of the codes `invite-…`. */
export async function inviteRefused(session: Session, id: string, error: KithError): Promise<void> {
  const state = refusals[error.code];
  if (state === undefined) return;
  await changePending(session, id, (record) => {
    const pending = pendingOf(record);
    if (pending?.state !== pendingStateNumbers.waiting) return undefined;
    return { ...record, extensions: withPending(record.extensions, { ...pending, state }) };
  });
}

/** The pair to dial a friend with while their invite is pending. */
export function oneTimeOf(record: Partial<Pick<FriendRecord, 'extensions'>>): KeyPair | undefined {
  const pending = pendingOf(record);
  return pending?.state === pendingStateNumbers.waiting ? oneTimePair(pending.seed) : undefined;
}
