/** Adds up how long each stage of a pipeline took, for the bench. Stages that run at once count each. */
export class Stages {
  readonly #milliseconds = new Map<string, number>();

  add(stage: string, milliseconds: number): void {
    this.#milliseconds.set(stage, (this.#milliseconds.get(stage) ?? 0) + milliseconds);
  }

  /** Runs a synchronous step on the stage's account. */
  run<T>(stage: string, step: () => T): T {
    const start = performance.now();
    try {
      return step();
    } finally {
      this.add(stage, performance.now() - start);
    }
  }

  /** Runs an asynchronous step on the stage's account; waiting counts. */
  async wait<T>(stage: string, step: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await step();
    } finally {
      this.add(stage, performance.now() - start);
    }
  }

  /** Passes items on, with the time that each took to come on the stage's account. */
  async *each<T>(stage: string, items: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    let start = performance.now();
    for await (const item of items) {
      this.add(stage, performance.now() - start);
      yield item;
      start = performance.now();
    }
    this.add(stage, performance.now() - start);
  }

  /** Milliseconds by stage. */
  report(): Record<string, number> {
    return Object.fromEntries(this.#milliseconds);
  }
}
