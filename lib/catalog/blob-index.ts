import { idKey } from '../base/bytes.ts';
import { GrownWords } from '../base/grown-words.ts';
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
/** Share of slots in use from which on there are twice as many. */
const crowdedAt = 0.75;
const noId: Uint8Array = new Uint8Array(idBytes);

/** Ids of a block: 1 MiB. */
const blockShift = 15;
const blockIds: number = 1 << blockShift;
const blockMask: number = blockIds - 1;

/**
 * BlobId → place, over packed arrays in blocks: some 105 to 130 bytes for a blob with a frame of its own, 20 less for one of many (docs/decisions/0029). Open
 * addressing with linear probing; ids are keyed hashes, so their first bytes are the hash. A blob may stand in several
 * packs (one was lost and its blobs were stored again, or two devices stored the same): the first added is given,
 * unless that pack was removed or comes later in the order of who asks, and another has the blob.
 */
export class BlobIndex {
  #slots: Int32Array = new Int32Array(slotsMin).fill(-1);
  /** Blocks of ids. */
  readonly #ids: Uint8Array[] = [];
  readonly #frames = new GrownWords();
  readonly #offsets = new GrownWords();
  readonly #lengths = new GrownWords();
  /** The next entry with the same id: entries of one id are a chain that begins at its slot. Most ids have one. */
  readonly #next = new Map<number, number>();
  #count = 0;
  readonly #framePack = new GrownWords();
  readonly #frameOrdinal = new GrownWords();
  readonly #frameOffset = new GrownWords();
  readonly #frameSealed = new GrownWords();
  readonly #framePlain = new GrownWords();
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
    const frame = this.#frames.get(at);
    return {
      packId: this.#packs[this.#framePack.get(frame)] ?? noId,
      ordinal: this.#frameOrdinal.get(frame),
      offset: this.#frameOffset.get(frame),
      sealedLength: this.#frameSealed.get(frame),
      plainBytes: this.#framePlain.get(frame),
      offsetInFrame: this.#offsets.get(at),
      length: this.#lengths.get(at),
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
      yield this.#idAt(at);
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
    return { blobId: this.#idAt(at), pack: this.#packOf(at), length: this.#lengths.get(at) };
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
    const block = this.#ids[at >>> blockShift] as Uint8Array;
    const from = (at & blockMask) * idBytes;
    for (let i = 0; i < idBytes; i++) if (block[from + i] !== blobId[i]) return false;
    return true;
  }

  /** A view. */
  #idAt(at: number): Uint8Array {
    const from = (at & blockMask) * idBytes;
    return (this.#ids[at >>> blockShift] as Uint8Array).subarray(from, from + idBytes);
  }

  #packOf(at: number): number {
    return this.#framePack.get(this.#frames.get(at));
  }

  /** Entries of a blob: those in packs that are in their place, then those in packs that were set aside. */
  #entries(blobId: Uint8Array, order: PackOrder): number[] {
    const first: number[] = [];
    const second: number[] = [];
    const aside: number[] = [];
    for (let at = this.#slots[this.#slotOf(blobId)] ?? -1; at >= 0; at = this.#next.get(at) ?? -1) {
      const pack = this.#packOf(at);
      if (this.#removed.has(pack)) continue;
      (order.aside.has(pack) ? aside : order.second.has(pack) ? second : first).push(at);
    }
    return aside.length + second.length === 0 ? first : [...first, ...second, ...aside];
  }

  #add(blobId: Uint8Array, frame: number, offsetInFrame: number, length: number): void {
    const slot = this.#slotOf(blobId);
    let last = -1;
    for (let at = this.#slots[slot] ?? -1; at >= 0; at = this.#next.get(at) ?? -1) {
      if (this.#removed.has(this.#packOf(at))) {
        this.#set(at, frame, offsetInFrame, length);
        return;
      }
      last = at;
    }
    const at = this.#count++;
    if ((at & blockMask) === 0) this.#ids.push(new Uint8Array(blockIds * idBytes));
    (this.#ids[at >>> blockShift] as Uint8Array).set(blobId, (at & blockMask) * idBytes);
    this.#frames.push(frame);
    this.#offsets.push(offsetInFrame);
    this.#lengths.push(length);
    if (last >= 0) this.#next.set(last, at);
    else this.#slots[slot] = at;
    if (this.#count > this.#slots.length * crowdedAt) this.#growSlots();
  }

  #set(at: number, frame: number, offsetInFrame: number, length: number): void {
    this.#frames.set(at, frame);
    this.#offsets.set(at, offsetInFrame);
    this.#lengths.set(at, length);
  }

  #growSlots(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(-1);
    for (let at = 0; at < this.#count; at++) {
      const slot = this.#slotOf(this.#idAt(at));
      // A chain's first entry is its oldest, so it comes first.
      if ((this.#slots[slot] ?? -1) < 0) this.#slots[slot] = at;
    }
  }
}
