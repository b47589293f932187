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
