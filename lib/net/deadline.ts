/**
 * Runs `work` with a signal of its own, which fires with the reason of the first of `signals` that does, or with what
 * `late` makes when `ms` have passed. The work has to heed it: this waits for it in any case.
 */
export async function withDeadline<T>(
  ms: number,
  signals: readonly AbortSignal[],
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late()), ms);
  const listeners = signals.map((signal) => {
    const forward = (): void => controller.abort(signal.reason);
    if (signal.aborted) forward();
    else signal.addEventListener('abort', forward, { once: true });
    return () => signal.removeEventListener('abort', forward);
  });
  try {
    controller.signal.throwIfAborted();
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    for (const remove of listeners) remove();
  }
}

/** Settles as `promise` does, or rejects with the signal's reason if that comes first. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let remove = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    const fail = (): void => reject(signal.reason);
    remove = () => signal.removeEventListener('abort', fail);
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    remove();
  }
}
