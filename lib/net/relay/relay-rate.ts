import type { Timers } from '../timers.ts';

/** How much of a second's bytes may go at once after a pause: small, so that a call of the relay's own isn't held up. */
const burstMs = 250;

/** Somebody who waits for its bytes. */
interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

/**
 * Bytes a second over everything that is relayed. Who asks waits in the order of asking: pipes that ask for one message at a time take
 * turns.
 */
export class RelayRate {
  readonly #timers: Timers;
  readonly #bytesPerSecond: () => number;
  readonly #queue: Waiting[] = [];
  /** Bytes that may go now; below 0 after a message larger than that. */
  #credit = 0;
  #atMs: number;
  #callOff: (() => void) | undefined;

  /** `bytesPerSecond` is asked anew each time; Infinity for no limit. */
  constructor(timers: Timers, bytesPerSecond: () => number) {
    this.#timers = timers;
    this.#bytesPerSecond = bytesPerSecond;
    this.#atMs = timers.nowMs() - burstMs;
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Resolves when so many bytes may go. */
  take(bytes: number): Promise<void> {
    return new Promise((go) => {
      this.#queue.push({ bytes, go });
      this.#run();
    });
  }

  /** Lets all go who wait. */
  close(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    for (const { go } of this.#queue.splice(0)) go();
  }

  #run(): void {
    if (this.#callOff !== undefined) return;
    const rate = Math.max(1, this.#bytesPerSecond());
    if (rate === Number.POSITIVE_INFINITY) {
      for (const { go } of this.#queue.splice(0)) go();
      return;
    }
    const nowMs = this.#timers.nowMs();
    this.#credit = Math.min((rate * burstMs) / 1000, this.#credit + (rate * (nowMs - this.#atMs)) / 1000);
    this.#atMs = nowMs;
    while (this.#queue.length > 0 && this.#credit > 0) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      this.#credit -= next.bytes;
      next.go();
    }
    if (this.#queue.length === 0) return;
    // A setting may change meanwhile: it is looked at again within a second.
    const waitMs = Math.min(1000, Math.max(1, Math.ceil((-this.#credit / rate) * 1000) + 1));
    this.#callOff = this.#timers.after(waitMs, () => {
      this.#callOff = undefined;
      this.#run();
    });
  }
}
