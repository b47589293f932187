import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes, fromHex, toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import {
  openFrame,
  openRecord,
  recordExtraBytes,
  sealFrame,
  sealRecord,
  suiteOf,
  suites,
  tagBytes,
} from '../../lib/crypto/aead.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { noise } from '../support/noise.ts';

const bytesOf = (hex: string): Uint8Array => fromHex(hex) ?? assert.fail(`not hex: ${hex}`);

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
}

const key = noise(1, 32);
const additional = utf8('frame of a sample pack');
const plain = utf8('what is kept secret');

void describe('frames', () => {
  for (const [name, suite] of Object.entries(suites)) {
    void it(`${name}: what was sealed opens, at every length around the slice size`, () => {
      for (const count of [0, 1, 15, 16, 17, 131071, 131072, 131073, 262144, 300001]) {
        const bytes = noise(count, count);
        const sealed = sealFrame(suite, key, 7, additional, bytes);
        assert.equal(sealed.length, count + tagBytes);
        assert.deepEqual(openFrame(suite, key, 7, additional, sealed), bytes);
      }
    });

    void it(`${name}: a frame opens into memory that is given, if it fits, and leaves nothing there that did not prove itself`, () => {
      const bytes = noise(9, 300_001);
      const sealed = sealFrame(suite, key, 7, additional, bytes);
      const into = new Uint8Array(bytes.length + 5).fill(3);
      const opened = openFrame(suite, key, 7, additional, sealed, into);
      assert.deepEqual(opened, bytes);
      assert.equal(opened?.buffer, into.buffer);
      assert.deepEqual(into.subarray(bytes.length), new Uint8Array(5).fill(3));
      const small = new Uint8Array(bytes.length - 1);
      assert.deepEqual(openFrame(suite, key, 7, additional, sealed, small), bytes);
      assert.deepEqual(small, new Uint8Array(small.length));
      assert.equal(openFrame(suite, key, 8, additional, sealed, into), undefined);
      assert.deepEqual(into.subarray(0, bytes.length), new Uint8Array(bytes.length));
      assert.equal(openFrame(suite, key, 7, additional, new Uint8Array(tagBytes - 1), into), undefined);
    });

    void it(`${name}: any flipped bit of key, additional data, ordinal or sealed bytes fails`, () => {
      const ordinal = 0x01020304;
      const sealed = sealFrame(suite, key, ordinal, additional, plain);
      assert.deepEqual(openFrame(suite, key, ordinal, additional, sealed), plain);
      for (let bit = 0; bit < key.length * 8; bit++) {
        assert.equal(openFrame(suite, flipped(key, bit), ordinal, additional, sealed), undefined);
      }
      for (let bit = 0; bit < additional.length * 8; bit++) {
        assert.equal(openFrame(suite, key, ordinal, flipped(additional, bit), sealed), undefined);
      }
      for (let bit = 0; bit < 32; bit++) {
        assert.equal(openFrame(suite, key, (ordinal ^ (1 << bit)) >>> 0, additional, sealed), undefined);
      }
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        assert.equal(openFrame(suite, key, ordinal, additional, flipped(sealed, bit)), undefined);
      }
      for (let length = 0; length < sealed.length; length++) {
        assert.equal(openFrame(suite, key, ordinal, additional, sealed.subarray(0, length)), undefined);
      }
      assert.equal(
        openFrame(suite, key, ordinal, additional, concatBytes(sealed, new Uint8Array(1))),
        undefined,
      );
      assert.equal(openFrame(suite, key, ordinal, additional.subarray(1), sealed), undefined);
    });

    void it(`${name}: an ordinal that would wrap around is refused`, () => {
      for (const ordinal of [-1, 2 ** 32, 0.5, Number.NaN]) {
        assert.throws(() => sealFrame(suite, key, ordinal, additional, plain), RangeError);
      }
      const last = sealFrame(suite, key, 0xffffffff, additional, plain);
      assert.deepEqual(openFrame(suite, key, 0xffffffff, additional, last), plain);
    });
  }

  void it('aes256Gcm: test cases 13 and 14 of the GCM specification (zero key and nonce)', () => {
    const zeros = new Uint8Array(32);
    const none = new Uint8Array(0);
    const seal = (bytes: Uint8Array): string => toHex(sealFrame(suites.aes256Gcm, zeros, 0, none, bytes));
    assert.equal(seal(none), '530f8afbc74536b9a963b4f1c4cb738b');
    assert.equal(
      seal(zeros.subarray(16)),
      'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
    );
  });

  void it('one suite does not open what the other sealed', () => {
    const sealed = sealFrame(suites.aes256Gcm, key, 1, additional, plain);
    assert.equal(openFrame(suites.xchacha20Poly1305, key, 1, additional, sealed), undefined);
  });

  void it('an unknown suite is too new', () => {
    assert.equal(suiteOf(2), suites.xchacha20Poly1305);
    for (const number of [0, 3, 255]) {
      assert.throws(
        () => suiteOf(number),
        (error) => isKithError(error, 'too-new'),
      );
    }
  });
});

void describe('records', () => {
  void it('open with the same key and additional data, and differ each time', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 40 }), (bytes, about) => {
        const sealed = sealRecord(key, about, bytes, systemRandom);
        assert.equal(sealed.length, bytes.length + recordExtraBytes);
        assert.deepEqual(openRecord(key, about, sealed), bytes);
        assert.notDeepEqual(sealRecord(key, about, bytes, systemRandom), sealed);
      }),
    );
  });

  void it('any flipped bit fails, and so does any other length', () => {
    const sealed = sealRecord(key, additional, plain, systemRandom);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      assert.equal(openRecord(key, additional, flipped(sealed, bit)), undefined);
    }
    for (let bit = 0; bit < key.length * 8; bit++) {
      assert.equal(openRecord(flipped(key, bit), additional, sealed), undefined);
    }
    for (let length = 0; length < sealed.length; length++) {
      assert.equal(openRecord(key, additional, sealed.subarray(0, length)), undefined);
    }
    assert.equal(openRecord(key, utf8('other'), sealed), undefined);
  });

  void it('are XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, A.3.1)', () => {
    const text =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    const nonce = bytesOf('404142434445464748494a4b4c4d4e4f5051525354555657');
    const sealed = sealRecord(
      bytesOf('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f'),
      bytesOf('50515253c0c1c2c3c4c5c6c7'),
      utf8(text),
      () => nonce,
    );
    assert.equal(
      toHex(sealed),
      toHex(nonce) +
        'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39' +
        'ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9' +
        '21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49',
    );
  });
});
