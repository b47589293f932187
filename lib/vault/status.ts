import { idKey } from '../base/bytes.ts';
import { isKithError } from '../base/errors.ts';
import { countOf, formatSize } from '../base/units.ts';
import { verdictOf } from '../placement/verdict.ts';
import { packHealth, type PackHealth } from './health.ts';
import { driveInfo } from './drives.ts';
import { prepareRead, type Prepared } from './prepare.ts';
import type { Session } from './session.ts';
import { listOf } from './shard-reader.ts';
import { packsOf } from './snapshot-check.ts';
import { allSnapshots, type FoundSnapshot } from './snapshots.ts';
import type { DriveInfo, StatusResult } from './types.ts';

/** How a snapshot stands. `packs` are those that it needs; undefined where that can't be told now. */
interface SnapshotHealth {
  readonly shown: StatusResult['snapshots'][number];
  readonly lost: boolean;
  readonly packs: readonly PackHealth[] | undefined;
}

/** How the vault stands, by listings made now. Reads trees only where some pack is below its policy. */
export async function status(session: Session): Promise<StatusResult> {
  const prepared = await prepareRead(session, (problem) => session.problem(problem));
  const health = new Map<string, PackHealth>();
  for (const pack of session.state.packs())
    health.set(idKey(pack.manifest.packId), packHealth(session, prepared.census, pack));
  const found = await allSnapshots(session);
  const snapshots: SnapshotHealth[] = [];
  for (const snapshot of found) snapshots.push(await snapshotHealth(session, prepared, health, snapshot));
  const drives: DriveInfo[] = [];
  for (const drive of session.drives()) drives.push(await driveInfo(drive));
  const published = snapshots.filter(({ shown }) => shown.state !== 'pending');
  const all = neededBy(published, health);
  const tolerates = least(all.map((pack) => pack.tolerates));
  const offsite = least(all.map((pack) => pack.offsiteTolerates));
  const waitingBytes = await session.queue.usedBytes();
  const { verdict, sentence, reasons, nextStep } = verdictOf({
    driveCount: drives.length,
    awayNames: prepared.away.map(({ drive }) => drive.name),
    snapshotCount: published.length,
    pendingCount: snapshots.length - published.length,
    notRestorableNow: published.filter(({ shown }) => !shown.restorable).length,
    lost: published.filter((snapshot) => snapshot.lost).length,
    tolerates,
    wanted: least(all.map((pack) => pack.place.spread.n - pack.place.spread.k)),
    shardsMissing: all.reduce((sum, pack) => sum + pack.missing.length, 0),
  });
  const survivesHomeLoss = published.length > 0 && offsite !== null;
  return {
    verdict,
    sentence,
    reasons: [
      ...reasons,
      ...homeReasons(published.length, survivesHomeLoss),
      ...waitingReasons(session.queue.size, waitingBytes),
    ],
    nextStep,
    lastComplete:
      found.filter(({ pending, snapshot }) => !pending && !snapshot.partial).at(-1)?.snapshot.timeNs ?? null,
    lastDrill: null,
    tolerates: published.length === 0 ? null : tolerates,
    offsiteTolerates: published.length === 0 ? null : offsite,
    survivesHomeLoss,
    id: session.id,
    name: session.name,
    drives,
    snapshots: snapshots.map(({ shown }) => shown),
    waitingPacks: session.queue.size,
    waitingBytes,
  };
}

/**
 * The packs that published snapshots need. A lost pack whose blobs were stored again is needed by none, and takes
 * nothing from what can be restored.
 */
function neededBy(
  published: readonly SnapshotHealth[],
  health: ReadonlyMap<string, PackHealth>,
): readonly PackHealth[] {
  const needed = new Set<PackHealth>();
  for (const { packs } of published) {
    if (packs === undefined) return [...health.values()];
    for (const pack of packs) needed.add(pack);
  }
  return published.length === 0 ? [...health.values()] : [...needed];
}

