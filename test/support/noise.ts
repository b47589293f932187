import { createCipheriv } from 'node:crypto';

/**
 * `count` bytes that no compressor shortens, the same for the same seed everywhere and for ever: the AES-256-CTR key
 * stream of the key that starts with the seed as a little-endian u32. Golden vectors are made of it. Fast.
 */
export function noise(seed: number, count: number): Uint8Array {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, seed, true);
  return new Uint8Array(createCipheriv('aes-256-ctr', key, new Uint8Array(16)).update(new Uint8Array(count)));
}
