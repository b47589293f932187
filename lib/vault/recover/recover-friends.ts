import { equalBytes, toHex } from '../../base/bytes.ts';
import { mapLimited, throwIfAborted } from '../../base/concurrency.ts';
import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import { decodeCardText } from '../../format/card-text.ts';
import { decodeCard, verifyCard, type Card } from '../../format/card.ts';
import { decodeKeyRecord, verifyKeyRecord } from '../../format/key-record.ts';
import { nameOfCard } from '../../trust/card.ts';
import type { FriendRef, RecoveryConnection } from '../friends/friend-network.ts';
import { holdersAtOnce } from '../holders/holder-book.ts';
import { inTime } from '../holders/in-time.ts';
import type { Surroundings } from '../session-parts.ts';
import type { Problem } from '../types.ts';

/** For so long a recovery waits until some friend answers. */
export const reachMsMax = 30_000;

/** A friend has so long to hand over the key record, which has a megabyte at most. */
const keyRecordMsMax = 60_000;

/** Cards that one recovery takes: more were typed by nobody. */
const cardsMax = 1024;

/** A friend whose card was given. */
export interface CardFriend extends FriendRef {
  readonly card: Card;
}

/** Friends by their cards. KithError `malformed`, `not-authentic`, `too-new`; `usage` for one's own card, and for far too many. */
export function cardFriends(texts: readonly string[], vaultId: Uint8Array): CardFriend[] {
  if (texts.length > cardsMax) throw new KithError('usage', `more than ${cardsMax} cards are too many.`);
  const friends = new Map<string, CardFriend>();
  for (const text of texts) {
    const card = decodeCard(decodeCardText(text));
    if (equalBytes(card.identity, vaultId)) {
      throw new KithError('usage', 'this is your own card; recovery needs the card of a friend.');
    }
    verifyCard(card);
    const id = toHex(card.identity);
    const name = nameOfCard(card) || `friend-${id.slice(0, 8)}`;
    friends.set(id, { id, name, household: undefined, card });
  }
  return [...friends.values()];
}

/** What friends gave of the keys, and how they stand to us. */
export interface FoundKeys {
  /** Verified. */
  readonly keyRecords: readonly Uint8Array[];
  /** Friends who let us in: they know the identity. */
  readonly knownTo: number;
  /** Friends who answered and refused us. */
  readonly refusedBy: number;
}

/**
 * Waits for friends and asks each who comes online for the key record: until one has given it and nobody who is there is left unasked,
 * until all were asked, or until the time is up. `haveSome` says that others have given it already: then nobody is waited for.
 */
export async function findKeyRecords(
  surroundings: Surroundings,
  connection: RecoveryConnection,
  friends: readonly CardFriend[],
  options: {
    readonly vaultId: Uint8Array;
    readonly haveSome: boolean;
    readonly report: (problem: Problem) => void;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<FoundKeys> {
  const { clock } = surroundings;
  const deadline = clock.monotonicMs() + reachMsMax;
  const asked = new Set<string>();
  const keyRecords: Uint8Array[] = [];
  for (;;) {
    throwIfAborted(options.signal);
    const left = friends.filter(({ id }) => !asked.has(id));
    const leftMs = deadline - clock.monotonicMs();
    const enough = options.haveSome || keyRecords.length > 0;
    if (!enough && left.length > 0 && leftMs > 0) {
      await connection.waitForAny(
        left.map(({ id }) => id),
        leftMs,
        options.signal,
      );
    }
    const here = left.filter(({ id }) => connection.presence(id).online);
    if (here.length === 0) break;
    for (const { id } of here) asked.add(id);
    const found = await mapLimited(here, holdersAtOnce, (friend) => keyRecordOf(connection, friend, options));
    keyRecords.push(...found.filter((bytes) => bytes !== undefined));
  }
  const refusedBy = friends.filter(({ id }) => connection.refused(id)).length;
  return { keyRecords, knownTo: asked.size, refusedBy };
}

/** A friend's key record, if it is genuine; else undefined, and reported. */
async function keyRecordOf(
  connection: RecoveryConnection,
  friend: CardFriend,
  { vaultId, report }: { readonly vaultId: Uint8Array; readonly report: (problem: Problem) => void },
): Promise<Uint8Array | undefined> {
  try {
    const holder = connection.holderOf(friend);
    const keyRecord = await inTime(holder, keyRecordMsMax, () => holder.getKeyRecord());
    if (keyRecord === undefined) throw new KithError('damaged', 'there are no keys of yours here');
    verifyKeyRecord(decodeKeyRecord(keyRecord), vaultId);
    return keyRecord;
  } catch (error) {
    if (!isKithError(error) || error.code === 'interrupted') throw error;
    report({ item: friend.name, message: messageOf(error), code: error.code });
    return undefined;
  }
}
