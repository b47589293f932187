import { chunkBytesMax, chunkBytesMin, chunkBytesTarget } from '../base/limits.ts';
import { candidateIsStrict, candidatePosition } from './candidates.ts';

/**
 * Makes the cuts of one file from the candidates in it: the very cuts that Chunker makes reading from the front (docs/kernels.md,
 * "Cut points"). Keeps nothing but where the open chunk begins; offsets are of the file.
 */
export class CutSelector {
  #start = 0;
  #knownTo = 0;

  /** Where the chunk begins whose end is not known yet: the last cut. */
  get start(): number {
    return this.#start;
  }

  /** Up to which offset candidates were given. */
  get knownTo(): number {
    return this.#knownTo;
  }

  /**
   * Takes the candidates of the region that follows what is known, up to offset `to`: all there are, ascending, as
   * CandidateScanner wrote them (`count` of them) from bytes whose first has offset `base`. Returns the cuts that are certain now.
   * RangeError for candidates out of order or outside the region: nothing is taken then.
   */
  add(base: number, candidates: Uint32Array, count: number, to: number): number[] {
    this.#check(base, candidates, count, to);
    const cuts: number[] = [];
    for (let i = 0; i < count; i++) {
      const candidate = candidates[i] as number;
      const at = base + candidatePosition(candidate);
      this.#cutLongBefore(at, cuts);
      const length = at - this.#start;
      if (length < chunkBytesMin) continue;
      if (length > chunkBytesTarget || candidateIsStrict(candidate)) this.#cut(at, cuts);
    }
    this.#knownTo = to;
    this.#cutLongBefore(to + 1, cuts);
    return cuts;
  }

  /** The last cut, for a file that ends at what is known: its length, or nothing where that is a cut already. */
  finish(): number[] {
    const cuts: number[] = [];
    if (this.#knownTo > this.#start) this.#cut(this.#knownTo, cuts);
    return cuts;
  }

  /** Ends chunks at their maximum as long as that lies before `at`. */
  #cutLongBefore(at: number, cuts: number[]): void {
    while (this.#start + chunkBytesMax < at) this.#cut(this.#start + chunkBytesMax, cuts);
  }

  #cut(at: number, cuts: number[]): void {
    cuts.push(at);
    this.#start = at;
  }

  #check(base: number, candidates: Uint32Array, count: number, to: number): void {
    if (!(to >= this.#knownTo && Number.isSafeInteger(to))) {
      throw new RangeError(`a region to ${to} does not follow ${this.#knownTo}`);
    }
    let before = this.#knownTo;
    for (let i = 0; i < count; i++) {
      const at = base + candidatePosition(candidates[i] as number);
      if (!(at > before && at <= to)) throw new RangeError(`candidate ${at} is not in (${before}, ${to}]`);
      before = at;
    }
  }
}
