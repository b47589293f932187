/** Work that was begun and must have ended before the home is let go: what it writes is nobody's then. */
export class UnderWay {
  readonly #work = new Set<Promise<unknown>>();

  /** Gives back what it was given. */
  add<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work);
    const forget = (): void => void this.#work.delete(work);
    work.then(forget, forget);
    return work;
  }

  /** Resolves when all of it has ended, and what was added meanwhile; never rejects. */
  async ended(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work);
  }
}
