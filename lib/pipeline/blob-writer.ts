import type { BlobKind } from '../format/blob.ts';
import { BlobPacker, type BlobPackerOptions } from './blob-packer.ts';
import type { SealableFrame } from './pack-builder.ts';

/** What a writer needs from its owner, beside what a packer does. */
export interface BlobWriterOptions extends BlobPackerOptions {
  /** Resolves when another pack may be filled; throws what became of earlier ones. */
  readonly room: () => Promise<void>;
}

/**
 * A packer in the thread that also sends packs away: it waits where packs come faster than they are sent. One blob at a time is
 * compressed and sealed in the calling thread, which is for trees and small backups; files of large ones go through lib/workers.
 */
export class BlobWriter {
  readonly #packer: BlobPacker;
  readonly #room: () => Promise<void>;

  constructor(options: BlobWriterOptions) {
    this.#packer = new BlobPacker(options);
    this.#room = options.room;
  }

  /** The packer itself, for callers that wait by themselves. */
  get packer(): BlobPacker {
    return this.#packer;
  }

  /** Plain bytes of chunks, trees and lists that were new to the vault. */
  get bytesAdded(): number {
    return this.#packer.bytesAdded;
  }

  /** Waits while too many packs are on their way. Errors of earlier packs are thrown here. */
  ready(): Promise<void> {
    return this.#room();
  }

  /** Stores a blob and returns its id. Errors of earlier packs may be thrown here. */
  async store(kind: BlobKind, bytes: Uint8Array): Promise<Uint8Array> {
    await this.#room();
    return this.#packer.store(kind, bytes);
  }

  /** Puts in frames that other packers had left. */
  async addFrames(frames: Iterable<SealableFrame>): Promise<void> {
    for (const frame of frames) {
      await this.#room();
      this.#packer.addFrame(frame);
    }
  }

  /** Hands over all that is left. */
  async finish(): Promise<void> {
    await this.#room();
    this.#packer.finish();
  }
}
