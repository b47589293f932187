import type { Problem } from './types.ts';

/** Problems of an opening that are kept; a home with more than these has said enough. */
const keptMax = 256;

/**
 * Where things that go wrong without ending an operation are told: to the operation's own listener, or else to the home's, given when
 * it was opened. What is met while a home without one is opened waits for the first operation that listens; what is then met
 * by an operation that doesn't listen is for nobody, least of all for the next one.
 */
export class ProblemDesk {
  readonly #atHome: ((problem: Problem) => void) | undefined;
  readonly #ofOpening: Problem[] = [];
  #waiting: Problem[] = [];
  #opening = true;
  #listener: ((problem: Problem) => void) | undefined;

  constructor(atHome: ((problem: Problem) => void) | undefined) {
    this.#atHome = atHome;
  }

  readonly tell = (problem: Problem): void => {
    if (this.#opening && this.#ofOpening.length < keptMax) {
      this.#ofOpening.push(problem);
      if (this.#atHome === undefined && this.#listener === undefined) this.#waiting.push(problem);
    }
    (this.#listener ?? this.#atHome)?.(problem);
  };

  /** What the opening met, told or not. */
  get ofOpening(): readonly Problem[] {
    return this.#ofOpening;
  }

  /** The home is open: what nobody listens to is no longer kept. */
  opened(): void {
    this.#opening = false;
  }

  /** Tells a listener what waited, once, and then all that comes until another takes its place, or none. */
  listen(listener: ((problem: Problem) => void) | undefined): void {
    this.#listener = listener;
    if (listener === undefined) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const problem of waiting) listener(problem);
  }
}
