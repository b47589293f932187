import { bulkMessageBytes } from '../service.ts';

/** What may go at once after a pause, in ms of the rate: little enough to be smooth, more than timers are late. */
const burstMs = 100;

/** A message at a limited rate lasts so many ms … */
const pieceMs = 50;

/** … and has at least so many bytes: a head is 20. */
const pieceBytesMin = 2048;

/** Bytes of one message at a rate: the largest without a limit. */
export function pieceBytesAt(bytesPerSecond: number): number {
  if (bytesPerSecond === Number.POSITIVE_INFINITY) return bulkMessageBytes;
  return Math.min(bulkMessageBytes, Math.max(pieceBytesMin, Math.floor((bytesPerSecond * pieceMs) / 1000)));
}

/**
 * A token bucket that may be overdrawn: who comes while anything is in it takes all he wants, and the next waits until that is paid back. Time
 * is an argument (monotonic ms); one that runs backwards counts as standing still.
 */
export class RateBucket {
  #rate: number;
  #level: number;
  #atMs: number;

  /** Full. Bytes a second; Infinity for no limit. */
  constructor(bytesPerSecond: number, nowMs: number) {
    this.#rate = bytesPerSecond;
    this.#level = this.#burst;
    this.#atMs = nowMs;
  }

  get rate(): number {
    return this.#rate;
  }

  /** Another rate from now on; what is owed is owed in time, not in bytes, so that a higher rate is felt at once. */
  setRate(bytesPerSecond: number, nowMs: number): void {
    if (bytesPerSecond === this.#rate) return;
    this.#fill(nowMs);
    const { isFinite } = Number;
    const share =
      this.#level < 0 && isFinite(this.#rate) && isFinite(bytesPerSecond) ? this.#level / this.#rate : 0;
    this.#rate = bytesPerSecond;
    this.#level = share < 0 ? share * bytesPerSecond : Math.min(Math.max(this.#level, 0), this.#burst);
  }

  /** Takes bytes, whether or not they are there. */
  spend(bytes: number, nowMs: number): void {
    if (this.#rate === Number.POSITIVE_INFINITY) return;
    this.#fill(nowMs);
    this.#level -= bytes;
  }

  /** Ms until somebody may take from it; 0 for now. */
  waitMs(nowMs: number): number {
    if (this.#rate === Number.POSITIVE_INFINITY) return 0;
    this.#fill(nowMs);
    return this.#level > 0 ? 0 : ((1 - this.#level) / this.#rate) * 1000;
  }

  get #burst(): number {
    return this.#rate === Number.POSITIVE_INFINITY ? 0 : Math.max(1, (this.#rate * burstMs) / 1000);
  }

  #fill(nowMs: number): void {
    if (nowMs > this.#atMs && this.#rate !== Number.POSITIVE_INFINITY)
      this.#level = Math.min(this.#burst, this.#level + ((nowMs - this.#atMs) * this.#rate) / 1000);
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}
