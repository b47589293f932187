import { rowCountMax } from '../base/limits.ts';
import { dataRowsMax } from './erasure-coder.ts';
import { gearWords } from './gear.ts';

/** What lib/kernels/assembly exports. Numbers are addresses in the memory, counts and lengths in bytes; see there. */
export interface KernelExports {
  scanFirst(table: number, from: number, to: number, limit: number, hits: number): number;
  combineRows(
    tables: number,
    k: number,
    sources: number,
    rows: number,
    outputs: number,
    length: number,
  ): void;
}

/** Places noted in a block by the gear scan (assembly/gear.ts, hitsMax). */
const hitsMax = 32;

/** Bytes of the two tables by which one source is multiplied. */
export const pairBytes = 32;

/** Bytes for rows and inputs that lie elsewhere. */
export const stagingBytes: number = 256 * 1024;

type Part = 'gear' | 'hits' | 'sources' | 'outputs' | 'tables' | 'staging';

/** Bytes of the parts of a scratch, in the order in which they lie there; multiples of 16. */
const partBytes: Readonly<Record<Part, number>> = {
  gear: gearWords * 4,
  hits: hitsMax * 4,
  sources: dataRowsMax * 4,
  outputs: rowCountMax * 4,
  tables: dataRowsMax * rowCountMax * pairBytes,
  staging: stagingBytes,
};

/** Addresses of the parts, for a scratch at `offset`. */
function addresses(offset: number): Readonly<Record<Part, number>> {
  const parts = Object.entries(partBytes) as [Part, number][];
  let next = offset;
  return Object.fromEntries(
    parts.map(([part, bytes]) => {
      const at = next;
      next += bytes;
      return [part, at];
    }),
  ) as Record<Part, number>;
}

/** Bytes of scratch that the kernels of one thread work in. */
export const kernelScratchBytes: number = Object.values(partBytes).reduce((sum, bytes) => sum + bytes, 0);

/**
 * The scratch of one thread's kernels: a range of the shared memory that nobody else touches. All kernels in it run to their end
 * within a call, so they share it; what one finds there is what it wrote since.
 */
export class KernelScratch {
  readonly exports: KernelExports;
  /** Where its parts begin, as addresses in the memory. */
  readonly at: Readonly<Record<Part, number>>;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  #gear: Int32Array | undefined;

  /** RangeError unless `offset` is a multiple of 16 with kernelScratchBytes from there inside the memory. */
  constructor(exports: KernelExports, memory: WebAssembly.Memory, offset: number) {
    this.bytes = new Uint8Array(memory.buffer);
    this.words = new Uint32Array(memory.buffer);
    if (!(offset >= 0 && offset % 16 === 0 && offset + kernelScratchBytes <= this.bytes.length)) {
      throw new RangeError(`no scratch at ${offset} in ${this.bytes.length} bytes`);
    }
    this.exports = exports;
    this.at = addresses(offset);
  }

  /** Whether an array lies in this memory, so that kernels can work on it where it is. */
  holds(bytes: Uint8Array | Uint32Array): boolean {
    return bytes.buffer === this.bytes.buffer;
  }

  /** Makes this the gear table in the scratch. */
  useGear(table: Int32Array): void {
    if (this.#gear === table) return;
    this.words.set(table, this.at.gear / 4);
    this.#gear = table;
  }
}
