import type { Manifest } from '../../format/manifest.ts';
import { automaticSpread, parseSpread, type Spread } from '../../placement/spread.ts';
import type { Session } from '../session.ts';

/** The spread in force: the option, else the setting, else by the number of drives and friends. */
export function spreadInForce(session: Session, option?: Spread): Spread {
  if (option !== undefined) return option;
  const setting = session.settings.value('spread');
  if (setting !== 'auto') return parseSpread(setting);
  return automaticSpread(session.holders().filter((keeper) => !keeper.whole).length);
}

/**
 * Rows of a pack that belong with holders. That is n; of a pack kept once, from when there was one place, its spare rows
 * as well: as many as the spread allows to lose, and as were signed (docs/decisions/0040-what-was-kept-once.md).
 */
export function rowsWanted({ k, n, roots }: Pick<Manifest, 'k' | 'n' | 'roots'>, spread: Spread): number {
  return n > k ? n : Math.max(n, Math.min(roots.length, k + spread.n - spread.k));
}
