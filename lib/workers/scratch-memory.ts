/**
 * Memory for what one job needs, used again by the next: fresh arrays of megabytes are cleared before they are written to, and
 * bring the collector on. What is taken isn't cleared.
 */
export class ScratchMemory {
  readonly #bytesMax: number;
  #memory: Uint8Array | undefined;
  #used = 0;

  /** `bytesMax`: held from the first `take` on. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** So many bytes until `reuse`; where none are left, fresh ones. */
  take(bytes: number): Uint8Array {
    const start = this.#used;
    if (start + bytes > this.#bytesMax) return new Uint8Array(bytes);
    this.#memory ??= new Uint8Array(this.#bytesMax);
    this.#used += bytes;
    return this.#memory.subarray(start, start + bytes);
  }

  /** All that was taken goes back: nobody may hold on to it. */
  reuse(): void {
    this.#used = 0;
  }
}
