import { idKey } from '../base/bytes.ts';
import type { PackDirectory } from '../format/pack-directory.ts';
import { blobKinds } from '../format/blob.ts';

/** Where a blob is. */
export interface BlobPlace {
  readonly packId: Uint8Array;
  readonly ordinal: number;
  /** Offset and length of the sealed frame in the pack. */
  readonly offset: number;
  readonly sealedLength: number;
  readonly plainBytes: number;
  readonly offsetInFrame: number;
  readonly length: number;
}

/** Which packs come later than others when a blob is in several: numbers of one index, good until it goes. */
export interface PackOrder {
  readonly aside: ReadonlySet<number>;
  readonly second: ReadonlySet<number>;
}

const anyOrder: PackOrder = { aside: new Set<number>(), second: new Set<number>() };

const idBytes = 32;
const slotsMin = 1024;
const noId: Uint8Array = new Uint8Array(idBytes);

/**
 * BlobId → place, over packed arrays: about 60 bytes a blob at worst instead of a few hundred in a Map. Open
 * addressing with linear probing; ids are keyed hashes, so their first bytes are the hash. A blob may stand in several
 * packs (one was lost and its blobs were stored again, or two devices stored the same): the first added is given,
 * unless that pack was removed or comes later in the order of who asks, and another has the blob.
 */
export class BlobIndex {
  #slots: Int32Array = new Int32Array(slotsMin).fill(-1);
  #ids: Uint8Array = new Uint8Array(idBytes * 512);
  #frames: Uint32Array = new Uint32Array(512);
  #offsets: Uint32Array = new Uint32Array(512);
  #lengths: Uint32Array = new Uint32Array(512);
  /** The next entry with the same id, or -1: entries of one id are a chain that begins at its slot. */
  #next: Int32Array = new Int32Array(512);
  #count = 0;
  readonly #framePack: number[] = [];
  readonly #frameOrdinal: number[] = [];
  readonly #frameOffset: number[] = [];
  readonly #frameSealed: number[] = [];
  readonly #framePlain: number[] = [];
  readonly #packs: Uint8Array[] = [];
  /** By pack number, the blobs it was added with. */
  readonly #packBlobs: number[] = [];
  readonly #packNumbers = new Map<string, number>();
  readonly #removed = new Set<number>();
  readonly #snapshots = new Map<string, Uint8Array>();

  /** Places of blobs, those in removed packs included. */
  get size(): number {
    return this.#count;
  }

  hasPack(packId: Uint8Array): boolean {
    const number = this.#packNumbers.get(idKey(packId));
    return number !== undefined && !this.#removed.has(number);
  }

  /** Adds all blobs of a pack. Adding it again changes nothing. */
  addPack(packId: Uint8Array, directory: PackDirectory): void {
    if (this.hasPack(packId)) return;
    const packNumber = this.#packs.length;
    this.#packs.push(packId.slice());
    this.#packNumbers.set(idKey(packId), packNumber);
    this.#packBlobs.push(directory.frames.reduce((sum, frame) => sum + frame.blobs.length, 0));
    for (const [ordinal, frame] of directory.frames.entries()) {
      const frameNumber = this.#framePack.length;
      this.#framePack.push(packNumber);
      this.#frameOrdinal.push(ordinal);
      this.#frameOffset.push(frame.offset);
      this.#frameSealed.push(frame.sealedLength);
      this.#framePlain.push(frame.plainBytes);
      for (const blob of frame.blobs) {
        this.#add(blob.blobId, frameNumber, blob.offsetInFrame, blob.length);
        if (blob.kind === blobKinds.snapshot) this.#snapshots.set(idKey(blob.blobId), blob.blobId.slice());
      }
    }
  }

