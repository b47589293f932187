import { rowCountMax } from '../../base/limits.ts';
import { isKithError, messageOf } from '../../base/errors.ts';
import type { KnownPack } from '../../catalog/catalog-state.ts';
import type { LogEntry } from '../../catalog/log-book.ts';
import { idKey, toHex } from '../../base/bytes.ts';
import { encodePlacementRecord, type Placement } from '../../format/ledger-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import type { Census, CountedShard } from './census.ts';
import { idBytes, type KnownHolder, type Session } from '../session.ts';

/** Placement records that are written at once. */
const recordBatch = 256;

/**
 * Makes sure of shards that holders list and the ledger doesn't place there: an operation that died may have put them
 * and never heard that they are durable. They are made so before anything is built on them, and placed in the ledger where it knows the pack. Those
 * of a holder that fails at it don't count.
 */
export async function settleUnrecorded(session: Session, census: Census): Promise<void> {
  const found = new Map<KnownHolder, { packId: Uint8Array; index: number }[]>();
  const unrecorded = (packId: Uint8Array): CountedShard[] => {
    const pack = session.state.pack(packId);
    return census
      .good(packId)
      .filter(
        ({ index, keeper }) =>
          index < (pack?.manifest.roots.length ?? rowCountMax) &&
          pack?.hints.get(index)?.has(keeper.id) !== true,
      );
  };
  for (const packId of census.packIds()) {
    for (const { index, keeper } of unrecorded(packId)) {
      const refs = found.get(keeper) ?? [];
      refs.push({ packId, index });
      found.set(keeper, refs);
    }
  }
  for (const [keeper, refs] of found) {
    try {
      await keeper.holder.settle(refs);
    } catch (error) {
      if (!isKithError(error)) throw error;
      session.problem({ item: keeper.name, message: messageOf(error), code: error.code });
      for (const { packId, index } of refs) census.disregard(packId, index, keeper, messageOf(error));
    }
  }
  const refs = [...found.values()].flat();
  const packIds = new Map(refs.map(({ packId }) => [idKey(packId), packId]));
  await recordPlacements(session, packIds.values(), unrecorded);
}

async function recordPlacements(
  session: Session,
  packIds: Iterable<Uint8Array>,
  unrecorded: (packId: Uint8Array) => CountedShard[],
): Promise<void> {
  let records: LogEntry[] = [];
  for (const packId of packIds) {
    const pack = session.state.pack(packId);
    if (pack === undefined) continue;
    const fresh = unrecorded(packId);
    if (fresh.length === 0) continue;
    const placements = fresh.map(({ index, keeper }) => ({
      shardIndex: index,
      holderId: idBytes(keeper.id),
    }));
    records.push(...placementEntries(session, pack, placements));
    if (records.length < recordBatch) continue;
    await session.logs.append(logRoles.ledger, records);
    records = [];
  }
  await session.logs.append(logRoles.ledger, records);
}

/**
 * Records of where shards of a pack were found or put. A placement replaces what was known of its indices, so what the
 * ledger says of them is said again, but for holders that are known not to have them (`gone`). A record takes
 * rowCountMax placements: indices are shared out over several, and what one index has beyond it is left out. They are hints.
 */
export function placementEntries(
  session: Session,
  pack: KnownPack,
  placed: readonly Placement[],
  gone: (shardIndex: number, holderId: string) => boolean = () => false,
): LogEntry[] {
  const byIndex = new Map<number, Set<string>>();
  for (const { shardIndex, holderId } of placed) {
    const holders = byIndex.get(shardIndex) ?? new Set<string>();
    byIndex.set(shardIndex, holders.add(toHex(holderId)));
  }
  const batches: Placement[][] = [];
  for (const [shardIndex, holders] of byIndex) {
    for (const id of pack.hints.get(shardIndex) ?? []) if (!gone(shardIndex, id)) holders.add(id);
    const all = [...holders].slice(0, rowCountMax).map((id) => ({ shardIndex, holderId: idBytes(id) }));
    const last = batches.at(-1);
    if (last !== undefined && last.length + all.length <= rowCountMax) last.push(...all);
    else batches.push(all);
  }
  const { packId } = pack.manifest;
  const atNs = session.surroundings.clock.nowNs();
  return batches.map((placements) => ({
    kind: recordKinds.placement,
    body: encodePlacementRecord({ packId, placements, atNs }),
  }));
}
