import type { Clock } from '../../lib/base/clock.ts';
import type { Timers } from '../../lib/daemon/scheduler.ts';

/** Time that passes only when a test says so. */
export class FakeTime implements Clock, Timers {
  #nowMs = 0;
  #waiting: { readonly atMs: number; readonly work: () => void }[] = [];

  nowNs(): bigint {
    return BigInt(this.#nowMs) * 1_000_000n;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  readonly after = (ms: number, work: () => void): (() => void) => {
    const entry = { atMs: this.#nowMs + ms, work };
    this.#waiting.push(entry);
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== entry);
    };
  };

  /** Lets so much time pass, timer by timer, each time until everything that can run has run. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await this.settle();
      const [next] = this.#waiting.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#waiting = this.#waiting.filter((other) => other !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.work();
    }
    this.#nowMs = endMs;
    await this.settle();
  }

  /** Until all promises that can go on have gone on. */
  async settle(): Promise<void> {
    for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
  }
}
