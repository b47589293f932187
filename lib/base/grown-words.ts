/** Words of a block: 256 KiB. */
const blockShift = 16;
const blockWords: number = 1 << blockShift;
const blockMask: number = blockWords - 1;

/**
 * A growing array of unsigned 32-bit numbers, in blocks: what is there is never copied, and at most one block is
 * not used yet. An ordinary array takes eight bytes a number, half as much again while it grows, and copies all of it.
 */
export class GrownWords {
  readonly #blocks: Uint32Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(word: number): void {
    const at = this.#length++;
    if ((at & blockMask) === 0) this.#blocks.push(new Uint32Array(blockWords));
    (this.#blocks[at >>> blockShift] as Uint32Array)[at & blockMask] = word;
  }

  /** The number at a place, which must be below `length`. */
  get(at: number): number {
    return (this.#blocks[at >>> blockShift] as Uint32Array)[at & blockMask] as number;
  }

  set(at: number, word: number): void {
    (this.#blocks[at >>> blockShift] as Uint32Array)[at & blockMask] = word;
  }
}
