import { copyBytes, equalBytes } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { cardBytesMax, decodeCard, verifyCard, type Card } from '../../format/card.ts';
import type { ContactKey } from '../../format/contact-keys.ts';
import { friendStateNumbers } from '../../format/friend-records.ts';
import { encodeInviteRecord, inviteStateNumbers, type InviteRecord } from '../../format/invite-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import { devicesOf } from '../../trust/card.ts';
import { withContactKeysOfLetter } from '../../trust/contact.ts';
import { exchangeWithAll } from '../logs/exchange.ts';
import { friendBody, friendLock } from '../friends/friend-records.ts';
import { lineOf, nameFromCard } from '../friends/friends.ts';
import { nameFor } from '../holders/names.ts';
import type { Session } from '../session.ts';

/** How long invites that are over are still answered, so that whoever comes with one is told why. */
const toldMs: number = 30 * 86_400_000;

/** Invites that the network admits at most: the open ones, and of the others those that closed last. */
const admittedMax = 256;

/** Wall clock, ms since 1970. */
export function nowMs(session: Session): number {
  return Number(session.surroundings.clock.nowNs() / 1_000_000n);
}

/** True while it may be used, by this computer's clock. */
export function isOpen(record: InviteRecord, now: number): boolean {
  return record.state === inviteStateNumbers.open && now < record.expiresMs;
}

/** When it ceased to be open, or will. */
function closedMs(record: InviteRecord): number {
  const { state, expiresMs, atNs } = record;
  return state === inviteStateNumbers.open ? expiresMs : Number(atNs / 1_000_000n);
}

/** The keys with which somebody may come now: of invites that this very device made. */
export function admittedInvites(session: Session): Uint8Array[] {
  const now = nowMs(session);
  const own = session.state
    .invites()
    .filter(({ deviceId }) => equalBytes(deviceId, session.device.deviceId))
    .filter((record) => isOpen(record, now) || now - closedMs(record) < toldMs);
  own.sort((a, b) => closedMs(b) - closedMs(a));
  return own.slice(0, admittedMax).map(({ inviteId }) => inviteId);
}

/** A card that is genuine and somebody else's. KithError `malformed`, `too-new`, `not-authentic`. */
function readCard(session: Session, bytes: Uint8Array): Card {
  if (bytes.length > cardBytesMax) throw new KithError('malformed', 'the card is too long');
  const card = decodeCard(bytes);
  verifyCard(card);
  if (equalBytes(card.identity, session.device.vaultId)) {
    throw new KithError('not-authentic', 'the card is of the one who invites');
  }
  if (devicesOf(card).length === 0) {
    throw new KithError('not-authentic', 'the card has no device that is still good');
  }
  return card;
}

/**
 * The invite if this identity may use it; undefined if it has done so already and is a friend since. KithError `peer-refused`,
 * `invite-used`, `invite-expired`, `invite-refused`.
 */
function usable(session: Session, inviteId: Uint8Array, identity: Uint8Array): InviteRecord | undefined {
  const record = session.state.invite(inviteId);
  if (record === undefined || !equalBytes(record.deviceId, session.device.deviceId)) {
    throw new KithError('peer-refused', 'this device made no such invite');
  }
  if (record.state === inviteStateNumbers.used) {
    if (!equalBytes(record.usedBy, identity)) {
      throw new KithError('invite-used', 'somebody else has used this invite already');
    }
    if (session.state.friend(identity)?.state === friendStateNumbers.active) return undefined;
    throw new KithError('invite-used', 'this invite was used, and the friendship has ended since');
  }
  if (record.state === inviteStateNumbers.withdrawn) {
    throw new KithError('invite-refused', 'this invite was withdrawn');
  }
  if (nowMs(session) >= record.expiresMs) throw new KithError('invite-expired', 'this invite has expired');
  return record;
}

/** The invite as used, and the friend, in one segment: there is never the one without the other. */
async function takeIn(
  session: Session,
  invite: InviteRecord,
  card: Card,
  keys: readonly ContactKey[],
): Promise<void> {
  const { identity } = card;
  const before = session.state.friend(identity);
  const used = encodeInviteRecord({
    ...invite,
    state: inviteStateNumbers.used,
    usedBy: identity,
    atNs: session.surroundings.clock.nowNs(),
  });
  const isFriend = before?.state === friendStateNumbers.active;
  const name = invite.name === '' ? (before?.name ?? nameFromCard(card)) : invite.name;
  const options = isFriend ? {} : { name: nameFor(session, name), quotaBytes: invite.quotaBytes };
  const line = lineOf(session, card, options);
  const extensions = withContactKeysOfLetter(line.extensions, keys) ?? line.extensions;
  await session.logs.append(logRoles.catalog, [
    { kind: recordKinds.invite, body: used },
    { kind: recordKinds.friend, body: friendBody(session, { ...line, extensions }) },
  ]);
}

/** Who has come with an invite. */
export interface Invited {
  readonly identity: Uint8Array;
  /** False where they had been let in with it before. */
  readonly isNew: boolean;
}

/**
 * Makes whoever has shown that they have an invite a friend: when it resolves, both are in the catalog, durably, and the network knows. Of
 * several at once one wins; the same identity may come again. With `deviceId` the card must name that device; `keys` is what a letter gives
 * to find them by, verified: taken only with the invite's first use, as who was let in may have taken them back since.
 * KithErrors of `usable`, and `malformed`, `too-new`, `not-authentic`, `limit-exceeded`.
 */
export async function welcomeInvited(
  session: Session,
  inviteId: Uint8Array,
  deviceId: Uint8Array | undefined,
  cardBytes: Uint8Array,
  keys: readonly ContactKey[] = [],
): Promise<Invited> {
  const card = readCard(session, cardBytes);
  if (deviceId !== undefined && !devicesOf(card).some((each) => equalBytes(each.deviceId, deviceId))) {
    throw new KithError('not-authentic', 'the card does not name the device that showed it');
  }
  const identity = copyBytes(card.identity);
  if (usable(session, inviteId, identity) === undefined) return { identity, isNew: false };
  // A home that was put back from an old copy hears first what became of its invites.
  await exchangeWithAll(session);
  const isNew = await friendLock(session).run(async () => {
    const invite = usable(session, inviteId, identity);
    if (invite !== undefined) await takeIn(session, invite, card, keys);
    return invite !== undefined;
  });
  session.takeNews();
  return { identity, isNew };
}
