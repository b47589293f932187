import { KithError } from './errors.ts';

/** Throws KithError `interrupted` if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new KithError('interrupted', 'interrupted; run the same command again to go on');
}

/**
 * Runs `work` on each item, at most `limit` at a time, in order of the input.
 * After the first failure no further item is begun; it is thrown once those under way have ended.
 */
export async function forEachLimited<T>(
  items: Iterable<T>,
  limit: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failure: { error: unknown } | undefined;
  let index = 0;
  async function lane(): Promise<void> {
    while (failure === undefined) {
      try {
        const next = iterator.next();
        if (next.done === true) return;
        await work(next.value, index++);
      } catch (error) {
        failure ??= { error };
      }
    }
  }
  await Promise.all(Array.from({ length: limit >= 1 ? limit : 1 }, lane));
  if (failure !== undefined) throw failure.error;
}

/** Like forEachLimited, with the results in the order of the input. */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  await forEachLimited(items.entries(), limit, async ([index, item]) => {
    results[index] = await work(item, index);
  });
  return results;
}

/** A number of permits that callers take and give back; those who wait are served in order. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(permits: number) {
    this.#free = permits;
  }

  /** Resolves with a function that gives the permit back. */
  async acquire(): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    };
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.acquire();
    try {
      return await work();
    } finally {
      release();
    }
  }
}

/**
 * Tasks that are under way, for whoever waits for the next of them to end, however often: each task is listened to once. What
 * Promise.race leaves behind stays with a task that goes on until that ends.
 */
export class TaskSet {
  readonly #tasks = new Set<Promise<unknown>>();
  #waiting: (() => void)[] = [];

  get size(): number {
    return this.#tasks.size;
  }

  /** Takes a task until it ends. What it rejects with is dropped here: that is the caller's to take care of. */
  add(task: Promise<unknown>): void {
    this.#tasks.add(task);
    const ended = (): void => {
      this.#tasks.delete(task);
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
    task.then(ended, ended);
  }

  /** Resolves when the next task has ended, in whatever way; at once if there is none. */
  async oneEnded(): Promise<void> {
    if (this.#tasks.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when all tasks that are under way now have ended. */
  async allEnded(): Promise<void> {
    await Promise.allSettled(this.#tasks);
  }
}

/**
 * Work that any number of callers may share, such as a look at a marker or a flush of a folder: each gets a run that began no
 * earlier than it asked. One run is under way at a time; all who ask meanwhile share the one after it, and its error.
 */
export class SharedWork<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<T> | undefined;
  #next: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  /** True while nobody waits for it. */
  get idle(): boolean {
    return this.#running === undefined;
  }

  run(): Promise<T> {
    if (this.#next === undefined && this.#running === undefined) return this.#begin();
    const begin = (): Promise<T> => this.#begin();
    this.#next ??= (this.#running ?? Promise.resolve()).then(begin, begin);
    return this.#next;
  }

  #begin(): Promise<T> {
    this.#next = undefined;
    const running = this.#work().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
