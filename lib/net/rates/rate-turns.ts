import { pieceBytesAt, RateBucket } from './rate-bucket.ts';
import type { Timers } from '../timers.ts';

/** Timers are no finer. */
const waitMsMin = 1;

/** Bytes that wait for their turn. */
interface Waiting {
  readonly bytes: number;
  readonly isWanted: () => boolean;
  readonly go: () => void;
}

/** One friend's part of a direction, all devices of the friend together. */
export class RateLane {
  readonly bucket: RateBucket;
  readonly waiting: Waiting[] = [];
  readonly #turns: RateTurns;
  /** Bytes that went, in all. */
  spentBytes = 0;
  /** Up to where its share is used, in bytes that each waiting friend has had. */
  usedUntil = 0;

  constructor(turns: RateTurns, nowMs: number) {
    this.#turns = turns;
    this.bucket = new RateBucket(Number.POSITIVE_INFINITY, nowMs);
  }

  /** The rate that holds here now, bytes a second; Infinity for none. */
  get rate(): number {
    return Math.min(this.bucket.rate, this.#turns.rate);
  }

  /** Bytes to take at once. */
  get pieceBytes(): number {
    return pieceBytesAt(this.rate);
  }

  setRate(bytesPerSecond: number): void {
    this.#turns.setLaneRate(this, bytesPerSecond);
  }

  /**
   * Takes so many bytes: undefined if they may go at once, else resolves when they may. Those that are no longer wanted when their turn
   * comes are let go without being counted.
   */
  take(bytes: number, isWanted: () => boolean): Promise<void> | undefined {
    return this.#turns.take(this, bytes, isWanted);
  }

  /** Counts bytes that don't wait for anything: those after them do. */
  spend(bytes: number): void {
    this.#turns.spend(this, bytes);
  }
}

/**
 * One direction of all bulk: a rate for all friends together and one for each. While several wait, each gets the same bytes as the others,
 * as far as its own rate lets it (start-time fair queueing). Without rates nothing waits, and nothing is kept in time.
 */
export class RateTurns {
  readonly #timers: Timers;
  readonly #total: RateBucket;
  readonly #waiting = new Set<RateLane>();
  #virtual = 0;
  #callOff: (() => void) | undefined;
  #isClosed = false;

  constructor(timers: Timers) {
    this.#timers = timers;
    this.#total = new RateBucket(Number.POSITIVE_INFINITY, timers.nowMs());
  }

  /** For all together, bytes a second. */
  get rate(): number {
    return this.#total.rate;
  }

  setRate(bytesPerSecond: number): void {
    this.#total.setRate(bytesPerSecond, this.#timers.nowMs());
    this.#run();
  }

  setLaneRate(lane: RateLane, bytesPerSecond: number): void {
    lane.bucket.setRate(bytesPerSecond, this.#timers.nowMs());
    this.#run();
  }

  newLane(): RateLane {
    return new RateLane(this, this.#timers.nowMs());
  }

  take(lane: RateLane, bytes: number, isWanted: () => boolean): Promise<void> | undefined {
    if (this.#isClosed || lane.rate === Number.POSITIVE_INFINITY) {
      lane.spentBytes += bytes;
      return undefined;
    }
    return new Promise((resolve) => {
      lane.waiting.push({ bytes, isWanted, go: resolve });
      if (!this.#waiting.has(lane)) {
        this.#waiting.add(lane);
        lane.usedUntil = Math.max(lane.usedUntil, this.#virtual);
      }
      this.#run();
    });
  }

  spend(lane: RateLane, bytes: number): void {
    lane.spentBytes += bytes;
    if (lane.rate === Number.POSITIVE_INFINITY) return;
    const nowMs = this.#timers.nowMs();
    this.#total.spend(bytes, nowMs);
    lane.bucket.spend(bytes, nowMs);
  }

  /** Whatever waits may go, and whatever comes. */
  close(): void {
    this.#isClosed = true;
    this.#callOff?.();
    this.#callOff = undefined;
    for (const lane of this.#waiting) for (const { go } of lane.waiting.splice(0)) go();
    this.#waiting.clear();
  }

  #run(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    for (;;) {
      const nowMs = this.#timers.nowMs();
      const lane = this.#next(nowMs);
      if (typeof lane === 'number') {
        if (lane < Number.POSITIVE_INFINITY)
          this.#callOff = this.#timers.after(Math.max(waitMsMin, lane), () => this.#run());
        return;
      }
      const next = lane.waiting.shift();
      if (lane.waiting.length === 0) this.#waiting.delete(lane);
      if (next === undefined) continue;
      if (next.isWanted()) {
        this.#virtual = Math.max(this.#virtual, lane.usedUntil);
        lane.usedUntil += next.bytes;
        this.spend(lane, next.bytes);
      }
      next.go();
    }
  }

  /** Whose turn it is, or ms until it is somebody's; Infinity if nobody waits. */
  #next(nowMs: number): RateLane | number {
    const totalMs = this.#total.waitMs(nowMs);
    if (totalMs > 0) return this.#waiting.size === 0 ? Number.POSITIVE_INFINITY : totalMs;
    let best: RateLane | undefined;
    let waitMs = Number.POSITIVE_INFINITY;
    for (const lane of this.#waiting) {
      const laneMs = lane.bucket.waitMs(nowMs);
      if (laneMs > 0) waitMs = Math.min(waitMs, laneMs);
      else if (best === undefined || lane.usedUntil < best.usedUntil) best = lane;
    }
    return best ?? waitMs;
  }
}
