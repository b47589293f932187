import { setMaxListeners } from 'node:events';
import { throwIfAborted } from '../../base/concurrency.ts';
import { KithError } from '../../base/errors.ts';
import type { Holder, HolderLogs } from '../../holders/holder.ts';

/**
 * What a friend answers, or KithError `holder-unavailable` once it took longer than that, however much it keeps trickling in. A drive has
 * as long as it takes. What comes too late is dropped; the signal that `ask` gets fires then, and when `signal` does, so that it need
 * not come at all.
 */
export async function inTime<T>(
  holder: Holder,
  msMax: number,
  ask: (signal: AbortSignal | undefined) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (holder.kind === 'drive') return await ask(signal);
  const callOff = new AbortController();
  const onAbort = (): void => callOff.abort(signal?.reason);
  if (signal?.aborted === true) onAbort();
  else if (signal !== undefined) listenAmongMany(signal, onAbort);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const details = { holder: holder.id, foreign: false };
      const error = new KithError('holder-unavailable', `${holder.name} took too long to answer`, {
        details,
      });
      reject(error);
      callOff.abort(error);
    }, msMax);
  });
  try {
    return await Promise.race([ask(callOff.signal), late]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * A friend whose every answer about logs and the key record is due in time, and is no longer waited for once the signal fires: one that
 * trickles holds up nobody else. What it does with shards is left as it is. A drive is returned itself.
 */
export function promptLogs(holder: Holder, msMax: number, signal: AbortSignal | undefined): Holder {
  if (holder.kind === 'drive') return holder;
  const soon = <T>(ask: () => Promise<T>): Promise<T> =>
    unlessAborted(signal, () => inTime(holder, msMax, ask));
  const { id, kind, name, household } = holder;
  const logs: HolderLogs = {
    list: () => soon(() => holder.logs.list()),
    putSegment: (logKey, firstIndex, bytes) => soon(() => holder.logs.putSegment(logKey, firstIndex, bytes)),
    getSegment: (logKey, firstIndex) => soon(() => holder.logs.getSegment(logKey, firstIndex)),
  };
  return {
    id,
    kind,
    name,
    household,
    logs,
    getKeyRecord: () => soon(() => holder.getKeyRecord()),
    putKeyRecord: (bytes) => soon(() => holder.putKeyRecord(bytes)),
    check: () => holder.check(),
    room: () => holder.room(),
    reserve: (bytes) => holder.reserve(bytes),
    put: (shard, reservation, stop) => holder.put(shard, reservation, stop),
    get: (ref, firstLeaf, leafCount, options) => holder.get(ref, firstLeaf, leafCount, options),
    stat: (ref) => holder.stat(ref),
    manifest: (ref) => holder.manifest(ref),
    inventory: (options) => holder.inventory(options),
    verify: (ref) => holder.verify(ref),
    delete: (ref) => holder.delete(ref),
    settle: (refs) => holder.settle(refs),
  };
}

/** KithError `interrupted` as soon as the signal fires; what comes later is dropped. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> {
  throwIfAborted(signal);
  if (signal === undefined) return await ask();
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(new KithError('interrupted', 'interrupted; run the same command again to go on'));
    listenAmongMany(signal, onAbort);
  });
  try {
    return await Promise.race([ask(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Many questions that are under way listen to one signal: Node would take more than ten for a leak, and say so on stderr. */
function listenAmongMany(signal: AbortSignal, onAbort: () => void): void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', onAbort, { once: true });
}
