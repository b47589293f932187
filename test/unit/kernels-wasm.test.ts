import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import * as fc from 'fast-check';
import { rowCountMax } from '../../lib/base/limits.ts';
import { dataRowsMax, type ErasureCoder } from '../../lib/kernels/erasure-coder.ts';
import { createKernelMemory } from '../../lib/kernels/kernel-memory.ts';
import { compileKernels } from '../../lib/kernels/kernel-module.ts';
import { loadKernels, plainKernels, type Kernels } from '../../lib/kernels/kernels.ts';
import { kernelScratchBytes } from '../../lib/kernels/scratch.ts';
import { kernelsInPlace, wasmKernels } from '../support/kernel-versions.ts';
import { noise } from '../support/noise.ts';
import { Seeded } from '../support/seeded.ts';

const mebibyte = 1024 * 1024;

/** Both builds, on arrays elsewhere and in place. */
const versions = [false, true].flatMap((relaxed): [string, Kernels][] => {
  const wasm = wasmKernels(relaxed);
  if (wasm === undefined) return [];
  const name = wasm.kernels.version;
  return [
    [`${name}, arrays elsewhere`, wasm.kernels],
    [`${name}, in place`, kernelsInPlace(wasm.kernels, wasm.arena)],
  ];
});

/** Bytes of few kinds, so that windows repeat and keys with hits everywhere can be found. */
function inputOf(kind: string, seed: number, count: number): Uint8Array {
  const bytes = noise(seed, count);
  if (kind === 'zeros') bytes.fill(0);
  if (kind === 'two symbols') for (const [i, byte] of bytes.entries()) bytes[i] = byte & 1;
  if (kind === 'period') for (let i = 64; i < count; i++) bytes[i] = bytes[i - 1 - (seed % 40)] ?? 0;
  if (kind === 'text') for (const [i, byte] of bytes.entries()) bytes[i] = 97 + (byte % 26);
  return bytes;
}

/** Where all chunks of some bytes end. */
function cutsOf(kernels: Kernels, key: Uint8Array, bytes: Uint8Array): number[] {
  const chunker = kernels.chunker(key);
  const ends: number[] = [];
  for (let start = 0; start < bytes.length; start = ends.at(-1) ?? bytes.length)
    ends.push(chunker.cut(bytes, start, bytes.length, true) ?? bytes.length);
  return ends;
}

/** A key under which zeros are a candidate at every position: one key in 2^17 is like that, and this is the first of noise. */
const keyWithHitsOnZeros = noise(309_189, 32);

