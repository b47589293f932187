import { throwIfAborted } from '../../base/concurrency.ts';

/**
 * Bytes on their way to one friend. Those who must wait are served in order; one that is larger than all that is allowed goes
 * alone.
 */
export class InFlight {
  readonly #bytesMax: number;
  #bytes = 0;
  readonly #waiting: { readonly bytes: number; readonly begin: () => void }[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Runs `work` when there is room for its bytes. KithError `interrupted` if the signal fires before it began. */
  async run<T>(bytes: number, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.#enter(bytes, signal);
    try {
      throwIfAborted(signal);
      return await work();
    } finally {
      this.#bytes -= bytes;
      this.#admit();
    }
  }

  async #enter(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    await new Promise<void>((resolve) => {
      const waiting = {
        bytes,
        begin: (): void => {
          signal?.removeEventListener('abort', onAbort);
          this.#bytes += bytes;
          resolve();
        },
      };
      // It is let in at once, and finds that it was called off.
      const onAbort = (): void => {
        const at = this.#waiting.indexOf(waiting);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        waiting.begin();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
      this.#admit();
    });
  }

  #admit(): void {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined) return;
      if (this.#bytes > 0 && this.#bytes + next.bytes > this.#bytesMax) return;
      this.#waiting.shift();
      next.begin();
    }
  }
}
