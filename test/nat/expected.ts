import type { Cell, Outcome } from './cell.ts';
import type { Kind } from './places.ts';

/** What a pair must reach in the end; better is fine. */
export type Reach = 'none' | 'relay' | 'punched' | 'direct';

const ranks: readonly Reach[] = ['none', 'relay', 'punched', 'direct'];

/** Routers that give one port to all destinations. */
const cones: readonly Kind[] = ['cone', 'lan'];

/** Those that everybody can dial, over TCP where no UDP passes: a forwarded port is in the card (net.announce). */
const reached: readonly Kind[] = ['open', 'forwarded'];

/** By what the routers do. */
export function expectedOf({ a, b, friend }: Cell): Reach {
  if (reached.includes(a) || reached.includes(b)) return 'direct';
  if (a === 'lan' && b === 'lan') return 'direct';
  if (!friend) return 'none';
  return cones.includes(a) && cones.includes(b) ? 'punched' : 'relay';
}

/** What is wrong with an outcome, in words; undefined where nothing is. */
export function faultOf({ cell, ways, words }: Outcome): string | undefined {
  const expected = expectedOf(cell);
  const via = (ways.at(-1)?.via ?? 'none') as Reach;
  // An open device is found by key as well as by address: whichever is quicker.
  const wanted = expected === 'direct' && via === 'punched' ? 'punched' : expected;
  if (ranks.indexOf(via) < ranks.indexOf(wanted)) return `${via} instead of ${wanted}`;
  if (via !== 'none') return undefined;
  const told = ['direct', 'dht', 'relay'].every((way) =>
    words.some((line) => line.startsWith(`${way}: `) && line.length > way.length + 10),
  );
  return told ? undefined : `nothing useful is said of why: ${words.join('; ')}`;
}
