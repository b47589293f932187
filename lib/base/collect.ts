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

/** Percent by which a heap may grow after each collection until the next, once the process is large. */
const growthPercent = 10;
const largeBytes = 256 * 1024 * 1024;
/** Calls between two looks at the process's memory, which cost some 6 µs each. */
const callsBetweenLooks = 32;

let calls = 0;
let isOften = false;

/**
 * To be called now and then while threads work: once the process has taken 256 MiB, has all threads' collectors of old objects run before a heap has
 * grown by a tenth. By itself V8 lets one grow to as much as four times of what lives in it, and memory is bounded per process here
 * (docs/workers.md). Not from the start: while heaps are small a tenth is soon grown, and work that ends small would pay a fifth of its time for nothing.
 */
export function collectOftenOnceLarge(): void {
  if (isOften || calls++ % callsBetweenLooks !== 0 || process.memoryUsage.rss() < largeBytes) return;
  isOften = true;
  setFlagsFromString(`--heap-growing-percent=${growthPercent}`);
}
