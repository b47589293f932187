import { copyBytes, equalBytes, toHex } from '../../base/bytes.ts';
import { KithError, isKithError } from '../../base/errors.ts';
import {
  decodeAcceptance,
  encodeAcceptance,
  signAcceptance,
  verifyAcceptance,
} from '../../format/acceptance.ts';
import { encodeCard } from '../../format/card.ts';
import { verifyContactKeys, type ContactKey } from '../../format/contact-keys.ts';
import { friendStateNumbers, type FriendRecord } from '../../format/friend-records.ts';
import { oneTimePair } from '../../format/invite.ts';
import {
  decodeWelcome,
  encodeWelcome,
  signWelcome,
  verifyWelcome,
  welcomeCardBytesMax,
} from '../../format/welcome.ts';
import { cardOfDevice } from '../../trust/card.ts';
import { contactKeysForRecord, withContactKeysOfLetter } from '../../trust/contact.ts';
import { exchangeWithAll } from '../logs/exchange.ts';
import { writeFriend } from '../friends/friend-records.ts';
import { oneTimeOf } from './invite-accept.ts';
import { welcomeInvited } from './invite-welcome.ts';
import { ownCardOf } from '../friends/own-card.ts';
import { pendingOf, withoutPending } from './pending-invite.ts';
import type { Session } from '../session.ts';

/** What goes to and fro by letter where whoever invited, and whoever accepted, aren't there at once (docs/formats/invite.md). */

/** None while a device is being revoked: what is given then may be a thief's to read. */
function contactKeysOf(session: Session, record: FriendRecord): readonly ContactKey[] {
  return session.keepsContacts ? [] : contactKeysForRecord(session.device.epochs, record);
}

/** An acceptance, and the device that made the invite: no other takes it. */
export interface AcceptanceToSend {
  readonly bytes: Uint8Array;
  readonly deviceId: Uint8Array;
}

/**
 * Our word for a friend whose invite is pending, to be carried to them by somebody: fresh bytes, which `applyAcceptance` takes on their
 * side. It is for the eyes of that device only. Undefined for anybody else.
 */
export function acceptanceFor(session: Session, identity: Uint8Array): AcceptanceToSend | undefined {
  const record = session.state.friend(identity);
  if (record?.state !== friendStateNumbers.active) return undefined;
  const [oneTime, pending] = [oneTimeOf(record), pendingOf(record)];
  if (oneTime === undefined || pending === undefined) return undefined;
  const keys = contactKeysOf(session, record);
  const acceptance = signAcceptance(oneTime, encodeCard(ownCardOf(session)), keys);
  return { bytes: copyBytes(encodeAcceptance(acceptance)), deviceId: pending.deviceId.slice() };
}

/** Who accepted, and what. */
export interface AppliedAcceptance {
  readonly identity: Uint8Array;
  readonly inviteId: Uint8Array;
  /** False where the invite had let them in before. */
  readonly isNew: boolean;
  /** Their card, encoded: of one who was let in before it may say something new. */
  readonly card: Uint8Array;
}

/**
 * Takes in whoever sent an acceptance that somebody carried here, with what they give to be found by: it is checked as the live way is,
 * and may come any number of times, of which the first counts. Errors as welcomeInvited; `not-authentic` also where the invite's key hasn't signed it.
 */
export async function applyAcceptance(session: Session, bytes: Uint8Array): Promise<AppliedAcceptance> {
  const acceptance = decodeAcceptance(bytes);
  verifyAcceptance(acceptance);
  const { inviteId, contactKeys } = acceptance;
  verifyContactKeys(contactKeys);
  const invited = await welcomeInvited(session, inviteId, undefined, acceptance.card, contactKeys);
  return { ...invited, inviteId: copyBytes(inviteId), card: copyBytes(acceptance.card) };
}

/** Our answer to an acceptance that came by letter: fresh bytes for `applyWelcome` there, for the eyes of that friend's devices only. */
export function welcomeFor(
  session: Session,
  { identity, inviteId }: Pick<AppliedAcceptance, 'identity' | 'inviteId'>,
): Uint8Array | undefined {
  const record = session.state.friend(identity);
  if (record?.state !== friendStateNumbers.active) return undefined;
  const { deviceId, deviceSecretKey } = session.device;
  const card = cardOfDevice(encodeCard(ownCardOf(session)), deviceId);
  const welcome = {
    inviteId,
    acceptedBy: identity,
    contactKeys: contactKeysOf(session, record),
    card: card.length > welcomeCardBytesMax ? new Uint8Array(0) : card,
    extensions: [],
  };
  return copyBytes(encodeWelcome(signWelcome(welcome, deviceSecretKey)));
}

/** Who has let us in by letter. */
export interface AppliedWelcome {
  readonly identity: Uint8Array;
  /** Encoded and not verified: for the friends book. Empty where none was sent. */
  readonly card: Uint8Array;
}

/**
 * The word of somebody whose invite is pending here that we are friends: the invite has done its work, and they can be found. KithError
 * `malformed`, `too-new`, `not-authentic`; `friend-unknown` where no such invite is pending (any more).
 */
export async function applyWelcome(session: Session, bytes: Uint8Array): Promise<AppliedWelcome> {
  const welcome = decodeWelcome(bytes);
  if (!equalBytes(welcome.acceptedBy, session.device.vaultId))
    throw new KithError('not-authentic', 'the welcome is for somebody else');
  const isOf = (record: FriendRecord): boolean => {
    const pending = record.state === friendStateNumbers.active ? pendingOf(record) : undefined;
    return pending !== undefined && equalBytes(oneTimePair(pending.seed).publicKey, welcome.inviteId);
  };
  const found = [...session.state.friends()].find(isOf);
  const pending = found === undefined ? undefined : pendingOf(found);
  if (found === undefined || pending === undefined)
    throw new KithError('friend-unknown', 'no such invite is pending here');
  verifyWelcome(welcome, pending.deviceId);
  verifyContactKeys(welcome.contactKeys);
  const { identity } = found;
  // As before every record that a command writes: a home that was put back from an old copy hears first what it wrote since.
  await exchangeWithAll(session);
  await writeFriend(session, identity, (before) => {
    if (before === undefined || !isOf(before)) return undefined;
    const extensions = withoutPending(before.extensions);
    return { ...before, extensions: withContactKeysOfLetter(extensions, welcome.contactKeys) ?? extensions };
  });
  session.takeNews();
  return { identity, card: copyBytes(welcome.card) };
}

/** True for what may be done another time, by a newer kith, or by another device; all else is nonsense or over. */
export function isForLater(error: unknown): boolean {
  return isKithError(error, 'peer-refused', 'too-new', 'io-error', 'disk-full', 'interrupted');
}

/** The name by which a person is told of a friend. */
export function nameOfFriend(session: Session, identity: Uint8Array): string {
  return session.state.friend(identity)?.name ?? toHex(identity).slice(0, 16);
}
