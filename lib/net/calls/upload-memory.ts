import { uploadBudgetBytes } from './bulk-budget.ts';
import type { Timers } from '../timers.ts';

/** Uploads of this size and more are gathered in memory that is used again and again; smaller ones are the collector's. */
export const lentBytesMin: number = 1024 * 1024;

/** Pieces of memory come in multiples of this. */
const unitBytes: number = 256 * 1024;

/** What is kept for the next uploads at most: what they may have at all. */
const keptBytesMax: number = uploadBudgetBytes;

/** How long it is kept while nothing comes. */
const keptMs = 10_000;

/** Memory of its own, not cleared: it is handed out once every byte of it has come. */
export function unfilledBytes(length: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer, byteOffset, length);
}

/**
 * Memory for large uploads. Without it every one would leave its bytes to the collector, which comes for them only when some 64 MiB have
 * gathered: that was most of what a process that receives took.
 */
export class UploadMemory {
  readonly #timers: Timers;
  #kept: Uint8Array[] = [];
  #callOff: () => void = () => {};

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** At least so many bytes, whatever is in them. */
  take(bytes: number): Uint8Array {
    const at = this.#kept.findIndex(({ length }) => length >= bytes && length <= bytes + 4 * unitBytes);
    const [found] = at < 0 ? [] : this.#kept.splice(at, 1);
    return found ?? unfilledBytes(Math.ceil(bytes / unitBytes) * unitBytes);
  }

  /** Nobody looks at it any more. */
  giveBack(memory: Uint8Array): void {
    this.#kept.push(memory);
    let total = 0;
    for (const { length } of this.#kept) total += length;
    while (total > keptBytesMax) total -= this.#kept.shift()?.length ?? total;
    this.#callOff();
    this.#callOff = this.#timers.after(keptMs, () => this.close());
  }

  /** Lets go of what is kept. */
  close(): void {
    this.#callOff();
    this.#kept = [];
  }
}
