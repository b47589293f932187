import { KithError } from '../base/errors.ts';
import { classBytes } from '../base/limits.ts';
import { blobKinds, type BlobKind, type BlobNamer } from '../format/blob.ts';
import { compressions } from '../format/frame.ts';
import type { DirectoryBlob } from '../format/pack-directory.ts';
import type { Compressor } from './compress.ts';
import type { PackBuilder, SealableFrame, SealedPack } from './pack-builder.ts';
import type { Stages } from './stages.ts';

/** Blobs from this size on get a frame of their own; smaller ones share one, compressed together. */
export const ownFrameBytes: number = 128 * 1024;

/** Plain bytes of a shared frame: large enough to compress like an archive, small enough to fetch for one file. */
export const sharedFrameBytes: number = 1024 * 1024;

/** Blobs of a shared frame at most. */
const sharedFrameBlobsMax = 16_384;

/** A last pack that would be padded by more than this share of itself, and so many bytes, is split in two. */
const paddingShareMax = 0.25;
const paddingBytesMax = 512 * 1024;

interface OpenFrame {
  readonly bytes: Uint8Array;
  blobs: DirectoryBlob[];
  length: number;
}

/** What a packer needs from its owner. */
export interface BlobPackerOptions {
  readonly namer: BlobNamer;
  readonly compressor: Compressor;
  readonly stages: Stages;
  /** True if the blob is new and now the caller's to store; asked once for every blob. */
  readonly claim: (blobId: Uint8Array) => boolean;
  /** An empty pack; with a number one of at most so many bytes. May wait for memory, in this thread. */
  readonly newPack: (capacityBytes?: number) => PackBuilder;
  /** Bytes of a full pack, the format's unless given: a shared frame fills at most half of it. */
  readonly capacityBytes?: number | undefined;
  /** Takes a finished pack. */
  readonly onPack: (pack: SealedPack, builder: PackBuilder) => void;
  /** Bytes of a shared frame and of a small file more, twice: fresh arrays unless given. */
  readonly memory?: Uint8Array;
}

/** Bytes of the memory that a packer gathers small blobs in. */
export const packerMemoryBytes: number = 2 * (sharedFrameBytes + ownFrameBytes);

/**
 * Names blobs, leaves out known ones, gathers small ones into shared frames (files and trees apart), compresses, seals, and
 * fills one pack after another, all in the calling thread. Memory: the open pack and two shared frames.
 */
export class BlobPacker {
  readonly #options: BlobPackerOptions;
  readonly #data: OpenFrame;
  readonly #meta: OpenFrame;
  readonly #frameBytesMax: number;
  #pack: PackBuilder | undefined;
  #bytesAdded = 0;

  constructor(options: BlobPackerOptions) {
    this.#options = options;
    this.#frameBytesMax = Math.min(sharedFrameBytes, (options.capacityBytes ?? Infinity) / 2);
    const memory = options.memory ?? new Uint8Array(packerMemoryBytes);
    const half = packerMemoryBytes / 2;
    this.#data = { bytes: memory.subarray(0, half), blobs: [], length: 0 };
    this.#meta = { bytes: memory.subarray(half, 2 * half), blobs: [], length: 0 };
  }

  /** Plain bytes of chunks, trees and lists that were new to the vault. */
  get bytesAdded(): number {
    return this.#bytesAdded;
  }

