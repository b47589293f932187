import { KithError } from '../lib/base/errors.ts';
import type { OnInterrupt } from './command.ts';

/** What SIGINT, SIGTERM and SIGHUP do. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Stops listening. */
  dispose(): void;
}

// npm and some shells pass a Ctrl-C on to a process that has already got it from the terminal: two signals this
// close together are one key press.
const samePressMs = 300;

/**
 * Listens for the signals that ask to end. The first calls `first`, which says whether the command is left to end in
 * good order (then `signal` fires); if not, and at the second, the process exits at once. That is safe: what
 * kith writes is whole at every moment. The status is 130, but 0 for a command that runs until it is told to `end`.
 */
export function listenForInterrupt(first: () => OnInterrupt, nowMs: () => number): Interrupt {
  const controller = new AbortController();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  let firstMs: number | undefined;
  let asked: OnInterrupt = 'exit';
  function onSignal(): void {
    if (firstMs === undefined) {
      firstMs = nowMs();
      asked = first();
      if (asked !== 'exit') {
        controller.abort(new KithError('interrupted', 'interrupted; run the same command again to go on'));
        return;
      }
    } else if (nowMs() - firstMs < samePressMs) {
      return;
    }
    process.exit(asked === 'end' ? 0 : 130);
  }
  for (const signal of signals) process.on(signal, onSignal);
  return {
    signal: controller.signal,
    dispose: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
