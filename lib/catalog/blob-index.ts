import { idKey } from '../base/bytes.ts';
import type { PackDirectory } from '../format/pack-directory.ts';
import type { BlobKind } from '../format/blob.ts';

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

const idBytes = 32;
const slotsMin = 1024;

/**
 * BlobId → place, over packed arrays: about 60 bytes a blob at worst instead of a few hundred in a Map. Open
 * addressing with linear probing; ids are keyed hashes, so their first bytes are the hash. A blob that stands in
 * several packs keeps the place it got first, until that pack is removed.
 */
export class BlobIndex {
  #slots: Int32Array = new Int32Array(slotsMin).fill(-1);
  #ids: Uint8Array = new Uint8Array(idBytes * 512);
  #frames: Uint32Array = new Uint32Array(512);
  #offsets: Uint32Array = new Uint32Array(512);
  #lengths: Uint32Array = new Uint32Array(512);
  #count = 0;
  readonly #framePack: number[] = [];
  readonly #frameOrdinal: number[] = [];
  readonly #frameOffset: number[] = [];
  readonly #frameSealed: number[] = [];
  readonly #framePlain: number[] = [];
  readonly #packs: Uint8Array[] = [];
  readonly #packNumbers = new Map<string, number>();
  readonly #removed = new Set<number>();

  /** Blobs with a place, those of removed packs included. */
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
    for (const [ordinal, frame] of directory.frames.entries()) {
      const frameNumber = this.#framePack.length;
      this.#framePack.push(packNumber);
      this.#frameOrdinal.push(ordinal);
      this.#frameOffset.push(frame.offset);
      this.#frameSealed.push(frame.sealedLength);
      this.#framePlain.push(frame.plainBytes);
      for (const blob of frame.blobs) this.#add(blob.blobId, frameNumber, blob.offsetInFrame, blob.length);
    }
  }

  /** Takes a pack's blobs out: its shards are lost, or it never got to its holders. */
  removePack(packId: Uint8Array): void {
    const number = this.#packNumbers.get(idKey(packId));
    if (number === undefined) return;
    this.#removed.add(number);
    this.#packNumbers.delete(idKey(packId));
  }

  /** Where a blob is, or undefined. */
  get(blobId: Uint8Array): BlobPlace | undefined {
    const at = this.#find(blobId);
    if (at === undefined) return undefined;
    const frame = this.#frames[at] ?? 0;
    const packNumber = this.#framePack[frame] ?? 0;
    const packId = this.#packs[packNumber];
    if (packId === undefined || this.#removed.has(packNumber)) return undefined;
    return {
      packId,
      ordinal: this.#frameOrdinal[frame] ?? 0,
      offset: this.#frameOffset[frame] ?? 0,
      sealedLength: this.#frameSealed[frame] ?? 0,
      plainBytes: this.#framePlain[frame] ?? 0,
      offsetInFrame: this.#offsets[at] ?? 0,
      length: this.#lengths[at] ?? 0,
    };
  }

  has(blobId: Uint8Array): boolean {
    return this.get(blobId) !== undefined;
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

  #find(blobId: Uint8Array): number | undefined {
    const at = this.#slots[this.#slotOf(blobId)] ?? -1;
    return at < 0 ? undefined : at;
  }

  #add(blobId: Uint8Array, frame: number, offsetInFrame: number, length: number): void {
    const slot = this.#slotOf(blobId);
    const existing = this.#slots[slot] ?? -1;
    if (existing >= 0) {
      if (!this.#removed.has(this.#framePack[this.#frames[existing] ?? 0] ?? 0)) return;
      this.#set(existing, frame, offsetInFrame, length);
      return;
    }
    const at = this.#count++;
    if (at >= this.#frames.length) this.#growEntries();
    this.#ids.set(blobId, at * idBytes);
    this.#set(at, frame, offsetInFrame, length);
    this.#slots[slot] = at;
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
    const ids = new Uint8Array(capacity * idBytes);
    ids.set(this.#ids);
    this.#ids = ids;
  }

  #growSlots(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(-1);
    for (let at = 0; at < this.#count; at++) {
      this.#slots[this.#slotOf(this.#ids.subarray(at * idBytes, (at + 1) * idBytes))] = at;
    }
  }
}

/** Blob kinds and ids of a directory, in order. */
export function* blobsOf(directory: PackDirectory): Generator<{ kind: BlobKind; blobId: Uint8Array }> {
  for (const frame of directory.frames) for (const blob of frame.blobs) yield blob;
}
