import type { Timers } from './timers.ts';

/** Memory that is kept for uploads to come: four shards of 4 MiB. */
export const keptBytesMax: number = 18 * 1024 * 1024;

/** How long it is kept after the last upload. */
export const keptMs = 10_000;

/** Smaller uploads have memory of their own, which costs the garbage collector little. */
const keptBytesMin = 1024 * 1024;

/** Blocks are whole steps, so that shards whose manifests differ in length find each other's. */
const stepBytes = 64 * 1024;

/** Memory that isn't cleared: the caller hands it out once every byte that is handed out has been written. */
function unfilledBlock(length: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer, byteOffset, length);
}

/**
 * Memory for uploads that is used again, by whichever peer comes next: fresh megabytes for each shard cost a collection of garbage every
 * sixteen shards, and the system as many fresh pages. What is kept is bounded, and let go when no uploads come.
 */
export class UploadMemory {
  readonly #timers: Timers;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #ended = false;
  #callOffLetGo: () => void = () => {};

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Bytes that are kept for uploads to come. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** So many bytes, with anything in them. */
  take(bytes: number): Uint8Array {
    if (bytes < keptBytesMin) return unfilledBlock(bytes);
    const wanted = Math.ceil(bytes / stepBytes) * stepBytes;
    const at = this.#kept.findIndex((block) => block.length === wanted);
    const [block = unfilledBlock(wanted)] = at < 0 ? [] : this.#kept.splice(at, 1);
    if (at >= 0) this.#keptBytes -= block.length;
    return block.subarray(0, bytes);
  }

  /** What was taken, once and when nobody reads or writes it any more. */
  giveBack(bytes: Uint8Array): void {
    if (this.#ended || bytes.length < keptBytesMin) return;
    const block = new Uint8Array(bytes.buffer);
    this.#kept.push(block);
    this.#keptBytes += block.length;
    // The oldest may be of a size that nobody asks for any longer.
    while (this.#keptBytes > keptBytesMax) this.#keptBytes -= this.#kept.shift()?.length ?? 0;
    this.#callOffLetGo();
    this.#callOffLetGo = this.#timers.after(keptMs, () => this.#letGo());
  }

  /** Keeps nothing from now on. */
  end(): void {
    this.#ended = true;
    this.#callOffLetGo();
    this.#letGo();
  }

  #letGo(): void {
    this.#kept = [];
    this.#keptBytes = 0;
  }
}
