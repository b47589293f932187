import { idKey } from '../../base/bytes.ts';
import { isKithError } from '../../base/errors.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import type { Census } from '../shards/census.ts';
import { packHealth, type PackHealth } from '../shards/health.ts';
import type { Session } from '../session.ts';
import { packsOf, visitBlobs } from '../read/snapshot-check.ts';

/** Health of packs by key of their id. */
export type HealthByPack = ReadonlyMap<string, PackHealth>;

/** The packs that a published snapshot needs. */
export interface SnapshotNeeds {
  /** Keys of packs in the ledger; undefined where the trees can't be read now. */
  readonly packs: ReadonlySet<string> | undefined;
  /** Blobs that no pack has which is known. */
  readonly missingBlobs: number;
  /** True if some blobs are only in packs that wait in this home. */
  readonly waits: boolean;
}

/** What was found whole in a session: it stays so while no pack leaves the ledger. */
interface Found {
  readonly generation: number;
  readonly snapshots: Set<string>;
  readonly folders: Set<string>;
}

const foundWhole = new WeakMap<Session, Found>();

/** The health of every pack in the ledger. */
export function healthOfPacks(session: Session, census: Census): HealthByPack {
  const health = new Map<string, PackHealth>();
  for (const pack of session.state.packs())
    health.set(idKey(pack.manifest.packId), packHealth(session, census, pack));
  return health;
}

/**
 * What a snapshot needs. Where all packs stand alike it is asked only whether some blob is in none of them: its trees are read once in
 * a session, and what snapshots share once for all; every pack then counts as needed.
 */
export async function needsOf(
  session: Session,
  reader: BlobReader,
  health: HealthByPack,
  { id, snapshot }: { readonly id: string; readonly snapshot: Snapshot },
  signal?: AbortSignal,
): Promise<SnapshotNeeds> {
  const all = { packs: new Set(health.keys()), missingBlobs: 0, waits: false };
  const tolerances = new Set([...health.values()].map((pack) => pack.tolerates));
  const even = tolerances.size <= 1;
  if (even && tolerances.has(undefined)) return all;
  try {
    if (even && (await isWhole(session, reader, id, snapshot, signal))) return all;
    const used = await packsOf(reader, snapshot.root, signal);
    const packs = new Set([...used.packs.keys()].filter((key) => health.has(key)));
    return { packs, missingBlobs: used.missingBlobs, waits: packs.size < used.packs.size };
  } catch (error) {
    if (!isKithError(error) || error.code === 'interrupted') throw error;
    return { packs: undefined, missingBlobs: 0, waits: false };
  }
}

async function isWhole(
  session: Session,
  reader: BlobReader,
  id: string,
  snapshot: Snapshot,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { generation } = session.state;
  const before = foundWhole.get(session);
  const found =
    before?.generation === generation
      ? before
      : { generation, snapshots: new Set<string>(), folders: new Set<string>() };
  foundWhole.set(session, found);
  if (found.snapshots.has(id)) return true;
  let whole = true;
  const visit = (packId: Uint8Array | undefined): void => {
    if (packId === undefined || session.state.pack(packId) === undefined) whole = false;
  };
  const folders = await visitBlobs(reader, snapshot.root, visit, { signal, skip: found.folders });
  if (!whole) return false;
  found.snapshots.add(id);
  for (const folder of folders) found.folders.add(folder);
  return true;
}

/**
 * Keys of the packs that snapshots need together; undefined if that can't be told, so that every pack counts. A lost
 * pack whose blobs were stored again is needed by none, and takes nothing from what can be restored.
 */
export function neededByAll(needs: readonly SnapshotNeeds[]): ReadonlySet<string> | undefined {
  const needed = new Set<string>();
  for (const { packs, missingBlobs, waits } of needs) {
    if (packs === undefined || missingBlobs > 0 || waits) return undefined;
    for (const key of packs) needed.add(key);
  }
  return needs.length === 0 ? undefined : needed;
}

/** The same of all published snapshots. Trees are read only while some pack can't be restored. */
export async function neededPacks(
  session: Session,
  reader: BlobReader,
  health: HealthByPack,
  signal?: AbortSignal,
): Promise<ReadonlySet<string> | undefined> {
  if ([...health.values()].every((pack) => pack.tolerates !== undefined)) return undefined;
  const needs: SnapshotNeeds[] = [];
  for (const snapshot of session.state.snapshots())
    needs.push(await needsOf(session, reader, health, snapshot, signal));
  return neededByAll(needs);
}
