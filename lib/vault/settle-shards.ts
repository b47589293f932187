import { rowCountMax } from '../base/limits.ts';
import { isKithError, messageOf } from '../base/errors.ts';
import type { LogEntry } from '../catalog/log-book.ts';
import { encodePlacementRecord, type Placement } from '../format/ledger-records.ts';
import { recordKinds } from '../format/log-kinds.ts';
import { logRoles } from '../format/segment.ts';
import type { Census, CountedShard } from './census.ts';
import { idBytes, type KnownDrive, type Session } from './session.ts';

/** Placement records that are written at once. */
const recordBatch = 256;

/**
 * Makes sure of shards that holders list and the ledger doesn't place there: an operation that died may have put them
 * and never heard that they are durable. They are made so before anything is built on them, and placed in the ledger where it knows the pack. Those
 * of a holder that fails at it don't count.
 */
export async function settleUnrecorded(session: Session, census: Census): Promise<void> {
  const found = new Map<KnownDrive, { packId: Uint8Array; index: number }[]>();
  const unrecorded = (packId: Uint8Array): CountedShard[] => {
    const hints = session.state.pack(packId)?.hints;
    return census.good(packId).filter(({ index, drive }) => hints?.get(index)?.has(drive.id) !== true);
  };
  for (const packId of census.packIds()) {
    for (const { index, drive } of unrecorded(packId)) {
      const refs = found.get(drive) ?? [];
      refs.push({ packId, index });
      found.set(drive, refs);
    }
  }
  for (const [drive, refs] of found) {
    try {
      await drive.holder.settle(refs);
    } catch (error) {
      if (!isKithError(error)) throw error;
      session.problem({ item: drive.name, message: messageOf(error), code: error.code });
      for (const { packId, index } of refs) census.markDamaged(packId, index, drive, messageOf(error));
    }
  }
  const packIds = new Set([...found.values()].flatMap((refs) => refs.map(({ packId }) => packId)));
  await recordPlacements(session, packIds, unrecorded);
}

async function recordPlacements(
  session: Session,
  packIds: ReadonlySet<Uint8Array>,
  unrecorded: (packId: Uint8Array) => CountedShard[],
): Promise<void> {
  let records: LogEntry[] = [];
  for (const packId of packIds) {
    const pack = session.state.pack(packId);
    if (pack === undefined) continue;
    const fresh = unrecorded(packId);
    if (fresh.length === 0) continue;
    const found = fresh.map(({ index, drive }) => ({ shardIndex: index, holderId: idBytes(drive.id) }));
    // A placement replaces what was known of its indices: what the ledger has of them is said again.
    const known = found.flatMap(({ shardIndex }) =>
      [...(pack.hints.get(shardIndex) ?? [])].map((id) => ({ shardIndex, holderId: idBytes(id) })),
    );
    const placements: Placement[] = [...found, ...known].slice(0, rowCountMax);
    const atNs = session.surroundings.clock.nowNs();
    records.push({ kind: recordKinds.placement, body: encodePlacementRecord({ packId, placements, atNs }) });
    if (records.length < recordBatch) continue;
    await session.logs.append(logRoles.ledger, records);
    records = [];
  }
  await session.logs.append(logRoles.ledger, records);
}
