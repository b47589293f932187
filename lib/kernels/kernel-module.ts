import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';

/** Compiled kernels. The module may be posted to workers, which is cheaper than to compile it in each. */
export interface CompiledKernels {
  readonly module: WebAssembly.Module;
  /** With relaxed SIMD: another instruction for table look-ups, the same results, faster on x86. */
  readonly relaxed: boolean;
}

function bytesOf(fileName: string): Uint8Array {
  return readFileSync(new URL(fileName, import.meta.url));
}

/** Whether this Node runs the module; asks for relaxed SIMD by flag where it isn't there without (Node 20). */
function runsRelaxed(bytes: Uint8Array): boolean {
  if (WebAssembly.validate(bytes)) return true;
  setFlagsFromString('--experimental-wasm-relaxed-simd');
  return WebAssembly.validate(bytes);
}

/**
 * Compiles the kernels for this machine, the relaxed build unless `relaxed` is false or it can't run; undefined where WASM has
 * no SIMD or no threads. Takes some ten milliseconds at most: do it once. A build without the WASM files is an error.
 */
export function compileKernels(relaxed: boolean = true): CompiledKernels | undefined {
  const plain = bytesOf('kernels.wasm');
  if (typeof WebAssembly === 'undefined' || !WebAssembly.validate(plain)) return undefined;
  if (relaxed) {
    const bytes = bytesOf('kernels-relaxed.wasm');
    if (runsRelaxed(bytes)) return { module: new WebAssembly.Module(bytes), relaxed: true };
  }
  return { module: new WebAssembly.Module(plain), relaxed: false };
}
