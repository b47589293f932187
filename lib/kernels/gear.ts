import { Hasher } from '../crypto/hash.ts';

/** Bytes that the state remembers: each step shifts one bit of 32 out. */
export const windowBytes = 32;

/** Below what a state is a cut: before the target, and after it. Powers of two. */
export interface CutLimits {
  readonly strict: number;
  readonly loose: number;
}

/**
 * Normalised chunking (FastCDC 2020, section 3.4): a cut is four times rarer than the target asks before the target, four times
 * as frequent after it. The state's top bits have seen the most bytes, so they decide: they are zero where the state is below
 * the limit. What is below the strict limit is below the loose one, too. `targetBytes` is a power of two.
 */
export function cutLimits(targetBytes: number): CutLimits {
  const bits = Math.log2(targetBytes);
  return { strict: 2 ** (32 - (bits + 2)), loose: 2 ** (32 - (bits - 2)) };
}

/** Words of the gear table. */
export const gearWords = 256;

/**
 * The secret table of the gear hash: 256 words, little-endian, from MAC[cut key](counter u32), counter 0 … 31. RangeError
 * for a key that hasn't 32 bytes.
 */
export function gearTable(cutKey: Uint8Array): Int32Array {
  if (cutKey.length !== 32) throw new RangeError(`a cut key has 32 bytes, not ${cutKey.length}`);
  const hasher = Hasher.keyed(cutKey);
  const table = new Int32Array(gearWords);
  const counter = new Uint8Array(4);
  for (let block = 0; block < 32; block++) {
    counter[0] = block;
    const words = new DataView(hasher.hash(counter).buffer);
    for (let word = 0; word < 8; word++) table[block * 8 + word] = words.getInt32(word * 4, true);
  }
  return table;
}

/** The state before byte `at`, from the window that ends there; `at` is at least windowBytes. */
export function stateAt(table: Int32Array, bytes: Uint8Array, at: number): number {
  let state = 0;
  for (let p = at - windowBytes; p < at; p++) {
    state = ((state << 1) + (table[bytes[p] as number] as number)) | 0;
  }
  return state;
}
