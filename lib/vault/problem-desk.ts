import type { Problem } from './types.ts';

/** Problems of an opening that are kept for the first who listens; a home with more than these has said enough. */
const keptMax = 256;

/**
 * Where things that go wrong without ending an operation are told. What is met while a home is opened waits for the
 * first operation that listens; what is met by one that doesn't is for nobody, least of all for the next one.
 */
export class ProblemDesk {
  readonly #kept: Problem[] = [];
  #keeps = true;
  #listener: ((problem: Problem) => void) | undefined;

  readonly tell = (problem: Problem): void => {
    if (this.#listener !== undefined) this.#listener(problem);
    else if (this.#keeps && this.#kept.length < keptMax) this.#kept.push(problem);
  };

  /** The home is open: what nobody listens to is no longer kept. */
  opened(): void {
    this.#keeps = false;
  }

  /** Tells a listener what was kept, once, and then all that comes until another takes its place, or none. */
  listen(listener: ((problem: Problem) => void) | undefined): void {
    this.#listener = listener;
    if (listener !== undefined) for (const problem of this.#kept.splice(0)) listener(problem);
  }
}
