import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import { concatBytes, toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import type { ErrorCode } from '../../lib/base/errors.ts';
import { Seeded } from './seeded.ts';

/** Codes that a decoder may answer hostile bytes with. */
const allowedCodes: ErrorCode[] = ['malformed', 'too-new', 'not-authentic', 'limit-exceeded'];

/** What a decoder may allocate over the size of its input: far below what a forged count asks for. */
const allocationMax = 32 * 2 ** 20;

/** Positions of a sample that are attacked one by one; longer samples are attacked at a spread of them. */
const positionCountMax = 2048;

/** What is put in place of one byte: varints and integers that claim a lot. */
const hugeNumbers: readonly Uint8Array[] = [
  new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
  new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  new Uint8Array([0xff, 0xff, 0xff, 0x7f]),
  new Uint8Array([0xff, 0xff, 0x03]),
  new Uint8Array([0xff]),
  new Uint8Array([0x00]),
];

function positionsOf(length: number): number[] {
  const stride = Math.max(1, Math.floor(length / positionCountMax));
  const positions: number[] = [];
  for (let at = 0; at < length; at += stride) positions.push(at);
  return positions;
}

/** Of the heap, and of buffers outside it. Not process.memoryUsage, which asks the system as well, and attacks are many. */
function bytesInUse(): number {
  const { used_heap_size: heap, external_memory: outside } = getHeapStatistics();
  return heap + outside;
}

/** What decoding ends in, without the stacks of its errors, which cost more than most refusals. */
function outcomeOf(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): { readonly error?: unknown } {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    decode(bytes);
    return {};
  } catch (error) {
    return { error };
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** Decodes hostile bytes: any value is fine, so is a KithError that says why; nothing else. */
function attack(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean {
  const before = bytesInUse();
  const outcome = outcomeOf(decode, bytes);
  const accepted = !('error' in outcome);
  if ('error' in outcome && !isKithError(outcome.error, ...allowedCodes)) {
    let cause = outcome.error;
    try {
      decode(bytes);
    } catch (again) {
      // Now with its stack.
      cause = again;
    }
    throw new Error(`decoder threw on ${toHex(bytes.subarray(0, 512))}`, { cause });
  }
  const grown = bytesInUse() - before;
  assert.ok(grown < allocationMax + bytes.length * 8, `decoder allocated ${grown} bytes for ${bytes.length}`);
  return accepted;
}

/** A decoder that also checks that there is one way to write each value: what it takes encodes to the same bytes. */
export function canonical<T>(
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
): (bytes: Uint8Array) => T {
  return (bytes) => {
    const value = decode(bytes);
    assert.equal(toHex(encode(value)), toHex(bytes), 'taken, but encoded differently');
    return value;
  };
}

/**
 * Registers tests that a decoder takes every valid sample, refuses every truncation of it, and answers flipped
 * bits, forged counts and random bytes with a value or a KithError (`malformed`, `too-new`, `not-authentic`,
 * `limit-exceeded`), without large allocations. Pass `prefixesValid` where a shorter input may be valid too, and
 * compose `canonical` around the decoder where whatever it takes must encode to the same bytes again.
 */
export function fuzzDecoder(
  name: string,
  validSamples: readonly Uint8Array[],
  decode: (bytes: Uint8Array) => unknown,
  options: { readonly prefixesValid?: boolean } = {},
): void {
  void describe(`hostile bytes: ${name}`, () => {
    void it('takes what is valid', () => {
      assert.ok(validSamples.length > 0);
      for (const sample of validSamples) decode(sample);
    });

    void it('refuses every truncation and stray bytes', () => {
      for (const sample of validSamples) {
        for (const length of positionsOf(sample.length)) {
          const accepted = attack(decode, sample.slice(0, length));
          assert.ok(!accepted || options.prefixesValid === true, `${length} of ${sample.length} bytes taken`);
        }
        const accepted = attack(decode, concatBytes(sample, new Uint8Array(1)));
        assert.ok(!accepted || options.prefixesValid === true, 'a stray byte was taken');
      }
    });

    void it('survives flipped bits', () => {
      for (const sample of validSamples) {
        for (const at of positionsOf(sample.length)) {
          for (let bit = 0; bit < 8; bit++) {
            const altered = sample.slice();
            altered[at] = (altered[at] ?? 0) ^ (1 << bit);
            attack(decode, altered);
          }
        }
      }
    });

    void it('survives forged counts and lengths', () => {
      for (const sample of validSamples) {
        for (const at of positionsOf(sample.length)) {
          for (const number of hugeNumbers) {
            attack(decode, concatBytes(sample.subarray(0, at), number, sample.subarray(at + 1)));
            // In place of as many bytes as it has: for one byte that is the same.
            if (number.length === 1) continue;
            const over = sample.slice();
            over.set(number.subarray(0, Math.max(0, over.length - at)), at);
            attack(decode, over);
          }
        }
      }
    });

    void it('survives random bytes, alone and behind a valid beginning', () => {
      const seeded = new Seeded(42);
      for (let i = 0; i < 500; i++) {
        attack(decode, seeded.bytes(seeded.below(300)));
        const sample = validSamples[i % validSamples.length];
        if (sample === undefined) continue;
        const kept = seeded.below(Math.min(sample.length, 4096));
        attack(decode, concatBytes(sample.subarray(0, kept), seeded.bytes(seeded.below(200))));
      }
    });
  });
}
