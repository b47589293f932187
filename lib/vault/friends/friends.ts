import { equalBytes, fromHex, toHex, utf8 } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { decodeCardText, encodeCardText } from '../../format/card-text.ts';
import { decodeCard, encodeCard, verifyCard, type Card } from '../../format/card.ts';
import { nameTextBytesMax } from '../../format/fields.ts';
import type { Extension } from '../../format/extensions.ts';
import { encodeFriendRecord, friendStateNumbers, type FriendRecord } from '../../format/friend-records.ts';
import { cardCovers, cleanName, mergeCards, nameOfCard } from '../../trust/card.ts';
import { friendCountMax } from '../../trust/friends-book.ts';
import { changeGrants, grantsOfNewFriend } from '../../trust/grants.ts';
import { beginEpoch } from '../../trust/own-key-record.ts';
import { withVisibility } from '../../trust/visibility.ts';
import { storedCard } from './card-inbox.ts';
import { noteCompared } from './compared-words.ts';
import { exchangeWithAll } from '../logs/exchange.ts';
import { friendInfo, friendInfos } from './friend-info.ts';
import { limitsAfter } from './friend-rates.ts';
import { writeFriend } from './friend-records.ts';
import { withoutPending } from '../invites/pending-invite.ts';
import type { KnownFriend } from '../holders/known-holder.ts';
import { nameFor, refuseTakenName } from '../holders/names.ts';
import { ownCardOf } from './own-card.ts';
import { refuseIfNeeded } from '../repair/removal.ts';
import type { Session } from '../session.ts';
import type { FriendInfo, FriendOptions, PingChoice, PingResult } from '../types.ts';

/** What is kept for a new friend of whom nothing else is said, as in an invite: a mutual add is to work at once. */
export const quotaOfNewFriendBytes = 50e9;

/** Bytes of a name that a card brings along: longer ones are cut, where one that is typed is refused. */
const nameOfCardBytesMax = 64;

/**
 * This identity's card. Its addresses are those where this computer last listened; before it ever did, it says the name only.
 */
export async function card(session: Session): Promise<string> {
  if (session.ownAddress.record === undefined) await session.ownAddress.publish(session.name, []);
  return encodeCardText(encodeCard(ownCardOf(session)));
}

/** KithError `malformed`, `too-new`, `not-authentic`; `usage` for one's own. */
function readCard(session: Session, text: string): Card {
  const read = decodeCard(decodeCardText(text));
  if (equalBytes(read.identity, session.device.vaultId)) {
    throw new KithError('usage', 'this is your own card. Send it to your friend, and add the one you get.');
  }
  verifyCard(read);
  return read;
}

/** A name as it was typed. KithError `usage` for one that can't be shown as it is, or is taken. */
function checkedName(session: Session, name: string, ownId: string): string {
  if (name === '' || cleanName(name) !== name || utf8(name).length > nameTextBytesMax) {
    throw new KithError('usage', `a name has 1 to ${nameTextBytesMax} bytes, all of which can be shown.`);
  }
  refuseTakenName(session, name, ownId);
  return name;
}

function checkHousehold(household: string): void {
  if (cleanName(household) === household && utf8(household).length <= nameTextBytesMax) return;
  throw new KithError(
    'usage',
    `a household has at most ${nameTextBytesMax} bytes, all of which can be shown.`,
  );
}

/** What the friend calls himself or herself, as far as it can be shown; else a few digits of the identity. */
export function nameFromCard(read: Card): string {
  let name = '';
  for (const character of nameOfCard(read)) {
    if (utf8(name + character).length > nameOfCardBytesMax) break;
    name += character;
  }
  return name.trim() || `friend-${toHex(read.identity).slice(0, 8)}`;
}

function extensionsAfter({ extensions }: FriendRecord, options: FriendOptions): readonly Extension[] {
  const limited = limitsAfter(extensions, options);
  return options.visibility === undefined ? limited : withVisibility(limited, options.visibility);
}

/** A record after options were taken in. KithError `usage`. */
function withOptions(session: Session, record: FriendRecord, options: FriendOptions): FriendRecord {
  const { name, household = record.household, quotaBytes = record.quotaGivenBytes } = options;
  checkHousehold(household);
  if (!Number.isSafeInteger(quotaBytes) || quotaBytes < 0) {
    throw new KithError('usage', `${quotaBytes} bytes are no quota.`);
  }
  return {
    ...record,
    name: name === undefined ? record.name : checkedName(session, name, toHex(record.identity)),
    household,
    quotaGivenBytes: quotaBytes,
    grants: changeGrants(record.grants, options),
    extensions: extensionsAfter(record, options),
  };
}

/** But for their times. */
function sameRecord(a: FriendRecord, b: FriendRecord): boolean {
  return equalBytes(encodeFriendRecord({ ...a, atNs: 0n }), encodeFriendRecord({ ...b, atNs: 0n }));
}

/** The union of the card that the book has and one that was given, as bytes; the book's own where it says all. */
function mergedCard(record: FriendRecord, read: Card): Uint8Array {
  const known = storedCard(record);
  if (known === undefined) return encodeCard(read);
  return cardCovers(known, read) ? record.card : encodeCard(mergeCards(known, read));
}

/**
 * Takes a friend into the book, or back, or takes in what a card of a known one says that is new. KithError `friend-exists` where
 * nothing would change.
 */
