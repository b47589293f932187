import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes, toHex } from '../../lib/base/bytes.ts';
import { hashIn } from '../../lib/crypto/hash.ts';
import { leafHashes, merkleRoot, rangeProof, verifyRange } from '../../lib/crypto/merkle.ts';
import { noise } from '../support/noise.ts';

const hash = 32;
const slice = (leaves: Uint8Array, first: number, count: number): Uint8Array =>
  leaves.slice(first * hash, (first + count) * hash);

function spoilt(bytes: Uint8Array, at: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x40;
  return copy;
}

/** The definition of docs/formats/pack.md, by recursion. */
function definedRoot(leaves: Uint8Array): Uint8Array {
  if (leaves.length === hash) return leaves;
  const half = leaves.length / 2;
  return hashIn('merkleNode', definedRoot(leaves.subarray(0, half)), definedRoot(leaves.subarray(half)));
}

void describe('Merkle trees', () => {
  void it('leaves and root are what the format page says', () => {
    const payload = noise(3, 4 * 1024);
    const leaves = leafHashes(payload, 1024);
    assert.equal(leaves.length, 4 * hash);
    assert.deepEqual(slice(leaves, 2, 1), hashIn('merkleLeaf', payload.subarray(2048, 3072)));
    for (const count of [1, 2, 4, 16, 64]) {
      const some = noise(count, count * hash);
      assert.deepEqual(merkleRoot(some), definedRoot(some));
    }
  });

  void it('a root is no view of its leaf', () => {
    const leaf = noise(1, hash);
    const root = merkleRoot(leaf);
    leaf.fill(0);
    assert.deepEqual(root, noise(1, hash));
  });

  for (const total of [1, 4, 16, 64]) {
    void it(`every range of ${total} leaves is proved, and nothing else`, () => {
      const leaves = noise(total, total * hash);
      const root = merkleRoot(leaves);
      for (let first = 0; first < total; first++) {
        for (let count = 1; first + count <= total; count++) {
          const range = slice(leaves, first, count);
          const proof = rangeProof(leaves, first, count);
          const verify = (r: Uint8Array, f: number, p: Uint8Array, wanted = root): boolean =>
            verifyRange(r, f, total, p, wanted);
          assert.ok(verify(range, first, proof), `${first}+${count}`);
          assert.ok(proof.length <= 2 * Math.log2(total) * hash);
          // All ranges of small trees are attacked, every seventh of large ones: hashing takes its time.
          if (total > 16 && (first * 5 + count) % 7 !== 0) continue;
          assert.ok(!verify(range, first, proof, spoilt(root, 31)));
          assert.ok(!verify(range, first, concatBytes(proof, new Uint8Array(hash))), 'too long');
          assert.ok(!verify(range, first, concatBytes(proof, new Uint8Array(1))), 'a byte too long');
          if (proof.length > 0) {
            assert.ok(!verify(range, first, proof.subarray(hash)), 'first hash left out');
            assert.ok(!verify(range, first, proof.subarray(0, proof.length - hash)), 'last hash left out');
            assert.ok(!verify(range, first, proof.subarray(0, proof.length - 1)), 'a byte too short');
          }
          for (let at = 0; at < proof.length; at += hash)
            assert.ok(!verify(range, first, spoilt(proof, at + 7)));
          for (let at = 0; at < range.length; at += hash)
            assert.ok(!verify(spoilt(range, at + 9), first, proof));
          if (first + count < total) assert.ok(!verify(range, first + 1, proof), 'shifted');
          if (count > 1) assert.ok(!verify(range.subarray(hash), first, proof), 'a leaf too few');
        }
      }
    });
  }

  void it('impossible ranges are false for a verifier and errors for a prover', () => {
    const leaves = noise(9, 4 * hash);
    const root = merkleRoot(leaves);
    const none = new Uint8Array(0);
    assert.ok(!verifyRange(none, 0, 4, none, root));
    assert.ok(!verifyRange(leaves, -1, 4, none, root));
    assert.ok(!verifyRange(leaves, 1, 4, none, root));
    assert.ok(!verifyRange(leaves, Number.NaN, 4, none, root));
    assert.ok(!verifyRange(leaves, 0, 3, none, root));
    assert.ok(!verifyRange(leaves, 0, 0, none, root));
    assert.ok(!verifyRange(leaves.subarray(1), 0, 4, none, root));
    assert.ok(!verifyRange(root, 0, 2, none, root));
    assert.throws(() => rangeProof(leaves, 3, 2), RangeError);
    assert.throws(() => rangeProof(leaves, 0, 0), RangeError);
    assert.throws(() => merkleRoot(noise(1, 3 * hash)), RangeError);
    assert.throws(() => merkleRoot(none), RangeError);
    assert.throws(() => leafHashes(new Uint8Array(1000), 64), RangeError);
    assert.throws(() => leafHashes(none, 64), RangeError);
  });

  void it('leaf, node and other hashes never stand for one another', () => {
    const bytes = noise(1, 64);
    const kinds = [hashIn('merkleLeaf', bytes), hashIn('merkleNode', bytes), hashIn('packId', bytes)];
    assert.equal(new Set(kinds.map(toHex)).size, 3);
  });
});