  /** Stores a blob and returns its id, a fresh array. The bytes are copied or sealed when it returns. */
  store(kind: BlobKind, bytes: Uint8Array): Uint8Array {
    const blobId = this.#options.stages.run('hash', () => this.#options.namer.idOf(kind, bytes));
    if (!this.#options.claim(blobId)) return blobId;
    this.#count(kind, bytes.length);
    if (bytes.length >= ownFrameBytes) {
      this.#seal(bytes, [{ kind, blobId, offsetInFrame: 0, length: bytes.length }]);
      return blobId;
    }
    const frame = kind === blobKinds.data ? this.#data : this.#meta;
    this.#makeRoom(frame, bytes.length);
    frame.bytes.set(bytes, frame.length);
    frame.blobs.push({ kind, blobId, offsetInFrame: frame.length, length: bytes.length });
    frame.length += bytes.length;
    return blobId;
  }

  /**
   * Memory to read a small chunk into, of so many bytes (fewer than ownFrameBytes): where it will lie if it is new. Valid until the
   * next call of this packer.
   */
  smallChunk(bytes: number): Uint8Array {
    if (bytes >= ownFrameBytes) throw new KithError('internal', `${bytes} bytes are no small chunk`);
    this.#makeRoom(this.#data, bytes);
    return this.#data.bytes.subarray(this.#data.length, this.#data.length + bytes);
  }

  /** Stores the first bytes of what smallChunk gave, as a chunk. Its id. */
  storeSmallChunk(chunk: Uint8Array): Uint8Array {
    const { stages, namer, claim } = this.#options;
    const kind = blobKinds.data;
    const blobId = stages.run('hash', () => namer.idOf(kind, chunk));
    if (!claim(blobId)) return blobId;
    this.#count(kind, chunk.length);
    this.#data.blobs.push({ kind, blobId, offsetInFrame: this.#data.length, length: chunk.length });
    this.#data.length += chunk.length;
    return blobId;
  }

  /** Puts in a frame that another packer took out of its pack. */
  addFrame(frame: SealableFrame): void {
    if (this.#pack?.fits(frame.body.length, frame.blobs.length) === false) {
      // One that was made small for the end of a backup may be too small for a large chunk.
      if (this.#pack.empty) this.#pack = undefined;
      else this.#handOver();
    }
    this.#pack ??= this.#options.newPack();
    const pack = this.#pack;
    this.#options.stages.run('seal', () => pack.add(frame));
  }

  /** Seals the shared frames. The pack stays open. */
  flush(): void {
    this.#sealShared(this.#data);
    this.#sealShared(this.#meta);
  }

  /**
   * Seals the shared frames and hands over the open pack where it needs little padding; else gives what it holds, for another packer, and
   * gives it up.
   */
  takeRest(): SealableFrame[] {
    this.flush();
    const pack = this.#pack;
    if (pack === undefined || pack.empty) return [];
    if (paddedSize(pack) === undefined) {
      this.#handOver();
      return [];
    }
    this.#pack = undefined;
    return pack.takeApart();
  }

  /** Hands over all that is left, in one pack or in two, whichever pads less. */
  finish(): void {
    this.flush();
    const pack = this.#pack;
    if (pack === undefined || pack.empty) return;
    const smaller = paddedSize(pack);
    if (smaller === undefined) {
      this.#handOver();
      return;
    }
    this.#pack = this.#options.newPack(smaller);
    for (const frame of pack.takeApart()) this.addFrame(frame);
    this.#handOver();
  }

  #count(kind: BlobKind, bytes: number): void {
    if (kind <= blobKinds.list) this.#bytesAdded += bytes;
  }

  #makeRoom(frame: OpenFrame, bytes: number): void {
    if (frame.length + bytes > this.#frameBytesMax || frame.blobs.length >= sharedFrameBlobsMax)
      this.#sealShared(frame);
  }

  #sealShared(frame: OpenFrame): void {
    if (frame.blobs.length === 0) return;
    const { blobs } = frame;
    frame.blobs = [];
    this.#seal(frame.bytes.subarray(0, frame.length), blobs);
    frame.length = 0;
  }

  #seal(plain: Uint8Array, blobs: readonly DirectoryBlob[]): void {
    const { compressor, stages } = this.#options;
    const compressed = stages.run('compress', () => compressor.compressNow(plain));
    this.addFrame({
      compression: compressed === undefined ? compressions.none : compressions.zstd,
      plainBytes: plain.length,
      body: compressed ?? plain,
      blobs,
    });
  }

  #handOver(): void {
    const builder = this.#pack;
    if (builder === undefined || builder.empty) return;
    this.#pack = undefined;
    this.#options.onPack(
      this.#options.stages.run('seal', () => builder.finish()),
      builder,
    );
  }
}

/** Where a pack would be padded more than it should be: the bytes of the next smaller size. */
function paddedSize(pack: PackBuilder): number | undefined {
  const { k, class: sizeClass, contentBytes } = pack.size;
  const packBytes = k * (classBytes[sizeClass] ?? 0);
  const below = classBytes[sizeClass - 1];
  const padding = packBytes - contentBytes;
  if (below === undefined || padding <= Math.max(paddingBytesMax, packBytes * paddingShareMax))
    return undefined;
  return k * below;
}
