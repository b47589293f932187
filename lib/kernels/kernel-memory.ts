/** Bytes of a page of WASM memory. */
const pageBytes = 65536;

/** Addresses have 32 bits, and the end of an array must be one, too. */
const pagesMax = 65535;

/**
 * Shared memory in which kernels work: at least `bytes`, which never grows or moves. Pages that nobody touches take no RAM. Post
 * it to workers as it is; each thread must make its arrays from `memory.buffer` of its own, by which kernels know them.
 */
export function createKernelMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.max(1, Math.ceil(bytes / pageBytes));
  if (!(pages <= pagesMax)) throw new RangeError(`no memory of ${bytes} bytes`);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/** A memory's bytes. RangeError for a memory that isn't shared. */
export function sharedBufferOf(memory: WebAssembly.Memory): SharedArrayBuffer {
  const { buffer } = memory;
  if (!(buffer instanceof SharedArrayBuffer)) throw new RangeError('the memory is not shared');
  return buffer;
}
