import { parentPort, workerData } from 'node:worker_threads';
import type { CallMessage, ThreadMessage, ThreadStart, WorkKind } from './pool.ts';
import { errorToWire } from './wire-error.ts';

/** What a thread does with its jobs. */
export interface WorkHandler {
  /** Works on one job; the next waits until it has resolved. */
  run(job: unknown): unknown;
  /** Told of a job that has come while another is at work: what it will need may be asked for. Must be quick, and not throw. */
  expect?(job: unknown): void;
}

/** A kind's module: makes the handler from what the thread was given at its start. */
export interface WorkModule {
  start(setup: unknown, notice: (notice: unknown) => void): WorkHandler;
}

const modules: Readonly<Record<WorkKind, () => Promise<WorkModule>>> = {
  store: () => import('./store-thread.ts'),
  open: () => import('./open-thread.ts'),
  check: () => import('./check-thread.ts'),
};

/** The main module of every worker thread: answers calls in the order in which they come. */
async function main(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('this module runs in worker threads only');
  const { kind, setup } = workerData as ThreadStart;
  const say = (message: ThreadMessage): void => {
    port.postMessage(message);
  };
  const waiting: CallMessage[] = [];
  let handler: WorkHandler | undefined;
  let busy = false;
  const work = async (): Promise<void> => {
    if (busy || handler === undefined) return;
    busy = true;
    for (let call = waiting.shift(); call !== undefined; call = waiting.shift()) {
      const { number, job } = call;
      try {
        say({ number, result: await handler.run(job) });
      } catch (error) {
        say({ number, error: errorToWire(error) });
      }
      // Native packages give memory back in a turn of the event loop; without one hundreds of MB pile up.
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    busy = false;
  };
  port.on('message', (call: CallMessage) => {
    waiting.push(call);
    if (busy) handler?.expect?.(call.job);
    void work();
  });
  const module = await modules[kind]();
  handler = module.start(setup, (notice) => say({ notice }));
  say({ started: true });
  await work();
}

// Not awaited: see cli/main.ts. What it rejects with ends the thread, and its pool hears of it.
void main();
