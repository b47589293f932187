import { requireLittleEndian } from './byte-order.ts';
import { createKernelMemory } from './kernel-memory.ts';
import { compileKernels, type CompiledKernels } from './kernel-module.ts';
import { loadKernels, type Kernels } from './kernels.ts';
import { kernelScratchBytes } from './scratch.ts';

let compiled: { readonly kernels: CompiledKernels | undefined } | undefined;
let loaded: Kernels | undefined;

/**
 * The kernels compiled for this machine, once; undefined where it runs the plain ones. All that is cut or coded goes through here, so
 * that it is here that a big-endian machine is refused: KithError `failed`.
 */
export function compiledKernels(): CompiledKernels | undefined {
  requireLittleEndian();
  compiled ??= { kernels: compileKernels() };
  return compiled.kernels;
}

/** Kernels for this thread's own arrays, which they copy: for what is not worth a memory of its own. Errors as for compiledKernels. */
export function threadKernels(): Kernels {
  loaded ??= loadKernels(compiledKernels(), createKernelMemory(kernelScratchBytes), 0);
  return loaded;
}
