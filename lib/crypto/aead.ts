import { createCipheriv, createDecipheriv, type DecipherGCM } from 'node:crypto';
import sodium from 'sodium-native';
import { concatBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import type { RandomSource } from './random.ts';

/** Bytes that sealing adds to a frame, in either suite. */
export const tagBytes = 16;

/** Ways to seal a frame; the number stands in the pack header. */
export const suites = { aes256Gcm: 1, xchacha20Poly1305: 2 } as const;
export type Suite = (typeof suites)[keyof typeof suites];

/** The suite with this number; KithError `too-new` for one that this kith doesn't know. */
export function suiteOf(number: number): Suite {
  if (number === suites.aes256Gcm || number === suites.xchacha20Poly1305) return number;
  throw new KithError('too-new', `cipher suite ${number} is not known to this kith. Update kith.`);
}

/** node:crypto slows down when one call gets more than this. */
const sliceBytes = 128 * 1024;

function ordinalNonce(ordinal: number, length: number): Uint8Array {
  // setUint32 would wrap around, and a nonce would come twice.
  if (!Number.isInteger(ordinal) || ordinal < 0 || ordinal > 0xffffffff) {
    throw new RangeError(`frame ordinal ${ordinal} is no u32`);
  }
  const nonce = new Uint8Array(length);
  new DataView(nonce.buffer).setUint32(length - 4, ordinal, false);
  return nonce;
}

/**
 * Seals one frame under a key that belongs to one pack alone; the nonce is the frame's ordinal, so the same
 * (key, ordinal) must never seal two plaintexts. Returns ciphertext and 16-byte tag, a fresh array.
 */
export function sealFrame(
  suite: Suite,
  key: Uint8Array,
  ordinal: number,
  additional: Uint8Array,
  plain: Uint8Array,
): Uint8Array {
  const sealed = new Uint8Array(plain.length + tagBytes);
  sealFrameInto(sealed, suite, key, ordinal, additional, plain);
  return sealed;
}

/**
 * Like sealFrame, of the parts in a row, into the first bytes of `target`, which must have room for them and the tag.
 * Returns how many bytes those are.
 */
export function sealFrameInto(
  target: Uint8Array,
  suite: Suite,
  key: Uint8Array,
  ordinal: number,
  additional: Uint8Array,
  ...parts: readonly Uint8Array[]
): number {
  const sealedBytes = parts.reduce((sum, part) => sum + part.length, tagBytes);
  if (sealedBytes > target.length) throw new RangeError('no room for the sealed frame');
  if (suite === suites.xchacha20Poly1305) {
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
      target.subarray(0, sealedBytes),
      concatBytes(...parts),
      additional,
      null,
      ordinalNonce(ordinal, 24),
      key,
    );
    return sealedBytes;
  }
  const cipher = createCipheriv('aes-256-gcm', key, ordinalNonce(ordinal, 12));
  cipher.setAAD(additional);
  let at = 0;
  for (const part of parts) {
    for (let from = 0; from < part.length; from += sliceBytes) {
      const piece = cipher.update(part.subarray(from, from + sliceBytes));
      target.set(piece, at);
      at += piece.length;
    }
  }
  cipher.final();
  target.set(cipher.getAuthTag(), at);
  return sealedBytes;
}

/**
 * Opens what sealFrame sealed; undefined if key, ordinal, additional data or bytes differ. The plaintext is a fresh array, or the beginning of
 * `into` where that is given and long enough; nothing of what didn't prove itself is left there.
 */
export function openFrame(
  suite: Suite,
  key: Uint8Array,
  ordinal: number,
  additional: Uint8Array,
  sealed: Uint8Array,
  into?: Uint8Array,
): Uint8Array | undefined {
  const plainBytes = sealed.length - tagBytes;
  if (into === undefined || plainBytes < 0 || into.length < plainBytes) {
    const pieces = openFramePieces(suite, key, ordinal, additional, sealed);
    return pieces === undefined ? undefined : concatBytes(...pieces);
  }
  const plain = into.subarray(0, plainBytes);
  try {
    if (suite === suites.xchacha20Poly1305) {
      const nonce = ordinalNonce(ordinal, 24);
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(plain, null, sealed, additional, nonce, key);
      return plain;
    }
    const decipher = openingCipher(key, ordinal, additional, sealed);
    for (let from = 0; from < plainBytes; from += sliceBytes) {
      plain.set(decipher.update(sealed.subarray(from, Math.min(from + sliceBytes, plainBytes))), from);
    }
    decipher.final();
    return plain;
  } catch {
    plain.fill(0);
    return undefined;
  }
}

function openingCipher(
  key: Uint8Array,
  ordinal: number,
  additional: Uint8Array,
  sealed: Uint8Array,
): DecipherGCM {
  const decipher = createDecipheriv('aes-256-gcm', key, ordinalNonce(ordinal, 12));
  decipher.setAAD(additional);
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  return decipher;
}

/** Like openFrame, in pieces whose bytes in a row are the plaintext: for those who only pass over it. Fresh arrays. */
export function openFramePieces(
  suite: Suite,
  key: Uint8Array,
  ordinal: number,
  additional: Uint8Array,
  sealed: Uint8Array,
): Uint8Array[] | undefined {
  if (sealed.length < tagBytes) return undefined;
  const plainBytes = sealed.length - tagBytes;
  const pieces: Uint8Array[] = [];
  try {
    if (suite === suites.xchacha20Poly1305) {
      const plain = new Uint8Array(plainBytes);
      pieces.push(plain);
      const nonce = ordinalNonce(ordinal, 24);
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(plain, null, sealed, additional, nonce, key);
      return pieces;
    }
    const decipher = openingCipher(key, ordinal, additional, sealed);
    for (let from = 0; from < plainBytes; from += sliceBytes) {
      pieces.push(decipher.update(sealed.subarray(from, Math.min(from + sliceBytes, plainBytes))));
    }
    decipher.final();
    return pieces;
  } catch {
    // What didn't prove itself isn't left lying about.
    for (const piece of pieces) piece.fill(0);
    return undefined;
  }
}

const recordNonceBytes = 24;

/** Bytes that sealRecord adds. */
export const recordExtraBytes: number = recordNonceBytes + tagBytes;

/** Seals a small record with XChaCha20-Poly1305 under a fresh random nonce, which leads the result. */
export function sealRecord(
  key: Uint8Array,
  additional: Uint8Array,
  plain: Uint8Array,
  random: RandomSource,
): Uint8Array {
  const nonce = random(recordNonceBytes);
  const sealed = new Uint8Array(plain.length + tagBytes);
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, plain, additional, null, nonce, key);
  return concatBytes(nonce, sealed);
}

/** Opens what sealRecord sealed; undefined if anything differs. */
export function openRecord(
  key: Uint8Array,
  additional: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < recordExtraBytes) return undefined;
  const plain = new Uint8Array(sealed.length - recordExtraBytes);
  const nonce = sealed.subarray(0, recordNonceBytes);
  try {
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
      plain,
      null,
      sealed.subarray(recordNonceBytes),
      additional,
      nonce,
      key,
    );
    return plain;
  } catch {
    return undefined;
  }
}
