import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { concatBytes, toHex } from '../../lib/base/bytes.ts';
import { rowCountMax } from '../../lib/base/limits.ts';
import { dataRowsMax, type CodedRow, type ErasureCoder } from '../../lib/kernels/erasure-coder.ts';
import { plainCoder } from '../../lib/kernels/reed-solomon.ts';
import { goldenBytes } from './golden.ts';
import { noise } from './noise.ts';
import { Seeded } from './seeded.ts';

/** Multiplication by hand: shift, add, and take the polynomial off. */
export function slowMultiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < 8; bit++) if ((b & (1 << bit)) !== 0) product ^= a << bit;
  for (let bit = 14; bit >= 8; bit--) if ((product & (1 << bit)) !== 0) product ^= 0x11d << (bit - 8);
  return product;
}

/** The inverse by trying all. */
export function slowInvert(a: number): number {
  for (let b = 1; b < 256; b++) if (slowMultiply(a, b) === 1) return b;
  return assert.fail(`${a} has no inverse`);
}

const slowInverses = Array.from({ length: 256 }, (_, a) => (a === 0 ? 0 : slowInvert(a)));

/** Row i as docs/formats/pack.md has it. */
function slowRow(data: readonly Uint8Array[], i: number): Uint8Array {
  const own = data[i];
  if (own !== undefined) return own;
  return Uint8Array.from({ length: data[0]?.length ?? 0 }, (_, x) =>
    data.reduce((sum, shard, j) => sum ^ slowMultiply(slowInverses[i ^ j] ?? 0, shard[x] ?? 0), 0),
  );
}

const dataOf = (k: number, count: number, seed = k): Uint8Array[] =>
  Array.from({ length: k }, (_, j) => noise(seed * 100 + j, count));

/** All n rows of a code. */
function allRows(k: number, n: number, data: readonly Uint8Array[]): CodedRow[] {
  const indices = Array.from({ length: n }, (_, i) => i);
  const coded = plainCoder.encodeRows(k, data, indices.slice(k));
  return [...data, ...coded].map((bytes, index) => ({ index, bytes }));
}

const bytesOfRows = (rows: readonly CodedRow[]): Uint8Array[] => rows.map((row) => row.bytes);

function* subsets(n: number, size: number, from = 0): Generator<number[]> {
  if (size === 0) yield [];
  else
    for (let i = from; i <= n - size; i++) for (const rest of subsets(n, size - 1, i + 1)) yield [i, ...rest];
}

function shuffled<T>(items: readonly T[], seed: number): T[] {
  const random = new Seeded(seed);
  const left = [...items];
  return items.flatMap(() => left.splice(random.below(left.length), 1));
}

/** k, how many rows, and a seed for which of them are left. */
const codes = fc
  .integer({ min: 1, max: dataRowsMax })
  .chain((k) => fc.tuple(fc.constant(k), fc.integer({ min: k, max: rowCountMax }), fc.nat(1e6)));

