import { createCipheriv } from 'node:crypto';

/** `count` bytes that no compressor shortens, the same for the same seed everywhere: an AES-256-CTR key stream. */
export function noise(count: number, seed = 0): Uint8Array {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint32(0, seed, true);
  const cipher = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
  return new Uint8Array(cipher.update(new Uint8Array(count)));
}

const vocabulary: readonly string[] = Array.from({ length: 600 }, (_, i) =>
  ((i * 2654435761) >>> 0).toString(36).slice(0, 3 + (i % 6)),
);

/** Bytes that look like program text to a compressor: words drawn from a small vocabulary. */
export function text(count: number, seed = 0): Uint8Array {
  const dice = noise(count, seed);
  const bytes = Buffer.alloc(count);
  let at = 0;
  for (let i = 0; at < count; i += 2) {
    const pick = (((dice[i] ?? 0) << 8) | (dice[i + 1] ?? 0)) % vocabulary.length;
    at += bytes.write(`${vocabulary[pick]}${pick % 9 === 0 ? '\n  ' : ' '}`, at, 'latin1') || count;
  }
  return bytes;
}

/** Numbers that are the same for the same seed everywhere. Not for secrets. */
export class Dice {
  #bytes: Uint8Array;
  #at = 0;
  readonly #seed: number;
  #round = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#bytes = noise(4096, seed);
  }

  /** An integer in [0, below), below at most 2^32. */
  below(below: number): number {
    if (this.#at + 4 > this.#bytes.length) {
      this.#round++;
      this.#bytes = noise(4096, (this.#seed ^ Math.imul(this.#round, 0x9e3779b1)) >>> 0);
      this.#at = 0;
    }
    const word = new DataView(this.#bytes.buffer).getUint32(this.#at, true);
    this.#at += 4;
    return Math.floor((word / 2 ** 32) * below);
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }
}
