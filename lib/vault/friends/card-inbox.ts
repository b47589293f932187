import { equalBytes, fromHex } from '../../base/bytes.ts';
import { isKithError } from '../../base/errors.ts';
import { decodeCard, encodeCard, verifyCard, type Card } from '../../format/card.ts';
import { compareContactKeys, type ContactKey } from '../../format/contact-keys.ts';
import { friendStateNumbers, type FriendRecord } from '../../format/friend-records.ts';
import { cardCovers, mergeCards } from '../../trust/card.ts';
import { withContactKeys } from '../../trust/contact.ts';
import { appendFriend, friendLock } from './friend-records.ts';
import type { Session } from '../session.ts';

type Keys = readonly ContactKey[];

/** Friends whose cards can wait: as many as a book has. */
const waitingMax = 1024;

/**
 * Cards of friends that the network has seen grow, and contact keys that they gave in a session, on their way into the friends book. A home
 * that was put back from an old copy must hear of its own later records before it appends: until some holder was heard in this process, they
 * wait.
 */
export class CardInbox {
  readonly #session: Session;
  readonly #waiting = new Map<string, Uint8Array>();
  /** What each gave, in the order in which it is to be taken. */
  readonly #waitingKeys = new Map<string, readonly Keys[]>();
  #isOpen = false;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Takes what waits into the book; from now on nothing waits. */
  async open(): Promise<void> {
    this.#isOpen = true;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    const waitingKeys = [...this.#waitingKeys];
    this.#waitingKeys.clear();
    for (const [identityHex, card] of waiting) await this.take(identityHex, card);
    for (const [identityHex, given] of waitingKeys) {
      for (const keys of given) await this.takeContact(identityHex, keys);
    }
  }

  /** What a friend gives to be found by (docs/formats/cards-service.md), verified. True if it is in the book now. */
  async takeContact(identityHex: string, keys: Keys): Promise<boolean> {
    if (!this.#isOpen) {
      const before = this.#waitingKeys.get(identityHex);
      if (before !== undefined || this.#waitingKeys.size < waitingMax)
        this.#waitingKeys.set(identityHex, givenSince(before ?? [], keys));
      return false;
    }
    return await friendLock(this.#session).run(async () => {
      const record = this.#recordOf(identityHex);
      if (record === undefined) return false;
      const extensions = withContactKeys(record.extensions, keys);
      if (extensions === undefined) return true;
      await appendFriend(this.#session, { ...record, extensions });
      this.#session.loadHolders();
      return true;
    });
  }

  /** True if the card, or all that it says, is in the book now. */
  async take(identityHex: string, card: Uint8Array): Promise<boolean> {
    if (!this.#isOpen) {
      if (this.#waiting.size < waitingMax) this.#waiting.set(identityHex, card.slice());
      return false;
    }
    return await friendLock(this.#session).run(async () => {
      const record = this.#recordOf(identityHex);
      const merged = record === undefined ? undefined : this.#merged(record, card);
      if (record === undefined || merged === undefined) return false;
      if (merged === 'known') return true;
      await appendFriend(this.#session, { ...record, card: encodeCard(merged) });
      this.#session.loadHolders();
      return true;
    });
  }

  #recordOf(identityHex: string): FriendRecord | undefined {
    const identity = fromHex(identityHex);
    const record = identity === undefined ? undefined : this.#session.state.friend(identity);
    return record?.state === friendStateNumbers.active ? record : undefined;
  }

  /** What the book is to have; undefined for a card that isn't the friend's, or for which there is no room. */
  #merged(record: FriendRecord, bytes: Uint8Array): Card | 'known' | undefined {
    try {
      const card = decodeCard(bytes);
      if (!equalBytes(card.identity, record.identity)) return undefined;
      verifyCard(card);
      const known = storedCard(record);
      if (known === undefined) return card;
      return cardCovers(known, card) ? 'known' : mergeCards(known, card);
    } catch (error) {
      if (!isKithError(error, 'malformed', 'not-authentic', 'too-new', 'limit-exceeded')) throw error;
      return undefined;
    }
  }
}

/** What waits with what is given now: at most that all was taken back, and the newest keys after that. */
function givenSince(waiting: readonly Keys[], keys: Keys): readonly Keys[] {
  const newest = keys.at(-1);
  if (newest === undefined) return [keys];
  const known = waiting.at(-1)?.at(-1);
  // As in the book: from a device that hasn't heard of the newest epoch.
  if (known !== undefined && compareContactKeys(newest, known) < 0) return waiting;
  return [...waiting.filter((each) => each.length === 0), keys];
}

/** The card that the book has of a friend; undefined where it can't be read. */
export function storedCard(record: FriendRecord): Card | undefined {
  try {
    const card = decodeCard(record.card);
    return equalBytes(card.identity, record.identity) ? card : undefined;
  } catch (error) {
    if (!isKithError(error)) throw error;
    return undefined;
  }
}
