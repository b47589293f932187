import { gearTable, looseLimit, stateAt, strictLimit, windowBytes } from './gear.ts';

/**
 * Finds every position where a chunk could end, wherever it began: for large files of which several threads each scan
 * a region. A CutSelector makes the cuts of them.
 *
 * A candidate is a number: twice the position in `bytes`, plus 1 where a chunk may end before the target as well (`strict`).
 */
export interface CandidateScanner {
  /**
   * Writes the candidates at positions in (from, to] to `out`, ascending, and returns how many. Where `out` is full there
   * may be more: go on from the last position written. Regions join without a gap if one's `to` is the next one's `from`.
   * A position is judged by the 32 bytes before it, so 32 ≤ from ≤ to ≤ bytes.length < 2^31 (RangeError else): let `bytes`
   * begin 32 bytes before the region. At the beginning of a file `from` is 32: no chunk ends so early.
   */
  scan(bytes: Uint8Array, from: number, to: number, out: Uint32Array): number;
}

/** The position of a candidate, in the array that was scanned. */
export function candidatePosition(candidate: number): number {
  return candidate >>> 1;
}

/** Whether a chunk may end at a candidate before it has the target's length. */
export function candidateIsStrict(candidate: number): boolean {
  return (candidate & 1) === 1;
}

/** RangeError for what CandidateScanner doesn't allow. */
export function checkRegion(bytes: Uint8Array, from: number, to: number): void {
  if (!(from >= windowBytes && from <= to && to <= bytes.length && bytes.length < 2 ** 31)) {
    throw new RangeError(`no region of ${bytes.length} bytes: (${from}, ${to}]`);
  }
}

/** The plain scanner for a 32-byte cut key, of which only the derived table is kept. */
export function createCandidateScanner(cutKey: Uint8Array): CandidateScanner {
  const table = gearTable(cutKey);
  return {
    scan(bytes, from, to, out) {
      checkRegion(bytes, from, to);
      let count = 0;
      let state = stateAt(table, bytes, from);
      for (let at = from; at < to && count < out.length; at++) {
        state = ((state << 1) + (table[bytes[at] as number] as number)) | 0;
        if (state >>> 0 < looseLimit) out[count++] = (at + 1) * 2 + Number(state >>> 0 < strictLimit);
      }
      return count;
    },
  };
}