function homeReasons(published: number, survives: boolean): string[] {
  if (published === 0 || survives) return [];
  return [
    'A fire or theft at home may take everything: as far as kith knows, no complete copy is elsewhere. Say where a disk lives with --household.',
  ];
}

function waitingReasons(packs: number, bytes: number): string[] {
  return packs === 0 ? [] : [`${formatSize(bytes)} wait on this computer for disks that can take them.`];
}

/** The least of some tolerances; null where one can't be restored, or there are none. */
function least(values: readonly (number | undefined)[]): number | null {
  let result = Number.POSITIVE_INFINITY;
  for (const value of values) {
    if (value === undefined) return null;
    result = Math.min(result, value);
  }
  return Number.isFinite(result) ? result : null;
}

async function snapshotHealth(
  session: Session,
  prepared: Prepared,
  health: ReadonlyMap<string, PackHealth>,
  { id, snapshot, pending }: FoundSnapshot,
): Promise<SnapshotHealth> {
  const state = pending ? 'pending' : snapshot.partial ? 'partial' : 'complete';
  const base = { id, timeNs: snapshot.timeNs, state } as const;
  if (pending) {
    const words = 'waits for disks: not safe yet';
    const shown = { ...base, tolerates: null, restorable: false, health: words };
    return { shown, lost: false, packs: undefined };
  }
  const uneven = new Set([...health.values()].map((pack) => pack.tolerates)).size > 1;
  let packs = [...health.values()];
  let missingBlobs = 0;
  if (uneven) {
    try {
      const used = await packsOf(session, prepared.reader, snapshot.root);
      packs = [...used.packs.keys()].map((key) => health.get(key)).filter((pack) => pack !== undefined);
      missingBlobs = used.missingBlobs;
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      const lost = packs.some((pack) => pack.lost);
      const words = notNow(prepared, packs, lost);
      return {
        shown: { ...base, tolerates: null, restorable: false, health: words },
        lost,
        packs: undefined,
      };
    }
  }
  const tolerates = least(packs.map((pack) => pack.tolerates));
  // Blobs may be in packs that are away, and of which this home has no directory.
  const gone = missingBlobs > 0 && !mayBeElsewhere(session, health);
  const lost = gone || packs.some((pack) => pack.lost);
  const restorable = missingBlobs === 0 && packs.every((pack) => pack.tolerates !== undefined);
  const words = restorable ? `restorable; ${survives(tolerates)}` : notNow(prepared, packs, lost);
  const shown = { ...base, tolerates: restorable ? tolerates : null, restorable, health: words };
  return { shown, lost, packs: missingBlobs === 0 ? packs : undefined };
}

/** True if some pack that isn't lost can't be looked into now. */
function mayBeElsewhere(session: Session, health: ReadonlyMap<string, PackHealth>): boolean {
  for (const { manifest } of session.state.packs()) {
    if (!session.index.hasPack(manifest.packId) && health.get(idKey(manifest.packId))?.lost !== true)
      return true;
  }
  return false;
}

function survives(tolerates: number | null): string {
  if (tolerates === null || tolerates === 0) return 'no disk may be lost';
  return `any ${countOf(tolerates, 'disk')} may be lost`;
}

function notNow(prepared: Prepared, packs: readonly PackHealth[], lost: boolean): string {
  if (lost) return 'parts of it are lost';
  const away = new Set(
    packs
      .filter((pack) => pack.tolerates === undefined)
      .flatMap((pack) =>
        pack.place.shards.filter((shard) => shard.state === 'suspect').map((shard) => shard.holder ?? ''),
      ),
  );
  const names = [...away].filter((name) => name !== '').sort();
  const fallback = prepared.away.map(({ drive }) => drive.name);
  return `not restorable until ${listOf(names.length > 0 ? names : fallback, 'or')} is back`;
}
