import { Semaphore } from '../base/concurrency.ts';
import { idKey } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { blobKinds, type BlobKind, type BlobNamer } from '../format/blob.ts';
import type { DirectoryBlob } from '../format/pack-directory.ts';
import type { Compressor } from './compress.ts';
import type { PackBuilder, SealedPack } from './pack-builder.ts';
import type { Stages } from './stages.ts';

/** Blobs from this size on get a frame of their own; smaller ones share one, compressed together. */
const ownFrameBytes = 128 * 1024;
/** Plain bytes of a shared frame: large enough to compress like an archive, small enough to fetch for one file. */
const sharedFrameBytes = 1024 * 1024;
/** Blobs of a shared frame at most. */
const sharedFrameBlobsMax = 16_384;
/** Frames that may be compressed at once. */
const framesInFlight = 4;

interface OpenFrame {
  readonly bytes: Uint8Array;
  readonly blobs: DirectoryBlob[];
  length: number;
}

/** What the writer needs from its owner. */
export interface BlobWriterOptions {
  readonly namer: BlobNamer;
  readonly compressor: Compressor;
  readonly stages: Stages;
  /** True if the vault has the blob already; called once for every blob stored. */
  readonly known: (blobId: Uint8Array) => boolean;
  readonly newPack: () => PackBuilder;
  /** Takes a finished pack; until it resolves no further pack is filled. Its blobs must be `known` from then on. */
  readonly onPack: (pack: SealedPack, builder: PackBuilder) => Promise<void>;
}

/**
 * Names blobs, leaves out known ones, gathers small ones into shared frames (files and trees apart), compresses, and
 * fills one pack after another. Memory: the open pack, two shared frames and four frames under way.
 */
export class BlobWriter {
  readonly #options: BlobWriterOptions;
  readonly #claimed = new Set<string>();
  readonly #permits = new Semaphore(framesInFlight);
  readonly #packLock = new Semaphore(1);
  readonly #tasks = new Set<Promise<void>>();
  #data: OpenFrame = emptyFrame();
  #meta: OpenFrame = emptyFrame();
  #pack: PackBuilder | undefined;
  #failure: { readonly error: unknown } | undefined;
  #bytesAdded = 0;

  constructor(options: BlobWriterOptions) {
    this.#options = options;
  }

  /** Plain bytes of chunks, trees and lists that were new to the vault. */
  get bytesAdded(): number {
    return this.#bytesAdded;
  }

  /**
   * Stores a blob and returns its id. The bytes are copied: the caller may reuse them when the promise resolves, which
   * is when there is room for the next. Errors of earlier blobs may be thrown here.
   */
  async store(kind: BlobKind, bytes: Uint8Array): Promise<Uint8Array> {
    this.#throwFailure();
    const { namer, stages, known } = this.#options;
    const blobId = stages.run('hash', () => namer.idOf(kind, bytes));
    const key = idKey(blobId);
    if (known(blobId) || this.#claimed.has(key)) return blobId;
    this.#claimed.add(key);
    if (kind <= blobKinds.list) this.#bytesAdded += bytes.length;
    if (bytes.length >= ownFrameBytes) {
      const blobs = [{ kind, blobId, offsetInFrame: 0, length: bytes.length }];
      await this.#seal({ bytes: bytes.slice(), blobs, length: bytes.length });
      return blobId;
    }
    const isMeta = kind !== blobKinds.data;
    let frame = isMeta ? this.#meta : this.#data;
    if (frame.length + bytes.length > sharedFrameBytes || frame.blobs.length >= sharedFrameBlobsMax) {
      if (isMeta) this.#meta = emptyFrame();
      else this.#data = emptyFrame();
      await this.#seal(frame);
      frame = isMeta ? this.#meta : this.#data;
    }
    frame.bytes.set(bytes, frame.length);
    frame.blobs.push({ kind, blobId, offsetInFrame: frame.length, length: bytes.length });
    frame.length += bytes.length;
    return blobId;
  }

  /** Seals the shared frames and waits until all frames are in packs. The last pack stays open. */
  async drain(): Promise<void> {
    const frames = [this.#data, this.#meta];
    this.#data = emptyFrame();
    this.#meta = emptyFrame();
    for (const frame of frames) if (frame.blobs.length > 0) await this.#seal(frame);
    await Promise.all(this.#tasks);
    this.#throwFailure();
  }

  /** Drains and hands over the open pack, if it holds anything. */
  async finish(): Promise<void> {
    await this.drain();
    await this.#packLock.run(() => this.#handOver());
  }

  /** Gives up: nothing more is filled or handed over, and what is under way has ended when it resolves. Never throws. */
  async abandon(): Promise<void> {
    this.#failure ??= { error: new KithError('interrupted', 'the writer was given up') };
    await Promise.all(this.#tasks);
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #seal(frame: OpenFrame): Promise<void> {
    const release = await this.#permits.acquire();
    const task = this.#compressAndAdd(frame).then(
      () => undefined,
      (error: unknown) => {
        this.#failure ??= { error };
      },
    );
    this.#tasks.add(task);
    void task.then(() => {
      this.#tasks.delete(task);
      release();
    });
  }

  async #compressAndAdd(frame: OpenFrame): Promise<void> {
    const { compressor, stages } = this.#options;
    const plain = frame.bytes.subarray(0, frame.length);
    const compressed = await stages.wait('compress', () => compressor.compress(plain));
    await this.#packLock.run(async () => {
      if (this.#failure !== undefined) return;
      const body = compressed ?? plain;
      if (this.#pack?.fits(body.length, frame.blobs.length) === false) await this.#handOver();
      this.#pack ??= this.#options.newPack();
      const pack = this.#pack;
      stages.run('seal', () => {
        pack.add({
          compression: compressed === undefined ? 0 : 1,
          plainBytes: frame.length,
          body,
          blobs: frame.blobs,
        });
      });
    });
  }

  async #handOver(): Promise<void> {
    const builder = this.#pack;
    if (builder === undefined || builder.empty) return;
    this.#pack = undefined;
    const pack = this.#options.stages.run('seal', () => builder.finish());
    await this.#options.onPack(pack, builder);
    for (const frame of pack.directory.frames)
      for (const blob of frame.blobs) this.#claimed.delete(idKey(blob.blobId));
  }
}

function emptyFrame(): OpenFrame {
  return { bytes: new Uint8Array(sharedFrameBytes), blobs: [], length: 0 };
}
