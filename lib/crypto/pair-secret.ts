import sodium from 'sodium-native';
import { publicKeyBytes } from './sign.ts';
import type { BoxKeyPair, SignKeyPair } from './sign.ts';
import { wipeBytes } from './secret.ts';

/**
 * The 32 bytes that only the holders of two Ed25519 pairs can make: X25519 of the two as Curve25519 keys (libsodium's conversion). The same for
 * either of them. Undefined for a public key that is no point of the curve or of small order. Derive a key from it by a named context
 * (docs/formats/beacon.md), and wipe it. Some 100 µs.
 */
export function pairSecret(own: SignKeyPair, theirPublicKey: Uint8Array): Uint8Array | undefined {
  if (theirPublicKey.length !== publicKeyBytes) return undefined;
  const secret = new Uint8Array(32);
  const theirs = new Uint8Array(32);
  const shared = new Uint8Array(32);
  try {
    sodium.crypto_sign_ed25519_sk_to_curve25519(secret, own.secretKey);
    sodium.crypto_sign_ed25519_pk_to_curve25519(theirs, theirPublicKey);
    sodium.crypto_scalarmult(shared, secret, theirs);
    return shared;
  } catch {
    // Only a key that isn't one can fail here: all lengths are right.
    return undefined;
  } finally {
    wipeBytes(secret);
  }
}

/** The Curve25519 key that stands for an Ed25519 public key in sealed boxes; undefined for what is no key. */
export function boxKeyOfSignKey(publicKey: Uint8Array): Uint8Array | undefined {
  if (publicKey.length !== publicKeyBytes) return undefined;
  const boxKey = new Uint8Array(32);
  try {
    sodium.crypto_sign_ed25519_pk_to_curve25519(boxKey, publicKey);
    return boxKey;
  } catch {
    return undefined;
  }
}

/** The pair that opens what was sealed to `boxKeyOfSignKey`. Wipe it with wipeKeyPair. */
export function boxPairOfSignPair({ publicKey, secretKey }: SignKeyPair): BoxKeyPair | undefined {
  const boxKey = boxKeyOfSignKey(publicKey);
  if (boxKey === undefined) return undefined;
  const secret = new Uint8Array(32);
  sodium.crypto_sign_ed25519_sk_to_curve25519(secret, secretKey);
  return { publicKey: boxKey, secretKey: secret };
}
