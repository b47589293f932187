import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { collectOftenOnceLarge } from '../base/collect.ts';
import { KithError, messageOf } from '../base/errors.ts';
import { errorFromWire, type WireError } from './wire-error.ts';

/** Kinds of work that threads know, each a module of handlers (thread.ts has the table). */
export type WorkKind = 'store' | 'open' | 'check';

/** What a thread is told at its start. */
export interface ThreadStart {
  readonly kind: WorkKind;
  /** The kind's own; structured-cloned, so shared memory stays shared and everything else is copied. */
  readonly setup: unknown;
}

/** A call to a thread. */
export interface CallMessage {
  readonly number: number;
  readonly job: unknown;
}

/** A thread's answer, or what it says by itself while it works on a call. */
export type ThreadMessage =
  | { readonly number: number; readonly result: unknown }
  | { readonly number: number; readonly error: WireError }
  | { readonly notice: unknown };

interface PendingCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Threads more than this gain little: holders and the disk are slower by then. */
const threadsMax = 8;

/** Threads for work that keeps a core busy, by the machine. */
export function defaultThreads(): number {
  return Math.min(threadsMax, availableParallelism());
}

/** A thread's space for objects that die young. */
const youngGenerationMb = 4;

/** One thread; calls are answered in the order in which they were made. */
export class WorkThread {
  readonly #worker: Worker;
  readonly #calls = new Map<number, PendingCall>();
  readonly #onNotice: (notice: unknown) => void;
  #next = 0;
  #ended: KithError | undefined;

  constructor(start: ThreadStart, onNotice: (notice: unknown) => void) {
    this.#onNotice = onNotice;
    this.#worker = new Worker(new URL('./thread.js', import.meta.url), {
      workerData: start,
      // Flags of the parent such as --test or --input-type mean nothing to a thread.
      execArgv: [],
      // Compressed bytes are small objects to the collector and large ones to the system: it must look often.
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMb },
    });
    this.#worker.on('message', (message: ThreadMessage) => this.#hear(message));
    this.#worker.on('error', (error: unknown) => this.#end(error));
    this.#worker.on('exit', (code) => this.#end(`exit ${code}`));
  }

  /** Calls that have no answer yet. */
  get waiting(): number {
    return this.#calls.size;
  }

  /** Gives a job; what comes back is the handler's result. What is in `transfer` is the thread's from then on. */
  call(job: unknown, transfer: readonly ArrayBuffer[] = []): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const number = this.#next++;
    return new Promise((resolve, reject) => {
      this.#calls.set(number, { resolve, reject });
      this.#worker.postMessage({ number, job } satisfies CallMessage, transfer);
    });
  }

  /** Ends the thread at once, whatever it is at. */
  async close(): Promise<void> {
    this.#ended ??= new KithError('interrupted', 'the thread was ended');
    await this.#worker.terminate();
  }

  #hear(message: ThreadMessage): void {
    if ('notice' in message) {
      this.#onNotice(message.notice);
      return;
    }
    const call = this.#calls.get(message.number);
    this.#calls.delete(message.number);
    if ('error' in message) call?.reject(errorFromWire(message.error));
    else call?.resolve(message.result);
  }

  #end(error: unknown): void {
    const why = messageOf(error);
    this.#ended ??= new KithError('internal', `a worker thread ended unexpectedly: ${why}`, { cause: error });
    for (const call of this.#calls.values()) call.reject(this.#ended);
    this.#calls.clear();
  }
}

/** Several threads of one kind. */
export class WorkPool {
  readonly threads: readonly WorkThread[];

  constructor(options: {
    readonly kind: WorkKind;
    readonly threads: number;
    /** What each thread gets at its start, by its number. */
    readonly setup: (number: number) => unknown;
    readonly onNotice?: (notice: unknown, thread: number) => void;
  }) {
    const { kind, setup, onNotice } = options;
    const threads: WorkThread[] = [];
    this.threads = threads;
    try {
      for (let number = 0; number < options.threads; number++) {
        const start = { kind, setup: setup(number) };
        threads.push(new WorkThread(start, (notice) => onNotice?.(notice, number)));
      }
    } catch (error) {
      // The system gives no more of them: those that were started would keep the process alive.
      for (const thread of threads) void thread.close();
      throw error;
    }
  }

  /** The thread with the fewest calls before it. */
  get idlest(): WorkThread {
    let best = this.threads[0];
    for (const thread of this.threads) if (best === undefined || thread.waiting < best.waiting) best = thread;
    if (best === undefined) throw new KithError('internal', 'a pool without threads');
    return best;
  }

  /** Gives a job to the thread with the fewest. */
  call(job: unknown, transfer?: readonly ArrayBuffer[]): Promise<unknown> {
    collectOftenOnceLarge();
    return this.idlest.call(job, transfer);
  }

  async close(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.close()));
  }
}
