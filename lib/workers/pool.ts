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
  | { readonly started: true }
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

const threadModule: URL = new URL('./thread.js', import.meta.url);

/** One thread; calls are answered in the order in which they were made. */
export class WorkThread {
  readonly #worker: Worker;
  /** Resolves when it can take jobs, or with why it never will. */
  readonly started: Promise<KithError | undefined>;
  #onStarted: (error: KithError | undefined) => void = () => undefined;
  readonly #calls = new Map<number, PendingCall>();
  readonly #onNotice: (notice: unknown) => void;
  #next = 0;
  #ended: KithError | undefined;

  /** Throws what Node does where there are no more threads. */
  constructor(start: ThreadStart, onNotice: (notice: unknown) => void, module: string | URL = threadModule) {
    this.#onNotice = onNotice;
    this.started = new Promise((resolve) => (this.#onStarted = resolve));
    this.#worker = new Worker(module, {
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
    if ('started' in message) {
      this.#onStarted(undefined);
      return;
    }
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
    this.#onStarted(this.#ended);
  }
}

/** What a pool of threads is made with. */
export interface WorkPoolOptions {
  readonly kind: WorkKind;
  readonly threads: number;
  /** What each thread gets at its start, by its number. */
  readonly setup: (number: number) => unknown;
  readonly onNotice?: (notice: unknown, thread: number) => void;
  /** What threads run: thread.ts unless given. */
  readonly module?: URL | undefined;
}

/** Several threads of one kind. Its owner closes it, whatever happens. */
export class WorkPool {
  readonly #threads: WorkThread[] = [];
  readonly #starting: Promise<KithError | undefined>;
  #isStarting = true;
  #closed = false;

  /** Begins to start threads; `started` says what became of that. */
  constructor(options: WorkPoolOptions) {
    this.#starting = this.#start(options);
  }

  async #start({ kind, threads, setup, onNotice, module }: WorkPoolOptions): Promise<KithError | undefined> {
    let failure: unknown;
    try {
      for (let number = 0; number < threads; number++) {
        const start = { kind, setup: setup(number) };
        this.#threads.push(new WorkThread(start, (notice) => onNotice?.(notice, number), module));
      }
    } catch (error) {
      // The system gives no more of them: it goes on with those that there are.
      failure = error;
    }
    const all = [...this.#threads];
    const ends = await Promise.all(all.map((thread) => thread.started));
    for (const [i, end] of ends.entries()) {
      failure ??= end;
      const thread = all[i];
      if (end !== undefined && thread !== undefined) this.#threads.splice(this.#threads.indexOf(thread), 1);
    }
    this.#isStarting = false;
    if (this.#threads.length > 0) return undefined;
    return new KithError('failed', `no worker thread could be started (${messageOf(failure)})`, {
      cause: failure,
    });
  }

  /**
   * Resolves once each thread has started or failed to; those that failed, or died of it, are left out. Undefined if there are any, else
   * why there are none, KithError `failed`: then nothing that was given to the pool was begun. KithError `interrupted` is thrown where it was closed meanwhile.
   */
  async started(): Promise<KithError | undefined> {
    const failure = await this.#starting;
    if (this.#closed) throw new KithError('interrupted', 'the threads were ended');
    return failure;
  }

  /** Those that take jobs. */
  get threads(): readonly WorkThread[] {
    return this.#threads;
  }

  /** The thread with the fewest calls before it. */
  get idlest(): WorkThread {
    let best = this.threads[0];
    for (const thread of this.threads) if (best === undefined || thread.waiting < best.waiting) best = thread;
    if (best === undefined) throw new KithError('internal', 'a pool without threads');
    return best;
  }

  /** Gives a job to the thread with the fewest, once they have started. Throws what `started` gives where there are none. */
  async call(job: unknown, transfer?: readonly ArrayBuffer[]): Promise<unknown> {
    const failure = this.#isStarting ? await this.started() : undefined;
    if (failure !== undefined) throw failure;
    collectOftenOnceLarge();
    return await this.idlest.call(job, transfer);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}
