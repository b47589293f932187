import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { readonly type: 'minor' }) => void;

let collect: Collect | undefined;

/**
 * Has the calling thread's garbage collector look at objects that died young, about a millisecond. Native packages give bytes out as small
 * objects that hold large memory; the collector sees the small objects, so that hundreds of MB pile up before it looks by itself.
 * What it finds is freed in the next turn of the event loop.
 */
export function collectYoung(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as Collect;
  }
  collect({ type: 'minor' });
}

/** Percent by which a heap may grow after each collection until the next. */
const growthPercent = 10;

/**
 * Has all threads' collectors of old objects run before a heap has grown by a tenth. By itself V8 lets one grow to up to four times of what lives in
 * it, and memory is bounded per process here: of three threads' heaps most was dead (docs/workers.md). No cost in time was found.
 */
export function collectOften(): void {
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}
