import { concatBytes } from '../../base/bytes.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import { KithError } from '../../base/errors.ts';
import type { RandomSource } from '../../crypto/random.ts';
import type { InventoryEntry, ShardRef } from '../../holders/holder.ts';
import {
  decodeEntries,
  decodeInventoryPage,
  encodeInventoryAsked,
  folderDigest,
  nonceBytes,
  type InventorySection,
} from './inventory-page.ts';

/** Pages of one listing at most: some 67 million shards, far more than any friend keeps for anybody. */
const pagesMax = 16_384;

/** Bytes of entries that are remembered of one friend: those of a million shards. What is beyond is asked for again. */
const rememberedBytesMax: number = 48 * 1024 * 1024;

export interface InventoryListing {
  readonly vaultId: Uint8Array;
  readonly isHolderDevice: (deviceId: Uint8Array) => boolean;
  readonly random: RandomSource;
  readonly signal: AbortSignal | undefined;
  /** Asks the holder for one page. */
  readonly ask: (question: Uint8Array) => Promise<Uint8Array>;
  /** Reads what the holder said; makes a holder's error of what makes no sense. */
  readonly read: <T>(work: () => T) => T;
}

interface Folder {
  readonly entries: Uint8Array;
  readonly digest: Uint8Array;
}

/**
 * What a holder said last of its inventory, folder by folder in the bytes of the wire, so that the next listing brings only folders that
 * have changed. The holder lists its disk each time; what is remembered here counts only if its digest is what the holder signs for now.
 */
export class InventoryMirror {
  readonly #folders = new Map<number, Folder>();
  #bytes = 0;

  /** All entries, by pack id and index. Ends with an error if the holder doesn't tell all of it. */
  async *list(listing: InventoryListing): AsyncGenerator<InventoryEntry> {
    let from = 0;
    let after: ShardRef | undefined;
    let parts: Uint8Array[] = [];
    const heard = new Set<number>();
    for (let pages = 0; pages < pagesMax; pages++) {
      throwIfAborted(listing.signal);
      const known = this.#known(from);
      const nonce = listing.random(nonceBytes);
      const digests = [...known].map(([firstByte, { digest }]) => ({ firstByte, digest }));
      const question = encodeInventoryAsked({ nonce, from, after, known: digests });
      const answer = await listing.ask(question);
      const page = listing.read(() =>
        decodeInventoryPage(answer, question, listing.vaultId, listing.isHolderDevice),
      );
      for (const section of page.sections) {
        const { firstByte } = section;
        listing.read(() => this.#checkOrder(section, from, after));
        const goesOn = firstByte === from && after !== undefined;
        const entries = section.same ? this.#sameEntries(section, known, listing) : section.entries;
        heard.add(firstByte);
        const last = yield* this.#yieldAll(entries, section, goesOn ? after : undefined, listing);
        if (!section.more) {
          this.#remember(firstByte, goesOn ? concatBytes(...parts, entries) : entries);
          parts = [];
          continue;
        }
        parts.push(section.entries);
        after = last ?? after;
      }
      if (page.next === undefined) {
        this.#forgetBut(heard);
        return;
      }
      const cut = page.sections.at(-1);
      const isCut = cut?.more === true;
      listing.read(() => {
        const forward = isCut ? page.next === cut.firstByte : (page.next ?? 0) > from;
        if (!forward) throw new KithError('malformed', 'a page that leads nowhere');
      });
      from = page.next;
      if (!isCut) after = undefined;
    }
    listing.read(() => {
      throw new KithError('malformed', 'an inventory without end');
    });
  }

  /** What is remembered now, from a folder on: another listing may change it before the answer is here. */
  #known(from: number): ReadonlyMap<number, Folder> {
    return new Map([...this.#folders].filter(([firstByte]) => firstByte >= from).sort(([a], [b]) => a - b));
  }

  /** Only the last folder of a page may be cut, none comes before the one asked for, and a cut one brings something. */
  #checkOrder(
    { firstByte, more, same, entries }: InventorySection,
    from: number,
    after: ShardRef | undefined,
  ): void {
    const bad =
      firstByte < from ||
      (more && entries.length === 0) ||
      (same && firstByte === from && after !== undefined);
    if (bad) throw new KithError('malformed', 'a folder that was not asked for');
  }

  #sameEntries(
    { firstByte }: InventorySection,
    known: ReadonlyMap<number, Folder>,
    { read }: InventoryListing,
  ): Uint8Array {
    return read(() => {
      const folder = known.get(firstByte);
      if (folder !== undefined) return folder.entries;
      throw new KithError('malformed', `folder ${firstByte} is said to be the same as nothing`);
    });
  }

  async *#yieldAll(
    entries: Uint8Array,
    { firstByte }: InventorySection,
    after: ShardRef | undefined,
    { read, signal }: InventoryListing,
  ): AsyncGenerator<InventoryEntry, ShardRef | undefined> {
    const reader = decodeEntries(entries, firstByte, after);
    for (;;) {
      throwIfAborted(signal);
      const next = read(() => reader.next());
      if (next.done === true) return next.value;
      yield next.value;
    }
  }

  #remember(firstByte: number, entries: Uint8Array): void {
    this.#bytes -= this.#folders.get(firstByte)?.entries.length ?? 0;
    this.#folders.delete(firstByte);
    if (entries.length === 0 || this.#bytes + entries.length > rememberedBytesMax) return;
    // A view of a whole page would keep the page.
    const own = entries.slice();
    this.#folders.set(firstByte, { entries: own, digest: folderDigest(own) });
    this.#bytes += own.length;
  }

  #forgetBut(heard: ReadonlySet<number>): void {
    for (const firstByte of this.#folders.keys())
      if (!heard.has(firstByte)) this.#remember(firstByte, new Uint8Array(0));
  }
}
