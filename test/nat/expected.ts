import type { Cell, Outcome } from './cell.ts';
import type { Kind } from './places.ts';

/** What a pair must reach in the end; better is fine. */
export type Reach = 'none' | 'relay' | 'punched' | 'direct';

const ranks: readonly Reach[] = ['none', 'relay', 'punched', 'direct'];

/** Routers that give one port to all destinations. */
const cones: readonly Kind[] = ['cone', 'forwarded', 'lan'];

/** By what the routers do. Nobody tells a device behind a forwarded port its outer address, so that it counts as a cone. */
export function expectedOf({ a, b, friend }: Cell): Reach {
  // Whoever has an address of its own is dialled by the other, over TCP where no UDP passes.
  if (a === 'open' || b === 'open') return 'direct';
  if (a === 'lan' && b === 'lan') return 'direct';
  if (!friend) return 'none';
  return cones.includes(a) && cones.includes(b) ? 'punched' : 'relay';
}

/** What is wrong with an outcome, in words; undefined where nothing is. */
export function faultOf({ cell, ways, words }: Outcome): string | undefined {
  const expected = expectedOf(cell);
  const reached = (ways.at(-1)?.via ?? 'none') as Reach;
  // An open device is found by key as well as by address: whichever is quicker.
  const wanted = expected === 'direct' && reached === 'punched' ? 'punched' : expected;
  if (ranks.indexOf(reached) < ranks.indexOf(wanted)) return `${reached} instead of ${wanted}`;
  if (reached !== 'none') return undefined;
  const told = ['direct', 'dht', 'relay'].every((way) =>
    words.some((line) => line.startsWith(`${way}: `) && line.length > way.length + 10),
  );
  return told ? undefined : `nothing useful is said of why: ${words.join('; ')}`;
}