/** Defines the tests of a version of the coder. */
export function describeCoder(version: string, coder: ErasureCoder): void {
  void describe(`Reed–Solomon, ${version}`, () => {
    void it('small rows, worked out by hand', () => {
      // 1/1 = 1; 1/2 = 0x8E, for 2 · 0x8E = 0x11C; 1/3 = 0xF4, for 3 · 0xF4 = 0x1E8 + 0xF4 = 0x11C.
      const one = [new Uint8Array([1, 2, 4, 0])];
      assert.deepEqual(coder.encodeRows(1, one, [1, 2, 3]).map(toHex), ['01020400', '8e010200', 'f4f5f700']);
      const two = [new Uint8Array([1, 0, 1]), new Uint8Array([0, 1, 1])];
      assert.deepEqual(coder.encodeRows(2, two, [2, 3]).map(toHex), ['8ef47a', 'f48e7a']);
    });

    void it('rows are what they always have been (test/golden/reed-solomon.json)', () => {
      const codesKept: [number, number][] = [[1, 3], [2, 7], [3, 7], [4, 10], [10, 16], [32, 64]]; // prettier-ignore
      for (const [k, n] of codesKept) {
        const data = dataOf(k, 29);
        const rows = coder.encodeRows(
          k,
          data,
          Array.from({ length: n - k }, (_, i) => k + i),
        );
        const found = concatBytes(...rows);
        const stored = goldenBytes(
          'reed-solomon.json',
          `rows ${k} to ${n - 1} of k = ${k}, 29 bytes of noise each`,
          () => found,
        );
        assert.deepEqual(found, stored);
      }
    });

    void it('agrees with the textbook, at lengths around every boundary', () => {
      for (const count of [0, 1, 3, 4, 5, 4095, 4096, 4099, 9001]) {
        for (const k of [1, 2, 3, 4, 5, 8, 9]) {
          const data = dataOf(k, count);
          const wanted = [k, k + 5, 63, k + 1, k + 2, 40];
          assert.deepEqual(
            coder.encodeRows(k, data, wanted),
            wanted.map((i) => slowRow(data, i)),
            `k = ${k}, ${count} bytes`,
          );
        }
      }
    });

    for (const [k, n] of [
      [3, 5],
      [2, 5],
      [4, 8],
    ] as const) {
      void it(`any ${k} of ${n} give all back: every subset`, () => {
        const rows = allRows(k, n, dataOf(k, 1003));
        const all = rows.map((row) => row.index);
        for (const left of subsets(n, k)) {
          const available = left.map((i) => rows[i] ?? assert.fail());
          assert.deepEqual(coder.reconstruct(k, available, all), bytesOfRows(rows), left.join());
        }
      });
    }

    void it('any k of n give all back, in any order', () => {
      fc.assert(
        fc.property(codes, ([k, n, seed]) => {
          const rows = allRows(k, n, dataOf(k, 1 + (seed % 70), seed));
          const mixed = shuffled(rows, seed);
          const wanted = shuffled(rows, seed + 1);
          assert.deepEqual(
            coder.reconstruct(
              k,
              mixed.slice(0, k),
              wanted.map((row) => row.index),
            ),
            bytesOfRows(wanted),
          );
          // More than k may be offered; a row that nobody stored can be made, too.
          const [spare] = coder.reconstruct(k, mixed, [rowCountMax - 1]);
          assert.deepEqual(spare, slowRow(bytesOfRows(rows.slice(0, k)), rowCountMax - 1));
        }),
        { numRuns: 150 },
      );
    });

    void it('k − 1 rows say nothing about the rest: any content is still possible', () => {
      fc.assert(
        fc.property(codes, fc.uint8Array({ minLength: 16, maxLength: 16 }), ([k, n, seed], guess) => {
          const length = Math.min(rowCountMax, n + 1);
          const rows = shuffled(allRows(k, length, dataOf(k, 16, seed)), seed);
          const known = rows.slice(0, k - 1);
          const hidden = rows[k - 1] ?? assert.fail();
          assert.throws(() => coder.reconstruct(k, known, [hidden.index]), RangeError);
          // For whatever one guesses of a hidden row there is data that agrees with every row known.
          const indices = Array.from({ length: k }, (_, i) => i);
          const data = coder.reconstruct(k, [...known, { index: hidden.index, bytes: guess }], indices);
          const others = allRows(k, length, data);
          for (const row of known) assert.deepEqual(others[row.index]?.bytes, row.bytes);
          assert.deepEqual(others[hidden.index]?.bytes, guess);
        }),
        { numRuns: 100 },
      );
    });

    void it('a row is the same whatever is made beside it, and a range whatever is around it', () => {
      fc.assert(
        fc.property(codes, fc.nat(99), fc.nat(99), ([k, n, seed], from, more) => {
          const data = dataOf(k, 100, seed);
          const rows = allRows(k, n, data);
          for (const { index, bytes } of rows.slice(k)) {
            assert.deepEqual(coder.encodeRows(k, data, [index]), [bytes]);
          }
          const part = (bytes: Uint8Array): Uint8Array => bytes.subarray(from, from + more);
          const some = shuffled(rows, seed).slice(0, k);
          assert.deepEqual(
            coder.reconstruct(
              k,
              some.map(({ index, bytes }) => ({ index, bytes: part(bytes) })),
              rows.map((row) => row.index),
            ),
            rows.map(({ bytes }) => new Uint8Array(part(bytes))),
          );
        }),
        { numRuns: 60 },
      );
    });

    void it('changes none of its input, and gives fresh arrays', () => {
      const data = dataOf(3, 50);
      const [row] = coder.encodeRows(3, data, [3]);
      assert.ok(row !== undefined);
      const available = [
        { index: 3, bytes: row },
        { index: 1, bytes: data[1] ?? assert.fail() },
        { index: 2, bytes: data[2] ?? assert.fail() },
      ];
      const [again, first] = coder.reconstruct(3, available, [1, 0]);
      assert.deepEqual(first, data[0]);
      again?.fill(0);
      first?.fill(0);
      assert.deepEqual(data, dataOf(3, 50));
      assert.deepEqual(coder.reconstruct(3, available, [4, 4, 4, 4, 4])[4], slowRow(data, 4));
      assert.deepEqual(coder.encodeRows(3, data, []), []);
      assert.deepEqual(coder.reconstruct(3, available, []), []);
    });

    void it('arguments that cannot be are a RangeError', () => {
      const data = dataOf(3, 10);
      const rows = allRows(3, 6, data);
      const [a, b, c] = [rows[0] ?? assert.fail(), rows[3] ?? assert.fail(), rows[5] ?? assert.fail()];
      const attempts: (() => unknown)[] = [
        () => coder.encodeRows(0, [], [1]),
        () => coder.encodeRows(33, dataOf(33, 10), [40]),
        () => coder.encodeRows(2.5, data, [3]),
        () => coder.encodeRows(3, data.slice(1), [3]),
        () => coder.encodeRows(2, data, [3]),
        () => coder.encodeRows(3, data, [2]),
        () => coder.encodeRows(3, data, [64]),
        () => coder.encodeRows(3, data, [3.5]),
        () => coder.encodeRows(3, [...data.slice(1), noise(1, 11)], [3]),
        () => coder.reconstruct(3, [a, b], [1]),
        () => coder.reconstruct(3, [a, b, b], [1]),
        () => coder.reconstruct(3, [a, b, { index: 64, bytes: c.bytes }], [1]),
        () => coder.reconstruct(3, [a, b, { index: 4, bytes: noise(1, 9) }], [1]),
        () => coder.reconstruct(3, [a, b, c], [-1]),
        () => coder.reconstruct(3, [a, b, c], [64]),
      ];
      for (const attempt of attempts) assert.throws(attempt, RangeError, attempt.toString());
    });
  });
}
