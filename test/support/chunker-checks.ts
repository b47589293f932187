import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { ByteWriter } from '../../lib/base/codec.ts';
import { chunkBytesMax, chunkBytesMin, chunkBytesTarget } from '../../lib/base/limits.ts';
import { Hasher, hashIn } from '../../lib/crypto/hash.ts';
import type { Chunker } from '../../lib/kernels/chunker.ts';
import type { Kernels } from '../../lib/kernels/kernels.ts';
import { goldenBytes } from './golden.ts';
import { noise } from './noise.ts';
import { Seeded } from './seeded.ts';

const mebibyte = 1024 * 1024;
const key = noise(100, 32);

function repeated(pattern: Uint8Array, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += pattern.length) bytes.set(pattern.subarray(0, count - at), at);
  return bytes;
}

/** Ends of all chunks of a whole input. */
function cutsOf(chunker: Chunker, bytes: Uint8Array): number[] {
  const cuts: number[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = chunker.cut(bytes, start, bytes.length, true);
    assert.ok(end !== undefined);
    cuts.push(end);
    start = end;
  }
  return cuts;
}

/** The same through a buffer of chunkBytesMax, filled piece by piece, as a streaming reader does it. */
function streamedCuts(chunker: Chunker, bytes: Uint8Array, pieceBytes: () => number): number[] {
  const buffer = new Uint8Array(chunkBytesMax);
  const cuts: number[] = [];
  let filled = 0;
  let read = 0;
  let scannedTo = 0;
  while (read < bytes.length || filled > 0) {
    const piece = bytes.subarray(read, read + Math.min(pieceBytes(), buffer.length - filled));
    buffer.set(piece, filled);
    read += piece.length;
    filled += piece.length;
    if (filled === 0) continue;
    const end = chunker.cut(buffer, 0, filled, read === bytes.length, scannedTo);
    if (end === undefined) {
      assert.ok(filled < buffer.length, 'undecided though the buffer is full');
      scannedTo = filled;
      continue;
    }
    cuts.push((cuts.at(-1) ?? 0) + end);
    buffer.copyWithin(0, end, filled);
    filled -= end;
    scannedTo = 0;
  }
  return cuts;
}

/** Lengths between cuts. */
const lengthsOf = (cuts: readonly number[]): number[] => cuts.map((cut, i) => cut - (cuts[i - 1] ?? 0));

function checkLengths(cuts: readonly number[], total: number): void {
  assert.equal(cuts.at(-1) ?? 0, total);
  const lengths = lengthsOf(cuts);
  for (const [i, length] of lengths.entries()) {
    assert.ok(length <= chunkBytesMax && length > 0, `chunk of ${length}`);
    assert.ok(length >= chunkBytesMin || i === lengths.length - 1, `chunk of ${length} in the middle`);
  }
}

/** docs/kernels.md, "Cut points", word for word and slowly. */
function definedCut(cutKey: Uint8Array, bytes: Uint8Array): number {
  const words: number[] = [];
  for (let counter = 0; counter < 32; counter++) {
    const block = Hasher.keyed(cutKey).hash(new ByteWriter().u32(counter).finish());
    const view = new DataView(block.buffer);
    for (let i = 0; i < 8; i++) words.push(view.getUint32(4 * i, true));
  }
  for (let length = chunkBytesMin; length < Math.min(bytes.length, chunkBytesMax); length++) {
    let state = 0;
    for (let back = 0; back < 32; back++) {
      state = (state + ((words[bytes[length - 1 - back] ?? 0] ?? 0) << back)) >>> 0;
    }
    const top = state >>> (32 - (length <= chunkBytesTarget ? 20 : 16));
    if (top === 0) return length;
  }
  return Math.min(bytes.length, chunkBytesMax);
}

/** Inputs of all kinds: noise, zeros, text, short periods, noise with holes. */
const inputs = fc
  .record({
    seed: fc.nat(1e6),
    count: fc.integer({ min: 0, max: 6 * mebibyte }),
    kind: fc.constantFrom('noise', 'zeros', 'period', 'holes'),
    period: fc.integer({ min: 1, max: 100_000 }),
  })
  .map(({ seed, count, kind, period }) => {
    if (kind === 'zeros') return new Uint8Array(count);
    if (kind === 'period') return repeated(noise(seed, period), count);
    const bytes = noise(seed, count);
    if (kind === 'holes') bytes.fill(0, count >> 2, count >> 1);
    return bytes;
  });