void describe('WASM kernels', () => {
  void it('run here, and say which they are', () => {
    // Every Node that kith runs on has SIMD and threads; without them these tests would test nothing.
    assert.ok(versions.length >= 2);
    const memory = createKernelMemory(kernelScratchBytes);
    assert.equal(loadKernels(undefined, memory, 0), plainKernels);
    assert.equal(loadKernels(compileKernels(false), memory, 0).version, 'simd');
  });

  for (const name of ['kernels.wasm', 'kernels-relaxed.wasm']) {
    void it(`${name} takes its memory from outside and puts nothing into it`, () => {
      const bytes = readFileSync(new URL(`../../lib/kernels/${name}`, import.meta.url));
      const sections: number[] = [];
      for (let at = 8; at < bytes.length;) {
        sections.push(bytes[at++] ?? 0);
        let length = 0;
        for (let shift = 0; ; shift += 7) {
          const byte = bytes[at++] ?? 0;
          length |= (byte & 127) << shift;
          if (byte < 128) break;
        }
        at += length;
      }
      // No table, memory, global, start, element or data section.
      for (const section of [4, 5, 6, 8, 9, 11]) assert.ok(!sections.includes(section), `section ${section}`);
      assert.ok(sections.includes(10));
    });
  }

  void it('cuts are those of the plain chunker, at every length, over bytes that repeat as over noise', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('noise', 'zeros', 'two symbols', 'period', 'text'),
        fc.nat(1e6),
        fc.integer({ min: 1, max: 2_000_000 }),
        (kind, seed, count) => {
          const key = noise(seed, 32);
          const bytes = inputOf(kind, seed, count);
          const expected = cutsOf(plainKernels, key, bytes);
          for (const [name, kernels] of versions)
            assert.deepEqual(cutsOf(kernels, key, bytes), expected, name);
        },
      ),
      { numRuns: 30 },
    );
  });

  void it('hits in crowds are found as well: zeros under a key that likes them', () => {
    const key = keyWithHitsOnZeros;
    const bytes = new Uint8Array(mebibyte);
    bytes.set(noise(2, 300_000), 400_000);
    const expected = cutsOf(plainKernels, key, bytes);
    for (const [name, kernels] of versions) assert.deepEqual(cutsOf(kernels, key, bytes), expected, name);
  });

  void it('rows are those of the plain coder: k to 32, 63 rows, every length', () => {
    const same = (make: (coder: ErasureCoder) => Uint8Array[], message: string): void => {
      const expected = make(plainKernels.coder);
      for (const [name, { coder }] of versions) {
        for (const [i, row] of make(coder).entries()) {
          assert.ok(Buffer.compare(row, expected[i] ?? assert.fail()) === 0, `${name}, ${message}, row ${i}`);
        }
      }
    };
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: dataRowsMax }),
        fc.oneof(fc.nat(200), fc.integer({ min: 3900, max: 4300 }), fc.nat(20_000)),
        fc.nat(1e6),
        (k, count, seed) => {
          const random = new Seeded(seed);
          const data = Array.from({ length: k }, (_, j) => noise(seed + j, count));
          const rows = Array.from({ length: 1 + random.below(63) }, () => k + random.below(rowCountMax - k));
          same((coder) => coder.encodeRows(k, data, rows), `k = ${k}, ${count} bytes`);
          const coded = plainKernels.coder.encodeRows(
            k,
            data,
            [k, k + 1].filter((row) => row < rowCountMax),
          );
          const available = [...data, ...coded].map((bytes, index) => ({ index, bytes })).slice(coded.length);
          same((coder) => coder.reconstruct(k, available, [0, 1, 0, 63]), `k = ${k}, ${count} bytes again`);
        },
      ),
      { numRuns: 40 },
    );
    const data = Array.from({ length: dataRowsMax }, (_, j) => noise(j, 100));
    const many = Array.from({ length: 150 }, (_, i) => 32 + (i % 32));
    same((coder) => coder.encodeRows(32, data, many), 'more rows than fit the scratch at once');
  });

  void it('more patterns than are kept, one after the other and back', () => {
    const data = Array.from({ length: 3 }, (_, j) => noise(j, 40));
    for (const [name, { coder }] of [...versions, ['plain', plainKernels] as const]) {
      for (let round = 0; round < 2; round++) {
        for (let row = 3; row < 64; row++) {
          for (const rows of [[row], [row, 3]]) {
            const [made] = coder.encodeRows(3, data, rows);
            const available = [0, 1].map((index) => ({ index, bytes: data[index] ?? assert.fail() }));
            const [back] = coder.reconstruct(
              3,
              [...available, { index: row, bytes: made ?? assert.fail() }],
              [2],
            );
            assert.deepEqual(back, data[2], name);
          }
        }
      }
    }
  });

  void it('outputs of the wrong number or length, or that overlap, are a RangeError and stay as they are', () => {
    const kinds: [Kernels, (count: number) => Uint8Array][] = [
      [plainKernels, (count) => new Uint8Array(count)],
    ];
    for (const relaxed of [false, true]) {
      const wasm = wasmKernels(relaxed);
      if (wasm === undefined) continue;
      kinds.push([wasm.kernels, (count) => new Uint8Array(count)]);
      kinds.push([wasm.kernels, (count) => wasm.arena.room(count).fill(0)]);
    }
    for (const [{ coder }, make] of kinds) {
      const room = make(100);
      const data = [make(20), make(20)];
      for (const [seed, bytes] of data.entries()) bytes.set(noise(seed, 20));
      const available = data.map((bytes, index) => ({ index, bytes }));
      const attempts: Uint8Array[][] = [
        [room.subarray(0, 20)],
        [room.subarray(0, 20), room.subarray(20, 41)],
        [room.subarray(0, 20), room.subarray(19, 39)],
        [room.subarray(0, 20), room.subarray(0, 20)],
        [room.subarray(0, 20), data[0] ?? assert.fail()],
        [data[1]?.subarray(0) ?? assert.fail(), room.subarray(0, 20)],
      ];
      for (const outputs of attempts) {
        assert.throws(() => coder.encodeInto(2, data, [2, 3], outputs), RangeError);
        assert.throws(() => coder.reconstructInto(2, available, [2, 0], outputs), RangeError);
      }
      assert.ok(room.every((byte) => byte === 0));
      for (const [seed, bytes] of data.entries()) assert.deepEqual(new Uint8Array(bytes), noise(seed, 20));
    }
  });

  void it('keys and scratch that cannot be are a RangeError', () => {
    for (const [, kernels] of [...versions, ['plain', plainKernels] as const])
      assert.throws(() => kernels.chunker(new Uint8Array(31)), RangeError);
    const compiled = compileKernels();
    const memory = createKernelMemory(kernelScratchBytes);
    const spare = memory.buffer.byteLength - kernelScratchBytes;
    for (const offset of [-16, 8, spare + 16, NaN]) {
      assert.throws(() => loadKernels(compiled, memory, offset), RangeError);
    }
    assert.throws(() => createKernelMemory(2 ** 32), RangeError);
  });

  void it('two threads in one memory, each with its own scratch, from one compiled module', async () => {
    const compiled = compileKernels();
    const memory = createKernelMemory(2 * kernelScratchBytes + 4 * mebibyte);
    const data = noise(3, mebibyte);
    const at = 2 * kernelScratchBytes;
    new Uint8Array(memory.buffer).set(data, at);
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const { compiled, memory, urls, offset, at, count, key } = workerData;
      import(urls).then(({ loadKernels }) => {
        const kernels = loadKernels(compiled, memory, offset);
        const bytes = new Uint8Array(memory.buffer, at, count);
        const chunker = kernels.chunker(key);
        const cuts = [];
        for (let start = 0; start < count; start = cuts.at(-1)) cuts.push(chunker.cut(bytes, start, count, true));
        parentPort.postMessage({ version: kernels.version, cuts });
      });`;
    const key = noise(4, 32);
    const scanned = [0, kernelScratchBytes].map(
      (offset) =>
        new Promise<{ version: string; cuts: number[] }>((resolve, reject) => {
          const urls = new URL('../../lib/kernels/kernels.js', import.meta.url).href;
          const workerData = { compiled, memory, urls, offset, at, count: data.length, key };
          const worker = new Worker(code, { eval: true, workerData });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    );
    const expected = cutsOf(plainKernels, key, data);
    for (const { version, cuts } of await Promise.all(scanned)) {
      assert.notEqual(version, 'plain');
      assert.deepEqual(cuts, expected);
    }
  });
});
