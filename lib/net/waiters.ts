import type { Timers } from './timers.ts';

/** Those who wait for something to be so, and look again whenever they are told that something has changed. */
export class Waiters {
  readonly #timers: Timers;
  readonly #checks = new Set<() => void>();
  #closed = false;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Calls `check` at every change; what it gives ends that. */
  watch(check: () => void): () => void {
    this.#checks.add(check);
    return () => void this.#checks.delete(check);
  }

  /** Something has changed. */
  check(): void {
    for (const check of this.#checks) check();
  }

  /** Resolves when `done` holds, when the time is up, or when all is closed. Throws the signal's reason. */
  async until(done: () => boolean, msMax: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (done() || this.#closed) return;
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void): void => {
        callOff();
        unwatch();
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const onAbort = (): void => end(() => reject(signal?.reason as Error));
      const unwatch = this.watch(() => {
        if (done() || this.#closed) end(resolve);
      });
      const callOff = this.#timers.after(msMax, () => end(resolve));
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Nobody waits any longer. */
  close(): void {
    this.#closed = true;
    this.check();
  }
}
