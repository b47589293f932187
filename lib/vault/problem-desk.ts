import { AsyncLocalStorage } from 'node:async_hooks';
import type { Problem } from './types.ts';

/** Problems of an opening that are kept; a home with more than these has said enough. */
const keptMax = 256;

type Listener = (problem: Problem) => void;

/**
 * Where things that go wrong without ending an operation are told: to the listener of the operation in which they are met, or else to
 * the home's, given when it was opened. Operations run side by side, so whose a problem is goes by the chain of calls, not by time.
 * What is met while a home without a listener is opened waits for the first operation that listens; what is then met by an operation
 * that doesn't listen is for nobody, least of all for the next one.
 */
export class ProblemDesk {
  readonly #atHome: Listener | undefined;
  readonly #ofOpening: Problem[] = [];
  readonly #listeners: AsyncLocalStorage<Listener | undefined> = new AsyncLocalStorage();
  #waiting: Problem[] = [];
  #opening = true;

  constructor(atHome: Listener | undefined) {
    this.#atHome = atHome;
  }

  readonly tell = (problem: Problem): void => {
    const listener = this.#listeners.getStore();
    if (this.#opening && this.#ofOpening.length < keptMax) {
      this.#ofOpening.push(problem);
      if (this.#atHome === undefined && listener === undefined) this.#waiting.push(problem);
    }
    (listener ?? this.#atHome)?.(problem);
  };

  /** What the opening met, told or not. */
  get ofOpening(): readonly Problem[] {
    return this.#ofOpening;
  }

  /** The home is open: what nobody listens to is no longer kept. */
  opened(): void {
    this.#opening = false;
  }

  /** Works; what goes wrong in it is told to the listener, and first, once, what waited. */
  async heardBy<T>(listener: Listener | undefined, work: () => Promise<T>): Promise<T> {
    if (listener !== undefined) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const problem of waiting) listener(problem);
    }
    // Who listens to the home as well hears all that isn't another operation's; and a storage that was never used costs nothing.
    if (listener === this.#atHome && this.#listeners.getStore() === undefined) return await work();
    return await this.#listeners.run(listener, work);
  }

  /** The home is closed. Each storage that was used costs something at every promise of the process, until it is switched off. */
  close(): void {
    this.#listeners.disable();
  }
}
