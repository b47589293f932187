/** So many at once, and one more in so many ms. */
export interface TokenRate {
  readonly burst: number;
  readonly refillMs: number;
}

/** How often something may be done: a bucket of tokens that fills up again. */
export class TokenBudget {
  readonly #rate: TokenRate;
  #left: number;
  #filledAtMs: number;

  /** Full. `nowMs` is monotonic, here and below. */
  constructor(rate: TokenRate, nowMs: number) {
    this.#rate = rate;
    this.#left = rate.burst;
    this.#filledAtMs = nowMs;
  }

  /** True if it may be done once more now. */
  take(nowMs: number): boolean {
    const { burst, refillMs } = this.#rate;
    const refills = Math.max(0, Math.floor((nowMs - this.#filledAtMs) / refillMs));
    this.#filledAtMs += refills * refillMs;
    this.#left = Math.min(burst, this.#left + refills);
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }
}
