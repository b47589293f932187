import type { Timers } from '../../lib/net/timers.ts';

/** Timers that fire when a test says that time has passed, in the order in which they are due. */
export class FakeTimers implements Timers {
  #nowMs = 0;
  readonly #due = new Map<symbol, { readonly atMs: number; readonly work: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, work: () => void): () => void {
    const key = Symbol('timer');
    this.#due.set(key, { atMs: this.#nowMs + ms, work });
    return () => void this.#due.delete(key);
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#due.size;
  }

  /** Moves time on, firing what falls due on the way. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#due]
        .filter(([, { atMs }]) => atMs <= untilMs)
        .sort(([, a], [, b]) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      const [key, { atMs, work }] = next;
      this.#due.delete(key);
      this.#nowMs = Math.max(this.#nowMs, atMs);
      work();
    }
    this.#nowMs = untilMs;
  }
}
