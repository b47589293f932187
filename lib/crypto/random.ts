import sodium from 'sodium-native';

/** A source of random bytes; tests pass a seeded one. */
export type RandomSource = (count: number) => Uint8Array;

/** `count` bytes of the operating system's random generator; a fresh array. */
export const systemRandom: RandomSource = (count) => {
  const bytes = new Uint8Array(count);
  if (count > 0) sodium.randombytes_buf(bytes);
  return bytes;
};