/** Fewer for the others, which kernels-wasm.test.ts holds against the plain one. */
function runsOf(version: string): (runs: number) => number {
  return (runs) => (version === 'plain' ? runs : Math.ceil(runs / 4));
}

/** Defines the tests of a version of the chunker. */
export function describeChunker(version: string, kernels: Kernels): void {
  void describe(`chunker, ${version}`, () => {
    const runs = runsOf(version);
    void it('tiles every input with chunks of allowed sizes', () => {
      fc.assert(
        fc.property(inputs, fc.nat(1e6), (bytes, seed) => {
          checkLengths(cutsOf(kernels.chunker(noise(seed, 32)), bytes), bytes.length);
        }),
        { numRuns: runs(40) },
      );
    });

    void it('cuts in the same places however the bytes arrive', () => {
      const chunker = kernels.chunker(key);
      fc.assert(
        fc.property(
          inputs,
          fc.nat(1e6),
          fc.constantFrom(5_000, 200_000, 3 * mebibyte),
          (bytes, seed, most) => {
            const random = new Seeded(seed);
            const cuts = cutsOf(chunker, bytes);
            // Each call may copy all that came so far: some 400 calls are enough.
            const pieceBytesMax = Math.max(most, bytes.length / 200);
            assert.deepEqual(
              streamedCuts(chunker, bytes, () => random.below(pieceBytesMax)),
              cuts,
            );
          },
        ),
        { numRuns: runs(30) },
      );
    });

    void it('gives the same cut with and without scannedTo, at every step around a cut', () => {
      const chunker = kernels.chunker(key);
      const bytes = noise(5, 2 * mebibyte);
      const [cut = 0] = cutsOf(chunker, bytes);
      for (let end = cut - 40; end < cut; end++) {
        assert.equal(chunker.cut(bytes, 0, end, false), undefined);
        assert.equal(chunker.cut(bytes, 0, bytes.length, false, end), cut);
        assert.equal(chunker.cut(bytes, 0, cut, false, end), cut);
      }
    });

    void it('depends on nothing before the last cut', () => {
      const chunker = kernels.chunker(key);
      const bytes = noise(6, 8 * mebibyte);
      const cuts = cutsOf(chunker, bytes);
      const [first = 0] = cuts;
      assert.deepEqual(
        cutsOf(chunker, bytes.subarray(first)),
        cuts.slice(1).map((cut) => cut - first),
      );
      const elsewhere = concatBytes(noise(7, first), bytes.subarray(first));
      assert.equal(chunker.cut(elsewhere, first, elsewhere.length, true), cuts[1]);
    });

    void it('does what its definition says', () => {
      for (const seed of [1, 2, 3]) {
        const bytes = noise(seed, mebibyte);
        const cutKey = noise(1000 + seed, 32);
        assert.equal(kernels.chunker(cutKey).cut(bytes, 0, bytes.length, true), definedCut(cutKey, bytes));
      }
    });

    void it('cuts at exactly the minimum, and is freer from the target on', () => {
      const chunker = kernels.chunker(key);
      const bytes = noise(14, 24 * mebibyte);
      const cuts = cutsOf(chunker, bytes);
      const lengths = lengthsOf(cuts);
      /** The 32 bytes before the end of the first chunk that is as long as this. */
      const windowOf = (fits: (length: number) => boolean): Uint8Array => {
        const end = cuts[lengths.findIndex(fits)] ?? assert.fail();
        return bytes.subarray(end - 32, end);
      };
      /** Where zeros are cut that have the window ending at a place. */
      const cutWith = (window: Uint8Array, at: number): number | undefined => {
        const input = new Uint8Array(chunkBytesMax);
        input.set(window, at - 32);
        return chunker.cut(input, 0, input.length, true);
      };
      const rare = windowOf((length) => length < chunkBytesTarget);
      const frequent = windowOf((length) => length > chunkBytesTarget);
      assert.equal(cutWith(rare, chunkBytesMin - 1), chunkBytesMax);
      assert.equal(cutWith(rare, chunkBytesMin), chunkBytesMin);
      assert.equal(cutWith(rare, chunkBytesMin + 1), chunkBytesMin + 1);
      assert.equal(cutWith(frequent, chunkBytesMin), chunkBytesMax);
      assert.equal(cutWith(frequent, chunkBytesTarget), chunkBytesMax);
      assert.equal(cutWith(frequent, chunkBytesTarget + 1), chunkBytesTarget + 1);
      assert.equal(cutWith(rare, chunkBytesTarget), chunkBytesTarget);
    });

    void it('finds its way back after bytes were put in or taken out', () => {
      const chunker = kernels.chunker(key);
      const bytes = noise(8, 24 * mebibyte);
      const names = (input: Uint8Array): string[] => {
        const cuts = cutsOf(chunker, input);
        return cuts.map((cut, i) => toHex(hashIn('checksum', input.subarray(cuts[i - 1] ?? 0, cut))));
      };
      const before = new Set(names(bytes));
      const edited = [
        concatBytes(utf8('new at the front'), bytes),
        concatBytes(bytes.subarray(0, 70_000), noise(9, 1000), bytes.subarray(70_000)),
        concatBytes(bytes.subarray(0, 5_000_000), bytes.subarray(5_000_001)),
      ];
      for (const input of edited) {
        const after = names(input);
        const fresh = after.filter((name) => !before.has(name)).length;
        assert.ok(fresh >= 1 && fresh <= 5, `${fresh} of ${after.length} chunks are new`);
      }
    });

    void it('chunks of noise are as long as aimed at', () => {
      const lengths = lengthsOf(cutsOf(kernels.chunker(key), noise(10, 64 * mebibyte)));
      const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
      assert.ok(mean > 0.9 * chunkBytesTarget && mean < 1.35 * chunkBytesTarget, `mean ${mean}`);
      assert.ok(lengths.every((length) => length < chunkBytesMax));
      const short = lengths.filter((length) => length < chunkBytesTarget).length / lengths.length;
      assert.ok(short < 0.35, `${short} of the chunks are below the target`);
    });

    void it('another key cuts elsewhere', () => {
      const bytes = noise(11, 16 * mebibyte);
      const ours = new Set(cutsOf(kernels.chunker(key), bytes));
      ours.delete(bytes.length);
      const other = new Uint8Array(key);
      other[0] = (other[0] ?? 0) ^ 1;
      const same = cutsOf(kernels.chunker(other), bytes).filter((cut) => ours.has(cut));
      assert.ok(ours.size > 10);
      assert.deepEqual(same, []);
    });

    void it('no key comes out of its limits on zeros or repeated patterns', () => {
      for (const [seed, pattern] of patterns().entries()) assertWithinLimits(kernels, pattern, 20_000 + seed);
    });

    void it('refuses a key of another length and ranges that cannot be', () => {
      assert.throws(() => kernels.chunker(new Uint8Array(31)), RangeError);
      const chunker = kernels.chunker(key);
      const bytes = new Uint8Array(10);
      assert.throws(() => chunker.cut(bytes, 5, 5, true), RangeError);
      assert.throws(() => chunker.cut(bytes, -1, 5, true), RangeError);
      assert.throws(() => chunker.cut(bytes, 0, 11, true), RangeError);
      assert.throws(() => chunker.cut(bytes, 6, 5, true), RangeError);
      assert.equal(chunker.cut(bytes, 0, 10, false), undefined);
      assert.equal(chunker.cut(bytes, 3, 10, true), 10);
    });

    void it('cuts where it always has (test/golden/chunker.json)', () => {
      for (const seed of [1, 2]) {
        const writer = new ByteWriter();
        for (const cut of cutsOf(kernels.chunker(noise(100 + seed, 32)), noise(seed, 8 * mebibyte)))
          writer.u32(cut);
        const found = writer.finish();
        assert.deepEqual(
          found,
          goldenBytes('chunker.json', `cuts of 8 MiB noise ${seed}`, () => found),
        );
      }
    });
  });
}

/** What a cut rule might never, or always, find a cut in: zeros and repeated patterns, longer than the largest chunk. */
export function patterns(): Uint8Array[] {
  return [
    new Uint8Array(1),
    new Uint8Array([0xff]),
    utf8('ab'),
    utf8('{"id": 0, "name": "none"},\n'),
    noise(12, 4096),
    noise(13, 200_000),
  ].map((pattern) => repeated(pattern, chunkBytesMax + 100_000));
}

/** With the key of this seed the first chunk of these bytes is neither too short nor too long. */
export function assertWithinLimits(kernels: Kernels, bytes: Uint8Array, keySeed: number): void {
  const cut = kernels.chunker(noise(keySeed, 32)).cut(bytes, 0, bytes.length, false);
  assert.ok(cut !== undefined && cut >= chunkBytesMin && cut <= chunkBytesMax, `key ${keySeed}: ${cut}`);
}
