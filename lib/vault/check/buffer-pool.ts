/**
 * Buffers that are used again and again: memory that was given back to the system has to be cleared by it before it comes again, which costs as
 * much as reading. Holds as many as were out at once; all of them go with the pool.
 */
export class BufferPool {
  readonly #free = new Map<number, Uint8Array[]>();
  readonly #shared: boolean;

  /** `shared`: in memory that other threads can look at where it is. */
  constructor({ shared }: { readonly shared: boolean }) {
    this.#shared = shared;
  }

  /** A buffer of so many bytes, with whatever is in it. */
  take(bytes: number): Uint8Array {
    const used = this.#free.get(bytes)?.pop();
    if (used !== undefined) return used;
    return this.#shared ? new Uint8Array(new SharedArrayBuffer(bytes)) : new Uint8Array(bytes);
  }

  /** Takes buffers back, which nobody may look at any more. */
  give(buffers: readonly Uint8Array[]): void {
    for (const buffer of buffers) {
      const free = this.#free.get(buffer.length) ?? [];
      free.push(buffer);
      this.#free.set(buffer.length, free);
    }
  }
}
