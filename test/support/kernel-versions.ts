import assert from 'node:assert/strict';
import { equalBytes } from '../../lib/base/bytes.ts';
import { chunkBytesMax } from '../../lib/base/limits.ts';
import type { Chunker } from '../../lib/kernels/chunker.ts';
import type { CodedRow, ErasureCoder } from '../../lib/kernels/erasure-coder.ts';
import { createKernelMemory } from '../../lib/kernels/kernel-memory.ts';
import { compileKernels } from '../../lib/kernels/kernel-module.ts';
import { loadKernels, plainKernels, type Kernels } from '../../lib/kernels/kernels.ts';
import { kernelScratchBytes } from '../../lib/kernels/scratch.ts';

const mebibyte = 1024 * 1024;
const untouched = new Uint8Array(65536).fill(0xa5);

/** Memory of kernels under test, for arrays at any alignment; everything but arrays and scratch is 0xA5 and stays it. */
export class Arena {
  readonly memory: WebAssembly.Memory = createKernelMemory(24 * mebibyte);
  readonly #bytes = new Uint8Array(this.memory.buffer);
  #next: number;
  #turn = 0;
  readonly #first: number;

  constructor() {
    // A page before the scratch, to see that nothing is written there.
    this.#first = this.scratchOffset + kernelScratchBytes;
    this.#next = this.#first;
    this.#bytes.fill(0xa5);
  }

  get scratchOffset(): number {
    return 65536;
  }

  /** `count` bytes at an alignment that changes from call to call. */
  room(count: number): Uint8Array {
    this.#turn = (this.#turn + 7) % 61;
    const at = this.#next + 32 + this.#turn;
    assert.ok(at + count + 32 <= this.#bytes.length, 'the arena is full');
    this.#next = at + count;
    return this.#bytes.subarray(at, at + count);
  }

  place(bytes: Uint8Array): Uint8Array {
    const copy = this.room(bytes.length);
    copy.set(bytes);
    return copy;
  }

  /** Gives all room back, after checking that nothing outside `arrays` (all that were taken, in order) was written to. */
  release(arrays: readonly Uint8Array[]): void {
    let at = this.#first;
    for (const array of arrays) {
      this.#checkUntouched(at, array.byteOffset);
      at = array.byteOffset + array.length;
      array.fill(0xa5);
    }
    this.#checkUntouched(at, at + 96);
    this.#checkUntouched(0, this.scratchOffset);
    this.#next = this.#first;
  }

  #checkUntouched(from: number, to: number): void {
    const found = this.#bytes.subarray(from, to);
    assert.ok(
      equalBytes(found, untouched.subarray(0, to - from)),
      `bytes in [${from}, ${to}) were written to`,
    );
  }
}

function chunkerInPlace(chunker: Chunker, arena: Arena): Chunker {
  return {
    cut(bytes, start, end, atEnd, scannedTo = start) {
      if (!(start >= 0 && start < end && end <= bytes.length)) return chunker.cut(bytes, start, end, atEnd);
      const placed = arena.place(bytes.subarray(start, Math.min(end, start + chunkBytesMax)));
      try {
        const cut = chunker.cut(placed, 0, placed.length, atEnd, Math.max(0, scannedTo - start));
        return cut === undefined ? undefined : start + cut;
      } finally {
        arena.release([placed]);
      }
    },
  };
}

function coderInPlace(coder: ErasureCoder, arena: Arena): ErasureCoder {
  const run = (
    sources: readonly Uint8Array[],
    outputs: readonly Uint8Array[],
    work: (sources: Uint8Array[], outputs: Uint8Array[]) => void,
  ): void => {
    const placed = sources.map((source) => arena.place(source));
    const results = outputs.map((output) => arena.room(output.length));
    try {
      work(placed, results);
      for (const [i, result] of results.entries()) outputs[i]?.set(result);
      for (const [i, source] of placed.entries()) {
        assert.ok(equalBytes(source, sources[i] ?? assert.fail()), `source ${i} was changed`);
      }
    } finally {
      arena.release([...placed, ...results]);
    }
  };
  const inPlace: ErasureCoder = {
    encodeInto(k, data, rows, outputs) {
      run(data, outputs, (sources, results) => coder.encodeInto(k, sources, rows, results));
    },
    encodeRows(k, data, rows) {
      const outputs = rows.map(() => new Uint8Array(data[0]?.length ?? 0));
      inPlace.encodeInto(k, data, rows, outputs);
      return outputs;
    },
    reconstructInto(k, available, wanted, outputs) {
      const sources = available.map(({ bytes }) => bytes);
      run(sources, outputs, (placed, results) => {
        const rows: CodedRow[] = placed.map((bytes, i) => ({ index: available[i]?.index ?? -1, bytes }));
        coder.reconstructInto(k, rows, wanted, results);
      });
    },
    reconstruct(k, available, wanted) {
      const outputs = wanted.map(() => new Uint8Array(available[0]?.bytes.length ?? 0));
      inPlace.reconstructInto(k, available, wanted, outputs);
      return outputs;
    },
  };
  return inPlace;
}

/** The same kernels, working on arrays in their memory, at all alignments. */
export function kernelsInPlace(kernels: Kernels, arena: Arena): Kernels {
  return {
    version: kernels.version,
    coder: coderInPlace(kernels.coder, arena),
    chunker: (cutKey) => chunkerInPlace(kernels.chunker(cutKey), arena),
  };
}

/** WASM kernels in a fresh memory: undefined where this machine doesn't run that build. */
export function wasmKernels(relaxed: boolean): { kernels: Kernels; arena: Arena } | undefined {
  const compiled = compileKernels(relaxed);
  if (compiled === undefined || compiled.relaxed !== relaxed) return undefined;
  const arena = new Arena();
  return { kernels: loadKernels(compiled, arena.memory, arena.scratchOffset), arena };
}

/**
 * The versions of the kernels that run here, by name: plain, and the WASM builds, one on arrays outside its memory, one on arrays
 * inside (test/unit/kernels-wasm.test.ts crosses the two).
 */
export function kernelVersions(): [string, Kernels][] {
  const simd = wasmKernels(false);
  const relaxed = wasmKernels(true) ?? simd;
  const versions: [string, Kernels][] = [['plain', plainKernels]];
  if (simd !== undefined) versions.push([`${simd.kernels.version}, arrays elsewhere`, simd.kernels]);
  if (relaxed !== undefined) {
    versions.push([`${relaxed.kernels.version}, in place`, kernelsInPlace(relaxed.kernels, relaxed.arena)]);
  }
  return versions;
}
