import { chunkBytesMax, chunkBytesMin, chunkBytesTarget } from '../base/limits.ts';
import { cutLimits, gearTable, stateAt } from './gear.ts';

/**
 * Finds where chunks end (docs/kernels.md, "Cut points"). A cut point depends on the key and on the bytes since the
 * last cut, on nothing else: not on how the bytes arrive, nor on what came before. Holds no state between calls, so
 * one chunker serves many streams.
 */
export interface Chunker {
  /**
   * The end of the chunk that begins at `start`, with `bytes[start, end)` at hand: start < result ≤ end, and no more
   * than chunkBytesMax after start. With `atEnd` nothing follows `end`, and the last chunk may be short; without, the
   * result is undefined where the cut lies beyond `end`. Then read on and ask again with the same start; `scannedTo`, the
   * `end` of that earlier call, saves looking at those bytes a second time. A buffer of chunkBytesMax from `start`
   * always suffices. RangeError for an empty or impossible range.
   */
  cut(bytes: Uint8Array, start: number, end: number, atEnd: boolean, scannedTo?: number): number | undefined;
}

/**
 * The first position p in (from, to] at which the state, of the window of 32 bytes before p, is below `limit`, or −1.
 * `from` is at least windowBytes.
 */
export type Scan = (bytes: Uint8Array, from: number, to: number, limit: number) => number;

/** The scan in plain TypeScript. */
function plainScan(table: Int32Array, bytes: Uint8Array, from: number, to: number, limit: number): number {
  const shift = Math.log2(limit);
  let state = stateAt(table, bytes, from);
  let at = from;
  // Two bytes a step: the chain from state to state is then half as long.
  for (const last = to - 1; at < last; at += 2) {
    const first = table[bytes[at] as number] as number;
    const second = table[bytes[at + 1] as number] as number;
    const between = ((state << 1) + first) | 0;
    state = ((state << 2) + (((first << 1) + second) | 0)) | 0;
    if (between >>> shift === 0) return at + 1;
    if (state >>> shift === 0) return at + 2;
  }
  if (at < to) {
    state = ((state << 1) + (table[bytes[at] as number] as number)) | 0;
    if (state >>> shift === 0) return to;
  }
  return -1;
}

/** Bytes of chunks: at least (but for the last of a file), aimed at, at most. The target is a power of two. */
export interface ChunkSizes {
  readonly min: number;
  readonly target: number;
  readonly max: number;
}

/** The sizes of kith's format. Others are for measuring. */
export const chunkSizes: ChunkSizes = { min: chunkBytesMin, target: chunkBytesTarget, max: chunkBytesMax };

/** The chunker that looks with this scan. */
export function chunkerOf(scan: Scan, sizes: ChunkSizes = chunkSizes): Chunker {
  const { strict, loose } = cutLimits(sizes.target);
  return {
    cut(bytes, start, end, atEnd, scannedTo = start) {
      if (!(start >= 0 && start < end && end <= bytes.length)) {
        throw new RangeError(`nothing to cut in [${start}, ${end}) of ${bytes.length} bytes`);
      }
      const limit = Math.min(end, start + sizes.max);
      const target = Math.min(limit, start + sizes.target);
      // A cut at exactly the minimum is allowed: the window then lies inside this chunk, never before it.
      let from = Math.max(start + sizes.min - 1, Math.min(scannedTo, limit));
      if (from < target) {
        const found = scan(bytes, from, target, strict);
        if (found !== -1) return found;
        from = target;
      }
      if (from < limit) {
        const found = scan(bytes, from, limit, loose);
        if (found !== -1) return found;
      }
      if (limit === start + sizes.max || atEnd) return limit;
      return undefined;
    },
  };
}

/** The plain chunker for a 32-byte cut key, of which only the derived table is kept. */
export function createChunker(cutKey: Uint8Array, sizes: ChunkSizes = chunkSizes): Chunker {
  const table = gearTable(cutKey);
  return chunkerOf((bytes, from, to, limit) => plainScan(table, bytes, from, to, limit), sizes);
}
