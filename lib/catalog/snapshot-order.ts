import { toHex } from '../base/bytes.ts';
import type { Snapshot } from '../format/snapshot.ts';

interface Ordered<T> {
  readonly item: T;
  readonly timeNs: bigint;
  readonly depth: number;
}

/**
 * Snapshots in the order in which they were made, oldest first, as far as it can be told (docs/decisions/0019): by their times, but a
 * snapshot comes after its parent whatever the clock said, and a time that still lies ahead is none: such a one stands just before
 * the first that was made on top of it, or where there is none, at the end.
 */
export function orderSnapshots<T extends { readonly id: string; readonly snapshot: Snapshot }>(
  snapshots: readonly T[],
  nowNs: bigint,
): T[] {
  const byTime = snapshots.toSorted((a, b) => compare(a.snapshot.timeNs, b.snapshot.timeNs, a.id, b.id));
  const known = new Map(byTime.map((item) => [item.id, item]));
  const times = new Map<T, bigint>();
  const depths = new Map<T, number>();
  /** Latest time of a line up to here that isn't ahead: what stands on it, even on one from the future, isn't earlier. */
  const floors = new Map<T, bigint>();
  // An id is the hash of what names the parent, so a line of parents ends.
  const lineOf = (item: T): T[] => {
    const line: T[] = [];
    for (let at: T | undefined = item; at !== undefined && !times.has(at); at = parentOf(at, known))
      line.push(at);
    return line;
  };
  const settle = (item: T): void => {
    for (const one of lineOf(item).toReversed()) {
      const parent = parentOf(one, known);
      depths.set(one, parent === undefined ? 0 : (depths.get(parent) ?? 0) + 1);
      const own = one.snapshot.timeNs;
      const isPast = own <= nowNs;
      const before = parent === undefined ? undefined : floors.get(parent);
      const time = isPast && before !== undefined && before > own ? before : own;
      times.set(one, time);
      const floor = isPast ? time : before;
      if (floor !== undefined) floors.set(one, floor);
    }
  };
  for (const item of byTime) settle(item);
  // From children to parents: what lies ahead is put back to the earliest that stands on it.
  const deepestFirst = byTime.toSorted((a, b) => (depths.get(b) ?? 0) - (depths.get(a) ?? 0));
  const earliestChild = new Map<T, bigint>();
  for (const item of deepestFirst) {
    let time = times.get(item) ?? item.snapshot.timeNs;
    if (item.snapshot.timeNs > nowNs) time = earliestChild.get(item) ?? nowNs;
    times.set(item, time);
    const parent = parentOf(item, known);
    if (parent === undefined) continue;
    const before = earliestChild.get(parent);
    if (before === undefined || time < before) earliestChild.set(parent, time);
  }
  const ordered: Ordered<T>[] = byTime.map((item) => ({
    item,
    timeNs: times.get(item) ?? item.snapshot.timeNs,
    depth: depths.get(item) ?? 0,
  }));
  return ordered
    .sort(
      (a, b) =>
        compare(a.timeNs, b.timeNs, '', '') ||
        a.depth - b.depth ||
        compare(a.item.snapshot.timeNs, b.item.snapshot.timeNs, a.item.id, b.item.id),
    )
    .map(({ item }) => item);
}

function parentOf<T extends { readonly snapshot: Snapshot }>(
  item: T,
  known: ReadonlyMap<string, T>,
): T | undefined {
  return item.snapshot.parent === undefined ? undefined : known.get(toHex(item.snapshot.parent));
}

function compare(aNs: bigint, bNs: bigint, aId: string, bId: string): number {
  if (aNs !== bNs) return aNs < bNs ? -1 : 1;
  return aId < bId ? -1 : aId > bId ? 1 : 0;
}
