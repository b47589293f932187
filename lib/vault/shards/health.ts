import type { KnownPack } from '../../catalog/catalog-state.ts';
import { toHex } from '../../base/bytes.ts';
import { householdOf } from '../../placement/choose.ts';
import { tolerance, type HeldShard } from '../../placement/health.ts';
import type { Manifest } from '../../format/manifest.ts';
import type { Spread } from '../../placement/spread.ts';
import type { Census, CountedShard } from './census.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';
import { rowsWanted, spreadInForce } from './spread-in-force.ts';
import type { PackPlace, ShardPlace } from '../types.ts';

/** What is known of a pack now: its places, and what it survives. */
export interface PackHealth {
  readonly place: PackPlace;
  /** Households that may be lost; undefined when fewer than k shards can be reached. */
  readonly tolerates: number | undefined;
  /** The same, counting only households that aren't at home. */
  readonly offsiteTolerates: number | undefined;
  /**
   * Shards that belong somewhere (`rowsWanted`) and that no holder of the spread has, as far as is known. What a `--whole` drive has
   * is beside the spread: it would hide that a share of everybody else's is gone.
   */
  readonly missing: readonly number[];
  /** How many shards belong somewhere. */
  readonly rows: number;
  /** Shards that only holders have which are away now. */
  readonly awayCount: number;
  /** True if even with everybody back fewer than k shards exist. */
  readonly lost: boolean;
  /**
   * True if fewer than k whole shards are here, but with those of which only some bytes are bad k are: what is bad in
   * one may be good in another.
   */
  readonly salvageable: boolean;
}

/** Where the shards of a pack are, by the census, with the ledger's hints for holders that are away. `spread` is that in force. */
export function packHealth(
  session: Session,
  census: Census,
  pack: KnownPack,
  spread: Spread = spreadInForce(session),
): PackHealth {
  const { manifest, hints } = pack;
  const shards: ShardPlace[] = [];
  const held: HeldShard[] = [];
  const offsite: HeldShard[] = [];
  const known = new Set<number>();
  const away = new Set<number>();
  const placed = new Set<number>();
  const missing: number[] = [];
  const inSpread = spreadMembers(session);
  for (const { index, keeper } of wholeParts(census, manifest)) {
    const household = householdOf(keeper);
    held.push({ index, household });
    if (!isAtHome(keeper)) offsite.push({ index, household });
    known.add(index);
    if (inSpread(keeper)) placed.add(index);
    shards.push({ index, holder: keeper.name, holderId: keeper.id, kind: keeper.kind, state: 'held' });
  }
  // Of a friend with another computer that is away only what was listed is known.
  const here = new Set(census.wholeHolders.map((keeper) => keeper.id));
  const inPart = new Set(census.inPart.map((keeper) => keeper.id));
  for (const [index, ids] of hints) {
    if (index >= manifest.roots.length) continue;
    for (const id of ids) {
      if (session.damage.has(id, manifest.packId, index)) continue;
      const keeper = here.has(id) ? undefined : session.holder(id);
      if (keeper === undefined) continue;
      // One that went away altogether after it was listed lists nothing any more.
      if (inPart.has(id) && census.lists(manifest.packId, index, keeper)) continue;
      away.add(index);
      if (inSpread(keeper)) placed.add(index);
      shards.push({ index, holder: keeper.name, holderId: id, kind: keeper.kind, state: 'suspect' });
    }
  }
  const rows = rowsWanted(manifest, spread);
  for (let index = 0; index < rows; index++) {
    if (placed.has(index)) continue;
    missing.push(index);
    if (known.has(index) || away.has(index)) continue;
    const state = hints.has(index) ? 'lost' : 'missing';
    shards.push({ index, holder: null, holderId: null, kind: null, state });
  }
  shards.sort((a, b) => a.index - b.index || ((a.holder ?? '') < (b.holder ?? '') ? -1 : 1));
  const place = {
    packId: toHex(manifest.packId),
    spread: { k: manifest.k, n: manifest.n },
    generation: manifest.generation,
    shards,
  };
  const tolerates = tolerance(held, manifest.k);
  return {
    place,
    tolerates,
    offsiteTolerates: tolerance(offsite, manifest.k),
    missing,
    rows,
    awayCount: [...away].filter((index) => !known.has(index)).length,
    salvageable:
      tolerates === undefined &&
      new Set(readableParts(census, manifest).map(({ index }) => index)).size >= manifest.k,
    lost: new Set([...known, ...away]).size < manifest.k && !session.queue.has(manifest.packId),
  };
}

/** Shards of a pack that seem whole and can be part of it: a file under an index that its manifest has no root for is a stray. */
export function wholeParts(census: Census, manifest: Manifest): CountedShard[] {
  return census.good(manifest.packId).filter(({ index }) => index < manifest.roots.length);
}

/** Like wholeParts, with those of which only some bytes are bad: what one can't give, another may. */
export function readableParts(census: Census, manifest: Manifest): CountedShard[] {
  return census.readable(manifest.packId).filter(({ index }) => index < manifest.roots.length);
}

/**
 * Tells which holders share the spread. `--whole` drives have everything beside it, unless there are no others: then
 * they are all that a pack is spread over.
 */
export function spreadMembers(session: Session): (keeper: { readonly whole: boolean }) => boolean {
  const onlyWhole = session.holders().every((keeper) => keeper.whole);
  return (keeper) => onlyWhole || !keeper.whole;
}

/**
 * A drive counts as being at home unless it has been given another household: a disk of which nothing was said may well
 * stand beside the computer. A friend lives elsewhere unless told to be at home.
 */
function isAtHome(keeper: Pick<KnownHolder, 'kind' | 'household'>): boolean {
  if (keeper.kind === 'friend') return keeper.household === 'home';
  return keeper.household === undefined || keeper.household === '' || keeper.household === 'home';
}
