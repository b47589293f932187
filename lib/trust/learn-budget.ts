/** Changes that are stored at once, and how long one more takes to be allowed. */
const burst = 16;
const refillMs: number = 15 * 60 * 1000;

/**
 * How often one friend may make us write: addresses are signed by the friend's devices alone, and could change for
 * ever. Some hundred a day is plenty for one who travels.
 */
export class LearnBudget {
  #left: number = burst;
  #filledAtMs: number;

  constructor(nowMs: number) {
    this.#filledAtMs = nowMs;
  }

  /** True if one more change may be stored now; `nowMs` is monotonic. */
  take(nowMs: number): boolean {
    const refills = Math.max(0, Math.floor((nowMs - this.#filledAtMs) / refillMs));
    this.#filledAtMs += refills * refillMs;
    this.#left = Math.min(burst, this.#left + refills);
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }
}
