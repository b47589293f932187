import { toHex } from '../../base/bytes.ts';
import { mapLimited } from '../../base/concurrency.ts';
import { isKithError, messageOf } from '../../base/errors.ts';
import type { Card } from '../../format/card.ts';
import { limitsOfFriend } from '../../format/friend-limits.ts';
import { devicesOf, endpointsOf } from '../../trust/card.ts';
import { deviceTitle } from '../../trust/device-title.ts';
import { visibilityOf } from '../../trust/visibility.ts';
import { storedCard } from './card-inbox.ts';
import type { Census } from '../shards/census.ts';
import { holdersAtOnce } from '../holders/holder-book.ts';
import { inTime } from '../holders/in-time.ts';
import type { KnownFriend } from '../holders/known-holder.ts';
import { pendingStateNumbers } from '../../format/invite-records.ts';
import { pendingOf, pendingShown } from '../invites/pending-invite.ts';
import type { Session } from '../session.ts';
import type { FriendInfo } from '../types.ts';

/** A friend has so long to say how much room there is, where only a person waits for it. */
const roomMsMax = 10_000;

/** What a friend said of the room it gives, when it was last asked in this process. */
interface RoomSaid {
  readonly quotaReceived: number | null;
  readonly usedByMe: number | null;
  readonly shardsOfMine: number | null;
}

const nothingSaid: RoomSaid = { quotaReceived: null, usedByMe: null, shardsOfMine: null };

const saidIn = new WeakMap<Session, Map<string, RoomSaid>>();

function saidOf(session: Session): Map<string, RoomSaid> {
  const said = saidIn.get(session) ?? new Map<string, RoomSaid>();
  saidIn.set(session, said);
  return said;
}

/** Asks a friend who is online for the room it gives. What went wrong is the second half. */
async function askRoom(
  session: Session,
  friend: KnownFriend,
  census: Census | undefined,
): Promise<{ said: RoomSaid; trouble: string | null }> {
  const all = saidOf(session);
  const before = all.get(friend.id) ?? nothingSaid;
  const wasListed = census?.holders.some(({ id }) => id === friend.id) === true;
  const shardsOfMine = wasListed ? (census?.countOf(friend.id) ?? null) : before.shardsOfMine;
  try {
    const room = await inTime(friend.holder, roomMsMax, () => friend.holder.room());
    const said = { quotaReceived: room.quotaBytes ?? null, usedByMe: room.usedBytes, shardsOfMine };
    all.set(friend.id, said);
    return { said, trouble: null };
  } catch (error) {
    if (!isKithError(error)) throw error;
    return { said: { ...before, shardsOfMine }, trouble: messageOf(error) };
  }
}

function addressesOf(card: Card): string[] {
  const all = devicesOf(card).flatMap(({ deviceId }) => endpointsOf(card, deviceId));
  return [
    ...new Set(all.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`))),
  ];
}

function limitsOf({ record }: KnownFriend): Pick<FriendInfo, 'uploadLimit' | 'downloadLimit'> {
  try {
    const { uploadLimit = null, downloadLimit = null } = limitsOfFriend(record.extensions);
    return { uploadLimit, downloadLimit };
  } catch (error) {
    if (!isKithError(error)) throw error;
    return { uploadLimit: null, downloadLimit: null };
  }
}

/** What is known of a friend now. Only one who is online is asked anything. The safety words only with `words`. */
export async function friendInfo(
  session: Session,
  friend: KnownFriend,
  { census, words = false }: { readonly census?: Census | undefined; readonly words?: boolean } = {},
): Promise<FriendInfo> {
  const { record, id, name, household = null } = friend;
  const presence = session.network.presence(id);
  const hosted = await session.network.hosted(id);
  const { said, trouble } = presence.online
    ? await askRoom(session, friend, census)
    : { said: saidOf(session).get(id) ?? nothingSaid, trouble: presence.trouble ?? 'not online' };
  const card = storedCard(record);
  const pending = pendingShown(record);
  const devices = card === undefined ? [] : devicesOf(card);
  return {
    id,
    name,
    household,
    online: presence.online,
    via: presence.via,
    address: presence.address,
    reason: presence.online
      ? trouble
      : isStranded(record, card)
        ? strandedWords
        : awayWords(pending.invite, pending.words, trouble),
    steps: presence.steps ?? [],
    allow: [...record.grants],
    visibility: visibilityOf(record.extensions),
    quotaGiven: record.quotaGivenBytes,
    usedByThem: hosted?.usedBytes ?? null,
    reservedByThem: hosted?.reservedBytes ?? null,
    trashOfThem: hosted?.trashBytes ?? null,
    ...said,
    devices: devices.map((device) => ({ id: toHex(device.deviceId), name: deviceTitle(device, name) })),
    addresses: card === undefined ? [] : addressesOf(card),
    metered: presence.metered === true,
    ...limitsOf(friend),
    invite: pending.invite,
    safetyWords: words ? await wordsWith(session, record.identity) : null,
  };
}

const strandedWords =
  'their invite is accepted here and says nowhere where their computer is, since kith was not up there when it was made. Ask them for another: kith up --detach, then kith invite';

/** True where nothing leads to whoever made a pending invite, but a friend of both. */
function isStranded(record: KnownFriend['record'], card: Card | undefined): boolean {
  const pending = pendingOf(record);
  if (pending?.state !== pendingStateNumbers.waiting) return false;
  const { meetingPoints, publicDht } = pending.hints;
  return meetingPoints.length === 0 && !publicDht && (card === undefined || addressesOf(card).length === 0);
}

/** What a person is told of a friend who is away: of one whose invite is pending also how the last try went. */
function awayWords(
  invite: FriendInfo['invite'],
  words: string | null,
  trouble: string | null,
): string | null {
  if (words === null) return trouble;
  return invite === 'pending' && trouble !== null ? `${words} (now: ${trouble})` : words;
}

/** The list of words is loaded only where words are asked for. */
async function wordsWith(session: Session, identity: Uint8Array): Promise<string> {
  const { safetyWords } = await import('../../trust/safety-words.ts');
  return await safetyWords(session.device.vaultId, identity);
}

/** The same of several, side by side. */
export async function friendInfos(
  session: Session,
  friends: readonly KnownFriend[],
  census?: Census,
): Promise<FriendInfo[]> {
  return await mapLimited(friends, holdersAtOnce, (friend) => friendInfo(session, friend, { census }));
}
