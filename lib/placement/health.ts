/** A shard that a holder has: its index and the household that it would be lost with. */
export interface HeldShard {
  readonly index: number;
  readonly household: string;
}

/** Above this number of households every combination is too many to try: the bound below takes over. */
const exactHouseholdsMax = 14;

function distinctWithout(shards: readonly HeldShard[], lost: ReadonlySet<string>): number {
  const left = new Set<number>();
  for (const shard of shards) if (!lost.has(shard.household)) left.add(shard.index);
  return left.size;
}

function anyLossBreaks(
  shards: readonly HeldShard[],
  households: readonly string[],
  k: number,
  count: number,
  from: number,
  lost: Set<string>,
): boolean {
  if (count === 0) return distinctWithout(shards, lost) < k;
  for (let i = from; i <= households.length - count; i++) {
    const household = households[i] ?? '';
    lost.add(household);
    const breaks = anyLossBreaks(shards, households, k, count - 1, i + 1, lost);
    lost.delete(household);
    if (breaks) return true;
  }
  return false;
}

/**
 * How many households may be lost, whichever they are, while k different shards remain; undefined when k are not
 * there now. Exact up to 14 households; beyond it a lower bound (the largest households go first, and a
 * shard that two hold counts for the one that is lost).
 */
export function tolerance(shards: readonly HeldShard[], k: number): number | undefined {
  if (distinctWithout(shards, new Set()) < k) return undefined;
  const counts = new Map<string, Set<number>>();
  for (const shard of shards) {
    const indices = counts.get(shard.household) ?? new Set<number>();
    indices.add(shard.index);
    counts.set(shard.household, indices);
  }
  const households = [...counts.keys()].sort(
    (a, b) => (counts.get(b)?.size ?? 0) - (counts.get(a)?.size ?? 0) || (a < b ? -1 : 1),
  );
  if (households.length <= exactHouseholdsMax) {
    let survived = 0;
    while (survived < households.length && !anyLossBreaks(shards, households, k, survived + 1, 0, new Set()))
      survived++;
    return survived;
  }
  let left = distinctWithout(shards, new Set());
  let survived = 0;
  for (const household of households) {
    left -= counts.get(household)?.size ?? 0;
    if (left < k) break;
    survived++;
  }
  return survived;
}

/** The smaller of two tolerances, where undefined (not restorable) is the smallest. */
export function lesserTolerance(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.min(a, b);
}
