import { chunkBytesMax, chunkBytesMin, chunkBytesTarget } from '../base/limits.ts';
import { Hasher } from '../crypto/hash.ts';

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

/** Bytes that the state remembers: each step shifts one bit of 32 out. */
const windowBytes = 32;

/**
 * Normalised chunking (FastCDC 2020, section 3.4): a cut is four times rarer than the target asks before the target, four times
 * as frequent after it. The state's top bits have seen the most bytes, so they decide.
 */
const targetBits = Math.log2(chunkBytesTarget);
const shiftBeforeTarget = 32 - (targetBits + 2);
const shiftAfterTarget = 32 - (targetBits - 2);

/** The secret table of the gear hash: 256 words, little-endian, from MAC[cut key](counter u32), counter 0 … 31. */
function gearTable(cutKey: Uint8Array): Int32Array {
  const hasher = Hasher.keyed(cutKey);
  const table = new Int32Array(256);
  const counter = new Uint8Array(4);
  for (let block = 0; block < 32; block++) {
    counter[0] = block;
    const words = new DataView(hasher.hash(counter).buffer);
    for (let word = 0; word < 8; word++) table[block * 8 + word] = words.getInt32(word * 4, true);
  }
  return table;
}

/**
 * The first position p in (from, to] at which the window of 32 bytes before p makes a cut, or −1.
 * `from` is at least windowBytes: the state is built from the window before it.
 */
function scan(table: Int32Array, bytes: Uint8Array, from: number, to: number, shift: number): number {
  let state = 0;
  for (let at = from - windowBytes; at < from; at++) {
    state = ((state << 1) + (table[bytes[at] as number] as number)) | 0;
  }
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

/** The plain chunker for a 32-byte cut key, of which only the derived table is kept. */
export function createChunker(cutKey: Uint8Array): Chunker {
  if (cutKey.length !== 32) throw new RangeError(`a cut key has 32 bytes, not ${cutKey.length}`);
  const table = gearTable(cutKey);
  return {
    cut(bytes, start, end, atEnd, scannedTo = start) {
      if (!(start >= 0 && start < end && end <= bytes.length)) {
        throw new RangeError(`nothing to cut in [${start}, ${end}) of ${bytes.length} bytes`);
      }
      const limit = Math.min(end, start + chunkBytesMax);
      const target = Math.min(limit, start + chunkBytesTarget);
      // A cut at exactly the minimum is allowed: the window then lies inside this chunk, never before it.
      let from = Math.max(start + chunkBytesMin - 1, Math.min(scannedTo, limit));
      if (from < target) {
        const found = scan(table, bytes, from, target, shiftBeforeTarget);
        if (found !== -1) return found;
        from = target;
      }
      if (from < limit) {
        const found = scan(table, bytes, from, limit, shiftAfterTarget);
        if (found !== -1) return found;
      }
      if (limit === start + chunkBytesMax || atEnd) return limit;
      return undefined;
    },
  };
}
