import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { chunkBytesMax, chunkBytesMin, chunkBytesTarget } from '../../lib/base/limits.ts';
import { CutSelector } from '../../lib/kernels/cut-selection.ts';
import type { Kernels } from '../../lib/kernels/kernels.ts';
import { kernelVersions } from '../support/kernel-versions.ts';
import { noise } from '../support/noise.ts';
import { Seeded } from '../support/seeded.ts';

const mebibyte = 1024 * 1024;

function repeated(pattern: Uint8Array, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += pattern.length) bytes.set(pattern.subarray(0, count - at), at);
  return bytes;
}

const inputs = fc
  .record({
    seed: fc.nat(1e6),
    count: fc.oneof(fc.integer({ min: 0, max: 300_000 }), fc.integer({ min: 0, max: 10 * mebibyte })),
    kind: fc.constantFrom('noise', 'zeros', 'period', 'holes', 'text'),
    period: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 400_000 })),
  })
  .map(({ seed, count, kind, period }) => {
    if (kind === 'zeros') return new Uint8Array(count);
    if (kind === 'period') return repeated(noise(seed, period), count);
    const bytes = noise(seed, count);
    if (kind === 'holes') bytes.fill(0, count >> 2, count >> 1);
    if (kind === 'text') for (const [i, byte] of bytes.entries()) bytes[i] = 97 + (byte % 26);
    return bytes;
  });

function sequentialCuts(kernels: Kernels, key: Uint8Array, bytes: Uint8Array): number[] {
  const chunker = kernels.chunker(key);
  const cuts: number[] = [];
  for (let start = 0; start < bytes.length; start = cuts.at(-1) ?? 0) {
    cuts.push(chunker.cut(bytes, start, bytes.length, true) ?? assert.fail());
  }
  return cuts;
}

/** Cuts by regions of any length, each an array of its own with the 32 bytes before it. */
function regionCuts(
  kernels: Kernels,
  key: Uint8Array,
  bytes: Uint8Array,
  regionBytes: () => number,
  room: number,
): number[] {
  const scanner = kernels.candidateScanner(key);
  const selector = new CutSelector();
  const out = new Uint32Array(room);
  const cuts: number[] = [];
  for (let from = Math.min(32, bytes.length); from < bytes.length;) {
    const to = Math.min(bytes.length, from + regionBytes());
    const region = bytes.subarray(from - 32, to);
    for (let next = 32; next < region.length;) {
      const count = scanner.scan(region, next, region.length, out);
      next = count < room ? region.length : (out[count - 1] ?? 0) >>> 1;
      cuts.push(...selector.add(from - 32, out, count, from - 32 + next));
      assert.equal(selector.start, cuts.at(-1) ?? 0);
      // Nothing is held back that is certain: a chunk is open for less than its maximum.
      assert.ok(selector.knownTo - selector.start <= chunkBytesMax);
    }
    from = to;
  }
  if (bytes.length <= 32) selector.add(0, out, 0, bytes.length);
  return [...cuts, ...selector.finish()];
}

for (const [version, kernels] of kernelVersions()) {
  void describe(`cuts by regions, ${version}`, () => {
    void it('are those of the chunker, for any key, input and regions', () => {
      fc.assert(
        fc.property(
          inputs,
          fc.nat(1e6),
          fc.constantFrom(50_000, mebibyte, 8 * mebibyte),
          fc.constantFrom(1, 3, 1024),
          (bytes, seed, most, room) => {
            const key = noise(seed, 32);
            const random = new Seeded(seed);
            assert.deepEqual(
              regionCuts(kernels, key, bytes, () => 1 + random.below(most), room),
              sequentialCuts(kernels, key, bytes),
            );
          },
        ),
        { numRuns: 40 },
      );
    });
  });
}

void describe('cut selector', () => {
  const loose = (at: number): number => at * 2;
  const strict = (at: number): number => at * 2 + 1;
  const cutsOf = (candidates: readonly number[], length: number): number[] => {
    const selector = new CutSelector();
    const cuts = selector.add(0, Uint32Array.from(candidates), candidates.length, length);
    return [...cuts, ...selector.finish()];
  };

  void it('keeps to the minimum, the target and the maximum, each to the byte', () => {
    const length = 5 * mebibyte;
    assert.deepEqual(cutsOf([strict(chunkBytesMin - 1)], mebibyte), [mebibyte]);
    assert.deepEqual(cutsOf([strict(chunkBytesMin)], mebibyte), [chunkBytesMin, mebibyte]);
    assert.deepEqual(cutsOf([loose(chunkBytesMin), loose(chunkBytesTarget)], mebibyte), [mebibyte]);
    assert.deepEqual(cutsOf([strict(chunkBytesTarget)], mebibyte), [chunkBytesTarget, mebibyte]);
    assert.deepEqual(cutsOf([loose(chunkBytesTarget + 1)], mebibyte), [chunkBytesTarget + 1, mebibyte]);
    assert.deepEqual(cutsOf([loose(chunkBytesMax)], length), [chunkBytesMax, length]);
    assert.deepEqual(cutsOf([], length), [chunkBytesMax, length]);
    assert.deepEqual(cutsOf([strict(chunkBytesMax + chunkBytesMin - 1)], length), [chunkBytesMax, length]);
    assert.deepEqual(cutsOf([strict(chunkBytesMax + chunkBytesMin)], length), [
      chunkBytesMax,
      chunkBytesMax + chunkBytesMin,
      length,
    ]);
    assert.deepEqual(cutsOf([], chunkBytesMax), [chunkBytesMax]);
    assert.deepEqual(cutsOf([strict(mebibyte)], mebibyte), [mebibyte]);
    assert.deepEqual(cutsOf([], 1), [1]);
    assert.deepEqual(cutsOf([], 0), []);
  });

  void it('offsets beyond 32 bits stay exact', () => {
    const selector = new CutSelector();
    const next = 2000 * chunkBytesMax;
    assert.ok(next > 2 ** 32);
    assert.equal(selector.add(0, new Uint32Array(0), 0, next).length, 2000);
    assert.deepEqual(selector.add(next, Uint32Array.of(strict(chunkBytesMin)), 1, next + mebibyte), [
      next + chunkBytesMin,
    ]);
    assert.deepEqual(selector.finish(), [next + mebibyte]);
  });

  void it('candidates out of order or outside their region are a RangeError, and nothing is taken', () => {
    const selector = new CutSelector();
    selector.add(0, new Uint32Array(0), 0, 1000);
    const attempts: [number, number[], number][] = [
      [0, [], 999],
      [0, [loose(1000)], 2000],
      [0, [loose(2001)], 2000],
      [0, [loose(1500), loose(1500)], 2000],
      [0, [loose(1500), loose(1400)], 2000],
      [0, [], NaN],
    ];
    for (const [base, candidates, to] of attempts) {
      assert.throws(
        () => selector.add(base, Uint32Array.from(candidates), candidates.length, to),
        RangeError,
      );
      assert.equal(selector.knownTo, 1000);
    }
  });
});
