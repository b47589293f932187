import { concatBytes, equalBytes } from '../base/bytes.ts';
import { hashBytes, hashIn } from './hash.ts';

/**
 * Binary Merkle tree over equal leaves whose number is a power of two (docs/formats/pack.md).
 * A tree is given by its leaf hashes, 32 bytes each, in one array.
 */

/** Hashes of the leaves of a payload; its length must be a whole number of leaves. A fresh array of 32 bytes a leaf. */
export function leafHashes(payload: Uint8Array, leafBytes: number): Uint8Array {
  if (payload.length === 0 || payload.length % leafBytes !== 0)
    throw new RangeError('payload is not whole leaves');
  const hashes = new Uint8Array((payload.length / leafBytes) * hashBytes);
  for (let at = 0, out = 0; at < payload.length; at += leafBytes, out += hashBytes) {
    hashes.set(hashIn('merkleLeaf', payload.subarray(at, at + leafBytes)), out);
  }
  return hashes;
}

function leafCountOf(leaves: Uint8Array): number {
  const count = leaves.length / hashBytes;
  if (!Number.isInteger(count) || count < 1 || (count & (count - 1)) !== 0) {
    throw new RangeError('leaves are not a power of two');
  }
  return count;
}

function parentsOf(level: Uint8Array): Uint8Array {
  const parents = new Uint8Array(level.length / 2);
  for (let at = 0, out = 0; at < level.length; at += 2 * hashBytes, out += hashBytes) {
    parents.set(hashIn('merkleNode', level.subarray(at, at + 2 * hashBytes)), out);
  }
  return parents;
}

/** Root of a tree from its leaf hashes. */
export function merkleRoot(leaves: Uint8Array): Uint8Array {
  let level = leaves;
  for (let count = leafCountOf(leaves); count > 1; count /= 2) level = parentsOf(level);
  return new Uint8Array(level);
}

/** All hashes of a tree, for who gives many proofs from it: 64 bytes a leaf, and a hash for each leaf when the first proof is asked for. */
export class MerkleTree {
  /** From the leaves upwards. */
  readonly #levels: Uint8Array[];

  /** Leaf hashes of 32 bytes, which aren't copied. RangeError if their number is no power of two. */
  constructor(leaves: Uint8Array) {
    leafCountOf(leaves);
    this.#levels = [leaves];
  }

  get leaves(): Uint8Array {
    return this.#level(0);
  }

  /**
   * What a verifier needs besides leaves [first, first + count): the hashes of the siblings, level by level from the
   * bottom, left before right. At most 2 · log2(leaves) hashes; fresh bytes.
   */
  rangeProof(first: number, count: number): Uint8Array {
    const total = this.leaves.length / hashBytes;
    if (first < 0 || count < 1 || first + count > total) throw new RangeError('leaf range out of bounds');
    const siblings: Uint8Array[] = [];
    let low = first;
    let high = first + count;
    for (let depth = 0, size = total; size > 1; size /= 2, depth++) {
      // Nothing stands beside it, nor on any level above.
      if (low === 0 && high === size) break;
      const level = this.#level(depth);
      if (low % 2 === 1) siblings.push(level.subarray((low - 1) * hashBytes, low * hashBytes));
      if (high % 2 === 1) siblings.push(level.subarray(high * hashBytes, (high + 1) * hashBytes));
      low = Math.floor(low / 2);
      high = Math.ceil(high / 2);
    }
    return concatBytes(...siblings);
  }

  #level(depth: number): Uint8Array {
    return (this.#levels[depth] ??= parentsOf(this.#level(depth - 1)));
  }
}

/** One proof from a tree's leaf hashes (MerkleTree.rangeProof). */
export function rangeProof(leaves: Uint8Array, first: number, count: number): Uint8Array {
  return new MerkleTree(leaves).rangeProof(first, count);
}

/** True if the leaf hashes of a range and a proof lead to the root. Proofs of wrong length are false, not errors. */
export function verifyRange(
  rangeLeaves: Uint8Array,
  first: number,
  leafCount: number,
  proof: Uint8Array,
  root: Uint8Array,
): boolean {
  const count = rangeLeaves.length / hashBytes;
  if (!Number.isInteger(first) || !Number.isInteger(leafCount)) return false;
  if (!Number.isInteger(count) || count < 1 || first < 0 || first + count > leafCount) return false;
  if ((leafCount & (leafCount - 1)) !== 0) return false;
  let level = rangeLeaves;
  let low = first;
  let high = first + count;
  let used = 0;
  for (let size = leafCount; size > 1; size /= 2) {
    const left = low % 2 === 1 ? proof.subarray(used, (used += hashBytes)) : new Uint8Array(0);
    const right = high % 2 === 1 ? proof.subarray(used, (used += hashBytes)) : new Uint8Array(0);
    if (used > proof.length) return false;
    level = parentsOf(concatBytes(left, level, right));
    low = Math.floor(low / 2);
    high = Math.ceil(high / 2);
  }
  return used === proof.length && equalBytes(level, root);
}
