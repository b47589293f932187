import { KithError } from '../base/errors.ts';

/** Bytes of an id that are kept: ids are keyed hashes, and two of a vault never begin with the same 128 bits. */
const keyWords = 4;

/** Slots of the first table at least. */
const slotsMin = 1 << 17;

/** A table is crowded from here on, and followed by one twice as large. */
const crowdedAt = 0.6;

/** Beyond this share of its slots a table takes nothing more: what comes then is stored, at worst twice. */
const fullAt = 0.9;

const slotFree = 0;
const slotTaken = 1;
const slotWritten = 2;

/** One open-addressing table: word 0 counts; then a state and keyWords words a slot. */
class ClaimTable {
  readonly buffer: SharedArrayBuffer;
  readonly slots: number;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.slots = (this.#words.length - 1) / (1 + keyWords);
  }

  static make(slots: number): ClaimTable {
    return new ClaimTable(new SharedArrayBuffer((1 + slots * (1 + keyWords)) * 4));
  }

  get count(): number {
    return Atomics.load(this.#words, 0);
  }

  /** Looks for an id; with `add` puts it in where it is absent. True if it was there. */
  find(id: Uint8Array, add: boolean): boolean {
    const view = new DataView(id.buffer, id.byteOffset, 4 * keyWords);
    const first = view.getInt32(0, true);
    for (let slot = (first >>> 0) % this.slots; ; slot = slot + 1 === this.slots ? 0 : slot + 1) {
      const at = 1 + slot * (1 + keyWords);
      let state = Atomics.load(this.#words, at);
      if (state === slotFree) {
        if (!add) return false;
        state = Atomics.compareExchange(this.#words, at, slotFree, slotTaken);
        if (state === slotFree) {
          for (let word = 0; word < keyWords; word++) {
            this.#words[at + 1 + word] = view.getInt32(4 * word, true);
          }
          Atomics.store(this.#words, at, slotWritten);
          Atomics.add(this.#words, 0, 1);
          return false;
        }
      }
      // Another thread is writing its key: four words from now it is there.
      while (state === slotTaken) state = Atomics.load(this.#words, at);
      if (this.#words[at + 1] !== first) continue;
      let word = 1;
      while (word < keyWords && this.#words[at + 1 + word] === view.getInt32(4 * word, true)) word++;
      if (word === keyWords) return true;
    }
  }
}

/**
 * Which blobs the vault has, or a thread of this backup is about to store: a set that threads share, each through its own instance over
 * the same buffers. 20 bytes a slot, some 40 an id. Ids are only added. Where two threads meet a blob at the same time one of them
 * claims it; a thread that doesn't know the newest table yet may store a blob twice, which costs space and nothing else.
 */
export class SharedClaims {
  readonly #tables: ClaimTable[];

  /** An empty set with room for `expected` ids, or the one that another thread's `buffers` are of. */
  constructor(from: { readonly expected: number } | { readonly buffers: readonly SharedArrayBuffer[] }) {
    if ('buffers' in from) {
      if (from.buffers.length === 0) throw new KithError('internal', 'claims without a table');
      this.#tables = from.buffers.map((buffer) => new ClaimTable(buffer));
    } else {
      this.#tables = [ClaimTable.make(Math.max(slotsMin, Math.ceil(from.expected / (crowdedAt / 1.5))))];
    }
  }

  /** What another thread needs to take part; it grows at the end only. */
  get buffers(): readonly SharedArrayBuffer[] {
    return this.#tables.map(({ buffer }) => buffer);
  }

  /** Takes in tables that another thread has added. */
  follow(buffers: readonly SharedArrayBuffer[]): void {
    for (const buffer of buffers.slice(this.#tables.length)) this.#tables.push(new ClaimTable(buffer));
  }

  /** Adds a larger table where the newest is crowded. For one thread only; the others follow. */
  grow(): void {
    const last = this.#newest;
    if (last.count >= last.slots * crowdedAt) this.#tables.push(ClaimTable.make(last.slots * 2));
  }

  /** True if nobody had the blob: it is the caller's to store. */
  claim(id: Uint8Array): boolean {
    const last = this.#newest;
    for (const table of this.#tables) if (table !== last && table.find(id, false)) return false;
    return !last.find(id, last.count < last.slots * fullAt);
  }

  get #newest(): ClaimTable {
    return this.#tables[this.#tables.length - 1] as ClaimTable;
  }
}
