import { chunkerOf, type Chunker } from './chunker.ts';
import { gearTable, windowBytes } from './gear.ts';
import { stagingBytes, type KernelScratch } from './scratch.ts';

/** Bytes copied at a time of an array that lies elsewhere, their window included: they stay in a fast cache. */
const copyBytesMax: number = Math.min(stagingBytes, 64 * 1024);

/** Copies the next bytes behind `from` with the window before them; returns up to which position. */
function stage(scratch: KernelScratch, bytes: Uint8Array, from: number, to: number): number {
  const end = Math.min(to, from - windowBytes + copyBytesMax);
  scratch.bytes.set(bytes.subarray(from - windowBytes, end), scratch.at.staging);
  return end;
}

/** The chunker on WASM: in place for arrays in the kernels' memory, on copies of others. Cuts are those of createChunker. */
export function wasmChunker(scratch: KernelScratch, cutKey: Uint8Array): Chunker {
  const table = gearTable(cutKey);
  const { at, exports } = scratch;
  return chunkerOf((bytes, from, to, limit) => {
    scratch.useGear(table);
    if (scratch.holds(bytes)) {
      const base = bytes.byteOffset;
      const found = exports.scanFirst(at.gear, base + from, base + to, limit, at.hits) >>> 0;
      return found === 0 ? -1 : found - base;
    }
    const begin = at.staging + windowBytes;
    for (let next = from; next < to;) {
      const end = stage(scratch, bytes, next, to);
      const found = exports.scanFirst(at.gear, begin, begin + end - next, limit, at.hits) >>> 0;
      if (found !== 0) return next + found - begin;
      next = end;
    }
    return -1;
  });
}