  /** Ids of all snapshot blobs that have a place: a handful among millions, so that they can be looked over. */
  snapshotBlobs(): Uint8Array[] {
    return [...this.#snapshots.values()].filter((blobId) => this.has(blobId));
  }

  /** Takes a pack's blobs out: its shards are lost, or it never got to its holders. */
  removePack(packId: Uint8Array): void {
    const number = this.#packNumbers.get(idKey(packId));
    if (number === undefined) return;
    this.#removed.add(number);
    this.#packNumbers.delete(idKey(packId));
  }

  /**
   * An order for one operation. `aside` are packs that can't be read now: their blobs are looked for elsewhere first. `second` are packs
   * that others are preferred to, though not to those that are set aside. Unknown ones are passed over.
   */
  order(packs: { readonly aside: Iterable<Uint8Array>; readonly second: Iterable<Uint8Array> }): PackOrder {
    return { aside: this.#numbersOf(packs.aside), second: this.#numbersOf(packs.second) };
  }

  #numbersOf(packIds: Iterable<Uint8Array>): Set<number> {
    const numbers = new Set<number>();
    for (const packId of packIds) {
      const number = this.#packNumbers.get(idKey(packId));
      if (number !== undefined) numbers.add(number);
    }
    return numbers;
  }

  /** Where a blob is, or undefined. */
  get(blobId: Uint8Array, order: PackOrder = anyOrder): BlobPlace | undefined {
    const [place] = this.#entries(blobId, order);
    return place === undefined ? undefined : this.#placeOf(place);
  }

  /** Everywhere that a blob is, best first. */
  places(blobId: Uint8Array, order: PackOrder = anyOrder): BlobPlace[] {
    return this.#entries(blobId, order).map((at) => this.#placeOf(at));
  }

  #placeOf(at: number): BlobPlace {
    const frame = this.#frames[at] ?? 0;
    return {
      packId: this.#packs[this.#framePack[frame] ?? 0] ?? noId,
      ordinal: this.#frameOrdinal[frame] ?? 0,
      offset: this.#frameOffset[frame] ?? 0,
      sealedLength: this.#frameSealed[frame] ?? 0,
      plainBytes: this.#framePlain[frame] ?? 0,
      offsetInFrame: this.#offsets[at] ?? 0,
      length: this.#lengths[at] ?? 0,
    };
  }

  has(blobId: Uint8Array): boolean {
    return this.#entries(blobId, anyOrder).length > 0;
  }

