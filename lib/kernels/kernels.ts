import { createChunker, type Chunker } from './chunker.ts';
import type { ErasureCoder } from './erasure-coder.ts';
import type { CompiledKernels } from './kernel-module.ts';
import { plainCoder } from './reed-solomon.ts';
import { KernelScratch, type KernelExports } from './scratch.ts';
import { wasmChunker } from './wasm-chunker.ts';
import { wasmCoder } from './wasm-coder.ts';

/** The loops that see every byte (docs/kernels.md). Every version gives the same bytes; they differ in speed. */
export interface Kernels {
  readonly version: 'plain' | 'simd' | 'relaxed';
  readonly coder: ErasureCoder;
  /** A chunker for a 32-byte cut key, of which only the derived table is kept. */
  chunker(cutKey: Uint8Array): Chunker;
}

/** The kernels in TypeScript, which need no memory of their own. */
export const plainKernels: Kernels = {
  version: 'plain',
  coder: plainCoder,
  chunker: createChunker,
};

/**
 * Kernels of one thread, on arrays in `memory` without a copy, on others with one. They own `memory` from `scratchOffset` (a multiple
 * of 16) over kernelScratchBytes: nobody else may touch that range. Without compiled kernels they are the plain ones.
 */
export function loadKernels(
  compiled: CompiledKernels | undefined,
  memory: WebAssembly.Memory,
  scratchOffset: number,
): Kernels {
  if (compiled === undefined) return plainKernels;
  const instance = new WebAssembly.Instance(compiled.module, { env: { memory } });
  const scratch = new KernelScratch(instance.exports as KernelExports, memory, scratchOffset);
  return {
    version: compiled.relaxed ? 'relaxed' : 'simd',
    coder: wasmCoder(scratch),
    chunker: (cutKey) => wasmChunker(scratch, cutKey),
  };
}
