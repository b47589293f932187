import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import * as fc from 'fast-check';
import { concatBytes, toHex, utf8, viewAsBuffer } from '../../lib/base/bytes.ts';
import { contexts, deriveKey, hashIn, Hasher, type Context } from '../../lib/crypto/hash.ts';

/** The input of BLAKE3's official test vectors: 0, 1, …, 250, 0, 1, … */
const officialInput = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i % 251);

/** Length, keyed_hash and derive_key (32 bytes each) from test_vectors.json of the BLAKE3 reference. */
const officialVectors: readonly (readonly [number, string, string])[] = [
  [
    0,
    '92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26',
    '2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d',
  ],
  [
    1,
    '6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b',
    'b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c',
  ],
  [
    1024,
    '75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4',
    '7356cd7720d5b66b6d0697eb3177d9f8d73a4a5c5e968896eb6a689684302706',
  ],
  [
    1025,
    '357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69',
    'effaa245f065fbf82ac186839a249707c3bddf6d3fdda22d1b95a3c970379bcb',
  ],
  [
    2049,
    '9f29700902f7c86e514ddc4df1e3049f258b2472b6dd5267f61bf13983b78dd5',
    '2ea477c5515cc3dd606512ee72bb3e0e758cfae7232826f35fb98ca1bcbdf273',
  ],
  [
    5121,
    '6ccf1c34753e7a044db80798ecd0782a8f76f33563accaddbfbb2e0ea4b2d024',
    'b07f01e518e702f7ccb44a267e9e112d403a7b3f4883a47ffbed4b48339b3c34',
  ],
];

void describe('hashes', () => {
  void it('keyed BLAKE3 agrees with the official vectors', () => {
    const hasher = Hasher.keyed(utf8('whats the Elvish word for friend'));
    for (const [count, keyed] of officialVectors)
      assert.equal(toHex(hasher.hash(officialInput(count))), keyed);
  });

  void it('the package derives keys as the official vectors do', () => {
    const context = 'BLAKE3 2019-12-27 16:29:52 test vectors context';
    for (const [count, , derived] of officialVectors) {
      assert.equal(toHex(Blake3Hasher.deriveKey(context, viewAsBuffer(officialInput(count)))), derived);
      assert.equal(
        toHex(
          Blake3Hasher.newDeriveKey(context)
            .update(viewAsBuffer(officialInput(count)))
            .digestBuffer(),
        ),
        derived,
      );
    }
  });

  void it('parts count as one row of bytes, and a hasher remembers nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
        const hasher = Hasher.keyed(new Uint8Array(32));
        const whole = hasher.hash(concatBytes(a, b));
        assert.deepEqual(hasher.hash(a, b), whole);
        assert.deepEqual(Hasher.keyed(new Uint8Array(32)).hash(a, b), whole);
      }),
    );
  });

  void it('a hash that failed half-way leaves nothing behind', () => {
    const hasher = Hasher.keyed(new Uint8Array(32));
    const before = hasher.hash(utf8('x'));
    assert.throws(() => hasher.hash(utf8('left'), undefined as unknown as Uint8Array));
    assert.deepEqual(hasher.hash(utf8('x')), before);
  });

  void it('key and context matter', () => {
    const other = new Uint8Array(32);
    other[31] = 1;
    const hash = (key: Uint8Array): string => toHex(Hasher.keyed(key).hash(utf8('x')));
    assert.notEqual(hash(other), hash(new Uint8Array(32)));
    const names = Object.keys(contexts) as Context[];
    const material = utf8('material');
    assert.equal(new Set(Object.values(contexts)).size, names.length, 'a context string stands twice');
    assert.equal(new Set(names.map((name) => toHex(deriveKey(name, material)))).size, names.length);
    for (const name of names) assert.deepEqual(hashIn(name, material), deriveKey(name, material));
  });
});