export async function friendAdd(session: Session, text: string, options: FriendOptions): Promise<FriendInfo> {
  const read = readCard(session, text);
  await exchangeWithAll(session);
  return await changeFriend(session, read.identity, (before) => {
    const after = lineOf(session, read, options);
    if (before?.state === friendStateNumbers.active && sameRecord(before, after)) {
      throw new KithError('friend-exists', `this is your friend "${before.name}" already; nothing is new.`);
    }
    return after;
  });
}

/**
 * The line of the book for a friend with this verified card, as options and what is known say. Everything of a friend who was removed
 * comes back but for the grants. KithError `usage`, `limit-exceeded`.
 */
export function lineOf(session: Session, read: Card, options: FriendOptions): FriendRecord {
  const before = session.state.friend(read.identity);
  const isActive = before?.state === friendStateNumbers.active;
  if (!isActive && session.friends().length >= friendCountMax) {
    throw new KithError('limit-exceeded', `nobody has more than ${friendCountMax} friends here.`);
  }
  const wanted = before?.name ?? nameFromCard(read);
  const base: FriendRecord = {
    identity: read.identity,
    state: friendStateNumbers.active,
    name: isActive ? before.name : (options.name ?? nameFor(session, wanted)),
    household: before?.household ?? '',
    quotaGivenBytes: before?.quotaGivenBytes ?? quotaOfNewFriendBytes,
    grants: isActive ? before.grants : grantsOfNewFriend,
    card: before === undefined ? encodeCard(read) : mergedCard(before, read),
    atNs: 0n,
    extensions: before?.extensions ?? [],
  };
  return withOptions(session, base, options);
}

/** Writes what becomes of a line of the book, takes it in, and lets the network and all holders know. */
export async function changeFriend(
  session: Session,
  identity: Uint8Array,
  change: (before: FriendRecord | undefined) => FriendRecord,
): Promise<FriendInfo> {
  await writeFriend(session, identity, change);
  session.takeNews();
  await exchangeWithAll(session);
  return await friendInfo(session, findFriend(session, toHex(identity)));
}

export async function friendList(session: Session): Promise<FriendInfo[]> {
  const friends = session.friends();
  if (friends.length > 0) await session.network.settled?.();
  return await friendInfos(session, friends);
}

export async function friendShow(session: Session, nameOrId: string): Promise<FriendInfo> {
  const friend = findFriend(session, nameOrId);
  await session.network.settled?.();
  return await friendInfo(session, friend, { words: true });
}

/** Changes what is said of a friend. KithError `friend-unknown`, `usage`. */
export async function friendSet(
  session: Session,
  nameOrId: string,
  options: FriendOptions,
): Promise<FriendInfo> {
  await exchangeWithAll(session);
  const friend = findFriend(session, nameOrId);
  if (options.wordsMatch === true) await noteCompared(session, friend.id);
  const after = withOptions(session, friend.record, options);
  if (sameRecord(friend.record, after)) return await friendInfo(session, friend);
  return await changeFriend(session, friend.record.identity, (before) =>
    withOptions(session, before ?? friend.record, options),
  );
}

/** Ends a friendship here, and begins a key epoch: the friend knows none of its keys. KithError `failed` if some pack could then not be restored, unless forced. */
export async function friendRemove(session: Session, nameOrId: string, force: boolean): Promise<FriendInfo> {
  await exchangeWithAll(session);
  const friend = findFriend(session, nameOrId);
  const info = await friendInfo(session, friend);
  if (!force) await refuseIfNeeded(session, friend);
  const { random, clock } = session.surroundings;
  // Until the record says that it is no friend any more nobody is given the keys of the new epoch.
  await session.keepingContacts(async () => {
    // First: what dies in between has begun an epoch for nothing, and nothing else.
    await session.changeKeyRecord((device, keyRecord) =>
      beginEpoch(device, keyRecord, { random, nowNs: () => clock.nowNs() }),
    );
    await writeFriend(session, friend.record.identity, (before) => ({
      ...(before ?? friend.record),
      state: friendStateNumbers.removed,
      // An invite of theirs that is pending is given up with them.
      extensions: withoutPending((before ?? friend.record).extensions),
    }));
  });
  session.takeNews();
  await exchangeWithAll(session);
  return info;
}

export async function friendPing(
  session: Session,
  nameOrId: string,
  { signal, sessionOnly }: PingChoice & { readonly signal?: AbortSignal },
): Promise<PingResult> {
  const friend = findFriend(session, nameOrId);
  const steps = await session.network.ping(friend.id, signal, sessionOnly);
  return { friend: await friendInfo(session, friend), steps };
}

/** A friend by name, or by the beginning of the id (6 digits or more). KithError `friend-unknown`. */
export function findFriend(session: Session, text: string): KnownFriend {
  const friends = session.friends();
  const named = friends.find((friend) => friend.name === text);
  if (named !== undefined) return named;
  const digits = text.toLowerCase();
  const isId = digits.length >= 6 && fromHex(digits.length % 2 === 0 ? digits : `${digits}0`) !== undefined;
  const matching = isId ? friends.filter((friend) => friend.id.startsWith(digits)) : [];
  const [only] = matching;
  if (only !== undefined && matching.length === 1) return only;
  const names = friends.map((friend) => friend.name).join(', ');
  throw new KithError(
    'friend-unknown',
    matching.length > 1
      ? `${text} fits ${matching.length} friends; give more digits.`
      : `there is no friend "${text}". You have: ${names === '' ? 'none' : names}.`,
  );
}
