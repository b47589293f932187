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
  type InventoryPage,
  type InventorySection,
} from './inventory-page.ts';

/** Shards of one listing at most: 16 TiB of the largest ones. A friend that says it has more isn't believed. */
const entriesMax = 4_000_000;

/** Pages of one listing at most: those of entriesMax, and as many cut short by the size of a page. */
const pagesMax = 4096;

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
    let count = 0;
    const heard = new Set<number>();
    for (let pages = 0; pages < pagesMax; pages++) {
      throwIfAborted(listing.signal);
      const known = this.#known(from);
      const page = await this.#ask(listing, from, after, known);
      for (const section of page.sections) {
        const { firstByte } = section;
        const goesOn = firstByte === from && after !== undefined;
        if (!goesOn) parts = [];
        const entries = section.same ? this.#sameEntries(section, known, listing) : section.entries;
        heard.add(firstByte);
        const told = yield* this.#yieldAll(entries, section, goesOn ? after : undefined, listing, count);
        count = told.count;
        if (section.more) {
          parts.push(entries);
          after = told.last;
        } else {
          this.#remember(firstByte, parts.length > 0 ? concatBytes(...parts, entries) : entries);
          parts = [];
          after = undefined;
        }
      }
      if (page.next === undefined) {
        this.#forgetBut(heard);
        return;
      }
      from = page.next;
      // The rest of a cut folder was left out: then there is none.
      if (page.sections.at(-1)?.more !== true) after = undefined;
    }
    listing.read(() => {
      throw new KithError('malformed', 'an inventory without end');
    });
  }

  /** One page, checked in itself and against the question. */
  async #ask(
    listing: InventoryListing,
    from: number,
    after: ShardRef | undefined,
    known: ReadonlyMap<number, Folder>,
  ): Promise<InventoryPage> {
    const nonce = listing.random(nonceBytes);
    const digests = [...known].map(([firstByte, { digest }]) => ({ firstByte, digest }));
    const question = encodeInventoryAsked({ nonce, from, after, known: digests });
    const answer = await listing.ask(question);
    return listing.read(() => {
      const page = decodeInventoryPage(answer, question, listing.vaultId, listing.isHolderDevice);
      const [first] = page.sections;
      const { next } = page;
      const isBad =
        (first !== undefined && first.firstByte < from) ||
        (first?.same === true && first.firstByte === from && after !== undefined) ||
        (first === undefined && next !== undefined && next <= from);
      if (isBad) throw new KithError('malformed', 'a page that was not asked for');
      return page;
    });
  }

  /** What is remembered now, from a folder on: another listing may change it before the answer is here. */
  #known(from: number): ReadonlyMap<number, Folder> {
    return new Map([...this.#folders].filter(([firstByte]) => firstByte >= from).sort(([a], [b]) => a - b));
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
    before: number,
  ): AsyncGenerator<InventoryEntry, { readonly last: ShardRef | undefined; readonly count: number }> {
    const reader = decodeEntries(entries, firstByte, after);
    for (let count = before; ; count++) {
      throwIfAborted(signal);
      const next = read(() => {
        if (count > entriesMax) throw new KithError('malformed', 'an inventory without end');
        return reader.next();
      });
      if (next.done === true) return { last: next.value, count };
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
