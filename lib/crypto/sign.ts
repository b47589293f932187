import sodium from 'sodium-native';
import { wipeBytes } from './secret.ts';

export const publicKeyBytes = 32;
export const signatureBytes = 64;

/** An Ed25519 key pair. `secretKey` is 64 bytes as libsodium keeps it; wipe it when its work is done. */
export interface SignKeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** The Ed25519 pair of a 32-byte seed (RFC 8032). */
export function signKeyPair(seed: Uint8Array): SignKeyPair {
  const publicKey = new Uint8Array(publicKeyBytes);
  const secretKey = new Uint8Array(64);
  sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed);
  return { publicKey, secretKey };
}

/** A detached 64-byte signature. */
export function sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
  const signature = new Uint8Array(signatureBytes);
  sodium.crypto_sign_detached(signature, message, secretKey);
  return signature;
}

/** True if the signature is this key's over this message. Lengths that can't be are false. */
export function verifySignature(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== signatureBytes || publicKey.length !== publicKeyBytes) return false;
  return sodium.crypto_sign_verify_detached(signature, message, publicKey);
}

/** An X25519 key pair for sealed boxes. */
export interface BoxKeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** Bytes that a sealed box adds. */
export const sealedBoxExtraBytes = 48;

/** The X25519 pair of a 32-byte seed (libsodium crypto_box_seed_keypair). */
export function boxKeyPair(seed: Uint8Array): BoxKeyPair {
  const publicKey = new Uint8Array(32);
  const secretKey = new Uint8Array(32);
  sodium.crypto_box_seed_keypair(publicKey, secretKey, seed);
  return { publicKey, secretKey };
}

/** The public half that belongs to an X25519 secret half (RFC 7748). */
export function boxPublicKeyOf(secretKey: Uint8Array): Uint8Array {
  const publicKey = new Uint8Array(publicKeyBytes);
  sodium.crypto_scalarmult_base(publicKey, secretKey);
  return publicKey;
}

/** False for the few public keys (of small order, such as zeros) with which everybody shares the same secret. */
export function canSealTo(publicKey: Uint8Array): boolean {
  if (publicKey.length !== publicKeyBytes) return false;
  try {
    sealBox(new Uint8Array(0), publicKey);
    return true;
  } catch {
    // libsodium refuses them; nothing else can go wrong with arguments of these lengths.
    return false;
  }
}

/** Seals to a public key; the sender stays unknown, so who made it must be shown by a signature around it. */
export function sealBox(message: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(message.length + sealedBoxExtraBytes);
  sodium.crypto_box_seal(sealed, message, publicKey);
  return sealed;
}

/** What was sealed to the pair, or undefined if it wasn't sealed to this one or was altered. */
export function openBox(sealed: Uint8Array, keys: BoxKeyPair): Uint8Array | undefined {
  if (sealed.length < sealedBoxExtraBytes) return undefined;
  const message = new Uint8Array(sealed.length - sealedBoxExtraBytes);
  return sodium.crypto_box_seal_open(message, sealed, keys.publicKey, keys.secretKey) ? message : undefined;
}

/** Zeroes the secret half of a pair. */
export function wipeKeyPair(pair: SignKeyPair | BoxKeyPair): void {
  wipeBytes(pair.secretKey);
}
