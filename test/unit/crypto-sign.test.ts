import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes, fromHex, toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { passphraseKey } from '../../lib/crypto/passphrase.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { Secret, wipeBytes } from '../../lib/crypto/secret.ts';
import {
  boxKeyPair,
  openBox,
  sealBox,
  sealedBoxExtraBytes,
  sign,
  signKeyPair,
  verifySignature,
  wipeKeyPair,
} from '../../lib/crypto/sign.ts';
import { noise } from '../support/noise.ts';

const bytesOf = (hex: string): Uint8Array => fromHex(hex) ?? assert.fail(`not hex: ${hex}`);

function spoilt(bytes: Uint8Array, at: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** Seed, public key, message, signature: tests 1 and 2 of RFC 8032, section 7.1. */
const rfc8032: readonly (readonly [string, string, string, string])[] = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
];

void describe('signatures', () => {
  void it('agree with RFC 8032', () => {
    for (const [seed, publicKey, message, signature] of rfc8032) {
      const pair = signKeyPair(bytesOf(seed));
      assert.equal(toHex(pair.publicKey), publicKey);
      assert.equal(toHex(sign(bytesOf(message), pair.secretKey)), signature);
      assert.ok(verifySignature(bytesOf(message), bytesOf(signature), bytesOf(publicKey)));
    }
  });

  void it('hold for this message, key and signature only', () => {
    const pair = signKeyPair(noise(1, 32));
    const message = utf8('a manifest');
    const signature = sign(message, pair.secretKey);
    assert.ok(verifySignature(message, signature, pair.publicKey));
    for (let at = 0; at < signature.length; at++) {
      assert.ok(!verifySignature(message, spoilt(signature, at), pair.publicKey));
    }
    for (let at = 0; at < 32; at++)
      assert.ok(!verifySignature(message, signature, spoilt(pair.publicKey, at)));
    for (let at = 0; at < message.length; at++) {
      assert.ok(!verifySignature(spoilt(message, at), signature, pair.publicKey));
    }
    assert.ok(!verifySignature(message, signature.subarray(1), pair.publicKey));
    assert.ok(!verifySignature(message, concatBytes(signature, new Uint8Array(1)), pair.publicKey));
    assert.ok(!verifySignature(message, signature, pair.publicKey.subarray(1)));
    assert.ok(
      !verifySignature(message, new Uint8Array(64), new Uint8Array(32)),
      'all-zero key and signature',
    );
  });
});

void describe('sealed boxes', () => {
  void it('open for their recipient alone, and not when altered', () => {
    const pair = boxKeyPair(noise(2, 32));
    const other = boxKeyPair(noise(3, 32));
    const message = utf8('keys of an epoch');
    const sealed = sealBox(message, pair.publicKey);
    assert.equal(sealed.length, message.length + sealedBoxExtraBytes);
    assert.deepEqual(openBox(sealed, pair), message);
    assert.equal(openBox(sealed, other), undefined);
    for (let at = 0; at < sealed.length; at++) assert.equal(openBox(spoilt(sealed, at), pair), undefined);
    for (let length = 0; length < sealed.length; length++) {
      assert.equal(openBox(sealed.subarray(0, length), pair), undefined);
    }
    assert.notDeepEqual(sealBox(message, pair.publicKey), sealed);
    assert.deepEqual(openBox(sealBox(new Uint8Array(0), pair.publicKey), pair), new Uint8Array(0));
  });
});

void describe('secrets', () => {
  void it('move the bytes away from where they came, and are zeroed by wipe', () => {
    const source = noise(4, 32);
    const secret = Secret.take(source);
    assert.deepEqual(source, new Uint8Array(32));
    const view = secret.bytes;
    assert.deepEqual(new Uint8Array(view), noise(4, 32));
    secret.wipe();
    secret.wipe();
    assert.ok(secret.wiped);
    assert.deepEqual(new Uint8Array(view), new Uint8Array(32));
    assert.throws(() => secret.bytes, /wiped/);
  });

  void it('do not show in what is printed', () => {
    const secret = Secret.take(new Uint8Array(32).fill(0x41));
    assert.ok(!JSON.stringify(secret).includes('65'));
    secret.wipe();
  });

  void it('key pairs and arrays can be wiped', () => {
    const pair = signKeyPair(noise(5, 32));
    wipeKeyPair(pair);
    assert.deepEqual(pair.secretKey, new Uint8Array(64));
    const bytes = noise(6, 10);
    wipeBytes(bytes);
    assert.deepEqual(bytes, new Uint8Array(10));
  });

  void it('random bytes have the length asked for and differ', () => {
    assert.equal(systemRandom(0).length, 0);
    assert.equal(systemRandom(33).length, 33);
    assert.notDeepEqual(systemRandom(32), systemRandom(32));
  });
});

void describe('passphrase keys', () => {
  const costs = { operations: 1, memoryBytes: 8192 };

  void it('depend on passphrase, salt and costs, and on nothing else', async () => {
    const salt = noise(7, 16);
    const key = toHex(await passphraseKey('grüße', salt, costs));
    assert.equal(toHex(await passphraseKey('gru\u0308ße', salt, costs)), key, 'composed or not');
    assert.notEqual(toHex(await passphraseKey('Grüße', salt, costs)), key);
    assert.notEqual(toHex(await passphraseKey('grüße', noise(8, 16), costs)), key);
    assert.notEqual(toHex(await passphraseKey('grüße', salt, { ...costs, operations: 2 })), key);
    assert.notEqual(toHex(await passphraseKey('grüße', salt, { ...costs, memoryBytes: 16384 })), key);
  });

  void it('unreasonable costs are refused before they are paid', async () => {
    const salt = new Uint8Array(16);
    for (const bad of [
      { operations: 0, memoryBytes: 8192 },
      { operations: 65, memoryBytes: 8192 },
      { operations: 1, memoryBytes: 4096 },
      { operations: 1, memoryBytes: 2 ** 40 },
    ]) {
      await assert.rejects(passphraseKey('x', salt, bad), (error) => isKithError(error, 'limit-exceeded'));
    }
  });
});