  /** Ids of all blobs that have a place outside of some packs; views, some of them twice. */
  *ids(except: Iterable<Uint8Array>): Generator<Uint8Array, void, undefined> {
    const without = this.#numbersOf(except);
    for (let at = 0; at < this.#count; at++) {
      const pack = this.#packOf(at);
      if (this.#removed.has(pack) || without.has(pack)) continue;
      yield this.#ids.subarray(at * idBytes, (at + 1) * idBytes);
    }
  }

  /**
   * Numbers of a blob's entries, one for each pack that has it, from 0 to `size`: for those who keep a bit or a byte for each blob of a
   * vault. The same blob keeps the same numbers.
   */
  entriesOf(blobId: Uint8Array): readonly number[] {
    return this.#entries(blobId, anyOrder);
  }

  /** The entry of a blob in a pack, or undefined. */
  entryIn(blobId: Uint8Array, packId: Uint8Array): number | undefined {
    const number = this.#packNumbers.get(idKey(packId));
    return number === undefined
      ? undefined
      : this.entriesOf(blobId).find((at) => this.#packOf(at) === number);
  }

  /** Which blob an entry is of, in which pack (by its number in this index), and how long it is. */
  entryAt(at: number): { readonly blobId: Uint8Array; readonly pack: number; readonly length: number } {
    const blobId = this.#ids.subarray(at * idBytes, (at + 1) * idBytes);
    return { blobId, pack: this.#packOf(at), length: this.#lengths[at] ?? 0 };
  }

  /** The number of a pack in this index; undefined for one that isn't in it, or was removed. */
  packNumber(packId: Uint8Array): number | undefined {
    return this.#packNumbers.get(idKey(packId));
  }

  packAt(number: number): Uint8Array {
    return this.#packs[number] ?? noId;
  }

  /** True if the index says of a pack what this directory of it says, and no more. */
  agrees(packId: Uint8Array, directory: PackDirectory): boolean {
    const number = this.#packNumbers.get(idKey(packId));
    if (number === undefined) return false;
    let blobs = 0;
    for (const [ordinal, frame] of directory.frames.entries()) {
      for (const blob of frame.blobs) {
        blobs++;
        const isThere = this.entriesOf(blob.blobId).some((at) => {
          if (this.#packOf(at) !== number) return false;
          const place = this.#placeOf(at);
          return (
            place.ordinal === ordinal &&
            place.offset === frame.offset &&
            place.sealedLength === frame.sealedLength &&
            place.plainBytes === frame.plainBytes &&
            place.offsetInFrame === blob.offsetInFrame &&
            place.length === blob.length
          );
        });
        if (!isThere) return false;
      }
    }
    return this.#packBlobs[number] === blobs;
  }

  #slotOf(blobId: Uint8Array): number {
    const mask = this.#slots.length - 1;
    let slot =
      ((blobId[0] ?? 0) | ((blobId[1] ?? 0) << 8) | ((blobId[2] ?? 0) << 16) | ((blobId[3] ?? 0) << 24)) &
      mask;
    for (;;) {
      const at = this.#slots[slot] ?? -1;
      if (at < 0 || this.#sameId(at, blobId)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #sameId(at: number, blobId: Uint8Array): boolean {
    const from = at * idBytes;
    for (let i = 0; i < idBytes; i++) if (this.#ids[from + i] !== blobId[i]) return false;
    return true;
  }

  #packOf(at: number): number {
    return this.#framePack[this.#frames[at] ?? 0] ?? 0;
  }

  /** Entries of a blob: those in packs that are in their place, then those in packs that were set aside. */
  #entries(blobId: Uint8Array, order: PackOrder): number[] {
    const first: number[] = [];
    const second: number[] = [];
    const aside: number[] = [];
    for (let at = this.#slots[this.#slotOf(blobId)] ?? -1; at >= 0; at = this.#next[at] ?? -1) {
      const pack = this.#packOf(at);
      if (this.#removed.has(pack)) continue;
      (order.aside.has(pack) ? aside : order.second.has(pack) ? second : first).push(at);
    }
    return aside.length + second.length === 0 ? first : [...first, ...second, ...aside];
  }

  #add(blobId: Uint8Array, frame: number, offsetInFrame: number, length: number): void {
    const slot = this.#slotOf(blobId);
    let last = -1;
    for (let at = this.#slots[slot] ?? -1; at >= 0; at = this.#next[at] ?? -1) {
      if (this.#removed.has(this.#packOf(at))) {
        this.#set(at, frame, offsetInFrame, length);
        return;
      }
      last = at;
    }
    const at = this.#count++;
    if (at >= this.#frames.length) this.#growEntries();
    this.#ids.set(blobId, at * idBytes);
    this.#set(at, frame, offsetInFrame, length);
    this.#next[at] = -1;
    if (last >= 0) this.#next[last] = at;
    else this.#slots[slot] = at;
    if (this.#count * 2 > this.#slots.length) this.#growSlots();
  }

  #set(at: number, frame: number, offsetInFrame: number, length: number): void {
    this.#frames[at] = frame;
    this.#offsets[at] = offsetInFrame;
    this.#lengths[at] = length;
  }

  #growEntries(): void {
    const capacity = this.#frames.length * 2;
    const grow = (old: Uint32Array): Uint32Array => {
      const grown = new Uint32Array(capacity);
      grown.set(old);
      return grown;
    };
    this.#frames = grow(this.#frames);
    this.#offsets = grow(this.#offsets);
    this.#lengths = grow(this.#lengths);
    const next = new Int32Array(capacity);
    next.set(this.#next);
    this.#next = next;
    const ids = new Uint8Array(capacity * idBytes);
    ids.set(this.#ids);
    this.#ids = ids;
  }

  #growSlots(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(-1);
    for (let at = 0; at < this.#count; at++) {
      const slot = this.#slotOf(this.#ids.subarray(at * idBytes, (at + 1) * idBytes));
      // A chain's first entry is its oldest, so it comes first.
      if ((this.#slots[slot] ?? -1) < 0) this.#slots[slot] = at;
    }
  }
}
