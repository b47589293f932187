import { idKey } from '../base/bytes.ts';
import { countOf, formatSize, listOf } from '../base/units.ts';
import { verdictOf } from '../placement/verdict.ts';
import type { PackHealth } from './health.ts';
import { driveInfo } from './drives.ts';
import { healthOfPacks, neededByAll, needsOf, type HealthByPack, type SnapshotNeeds } from './needed.ts';
import { prepareRead, type Prepared } from './prepare.ts';
import type { Session } from './session.ts';
import { allSnapshots, type FoundSnapshot } from './snapshots.ts';
import type { DriveInfo, StatusResult } from './types.ts';

/** How a snapshot stands, and what it needs; undefined for one that waits. */
interface SnapshotHealth {
  readonly shown: StatusResult['snapshots'][number];
  readonly lost: boolean;
  readonly needs: SnapshotNeeds | undefined;
}

/** How the vault stands, by listings made now. Reads the trees of every snapshot, once in a session while all is well. */
export async function status(session: Session): Promise<StatusResult> {
  const prepared = await prepareRead(session, (problem) => session.problem(problem));
  const health = healthOfPacks(session, prepared.census);
  const found = await allSnapshots(session);
  const snapshots: SnapshotHealth[] = [];
  for (const snapshot of found) snapshots.push(await snapshotHealth(session, prepared, health, snapshot));
  const drives: DriveInfo[] = [];
  for (const drive of session.drives()) drives.push(await driveInfo(drive));
  const published = snapshots.filter(({ shown }) => shown.state !== 'pending');
  const needed = neededByAll(published.flatMap(({ needs }) => needs ?? []));
  const all = [...health].filter(([key]) => needed?.has(key) !== false).map(([, pack]) => pack);
  const tolerates = least(all.map((pack) => pack.tolerates));
  const offsite = least(all.map((pack) => pack.offsiteTolerates));
  const waitingBytes = await session.queue.usedBytes();
  const { verdict, sentence, reasons, nextStep } = verdictOf({
    driveCount: drives.length,
    awayNames: prepared.away.map(({ keeper }) => keeper.name),
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
      ...openingReasons(session),
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
    listen: null,
    friends: [],
    drives,
    snapshots: snapshots.map(({ shown }) => shown),
    waitingPacks: session.queue.size,
    waitingBytes,
  };
}

function homeReasons(published: number, survives: boolean): string[] {
  if (published === 0 || survives) return [];
  return [
    'A fire or theft at home may take everything: as far as kith knows, no complete copy is elsewhere. Say where a disk lives with --household.',
  ];
}

/** What opening this home met: it may be why a snapshot or a disk isn't shown. */
function openingReasons(session: Session): string[] {
  const [first] = session.openingProblems;
  if (first === undefined) return [];
  const more = session.openingProblems.length - 1;
  return [
    `Something is wrong with what this computer keeps for itself: ${first.item}: ${first.message}${more > 0 ? ` (and ${more} more)` : ''}. ` +
      'What is shown may be incomplete. `kith repair` takes from your disks what they have of it.',
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
  health: HealthByPack,
  { id, snapshot, pending }: FoundSnapshot,
): Promise<SnapshotHealth> {
  const state = pending ? 'pending' : snapshot.partial ? 'partial' : 'complete';
  const base = { id, timeNs: snapshot.timeNs, state } as const;
  const notRestorable = (words: string): SnapshotHealth['shown'] => ({
    ...base,
    tolerates: null,
    restorable: false,
    health: words,
  });
  if (pending) {
    return { shown: notRestorable('waits for disks: not safe yet'), lost: false, needs: undefined };
  }
  const needs = await needsOf(session, prepared.reader, health, { id, snapshot });
  const packs = [...health].filter(([key]) => needs.packs?.has(key) !== false).map(([, pack]) => pack);
  // Blobs may be in packs that are away, and of which this home has no directory.
  const gone = needs.missingBlobs > 0 && !mayBeElsewhere(session, prepared, health);
  const lost = gone || packs.some((pack) => pack.lost && !pack.salvageable);
  const tolerates = least(packs.map((pack) => pack.tolerates));
  const restorable =
    needs.packs !== undefined &&
    needs.missingBlobs === 0 &&
    !needs.waits &&
    packs.every((pack) => pack.tolerates !== undefined);
  if (restorable) {
    const shown = { ...base, tolerates, restorable, health: `restorable; ${survives(tolerates)}` };
    return { shown, lost, needs };
  }
  const waits = needs.waits && needs.missingBlobs === 0 && !lost;
  const words = waits ? 'parts of it wait for disks: not safe yet' : notNow(prepared, packs, lost);
  return { shown: notRestorable(words), lost, needs };
}

/** True if some drive, or some pack that isn't lost, can't be looked into now. */
function mayBeElsewhere(session: Session, prepared: Prepared, health: HealthByPack): boolean {
  if (prepared.away.length > 0) return true;
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
  const fallback = prepared.away.map(({ keeper }) => keeper.name);
  const missed = names.length > 0 ? names : fallback;
  if (missed.length === 0) return 'parts of it can’t be read';
  return `not restorable until ${listOf(missed, 'or')} is back`;
}
