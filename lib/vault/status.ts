import { idKey } from '../base/bytes.ts';
import { countOf, formatSize, listOf } from '../base/units.ts';
import { noRoomHere } from '../base/refusals.ts';
import { verdictOf } from '../placement/verdict.ts';
import { allHolders, holderNoun, untilBack, type HolderCounts } from '../placement/words.ts';
import { friendInfos } from './friends/friend-info.ts';
import type { PackHealth } from './shards/health.ts';
import { newDevices } from './devices/new-devices.ts';
import { driveInfos } from './holders/drives.ts';
import {
  healthOfPacks,
  neededByAll,
  needsOf,
  type HealthByPack,
  type SnapshotNeeds,
} from './repair/needed.ts';
import { prepareRead, type Prepared } from './read/prepare.ts';
import type { Session } from './session.ts';
import { allSnapshots, type FoundSnapshot } from './read/snapshots.ts';
import { spreadInForce } from './shards/spread-in-force.ts';
import type { StatusResult } from './types.ts';

/** How a snapshot stands, and what it needs; undefined for one that waits. */
interface SnapshotHealth {
  readonly shown: StatusResult['snapshots'][number];
  readonly lost: boolean;
  readonly needs: SnapshotNeeds | undefined;
}

/** How the vault stands, by listings made now. Reads the trees of every snapshot, once in a session while all is well. */
export async function status(session: Session): Promise<StatusResult> {
  const prepared = await prepareRead(session, (problem) => session.problem(problem));
  const { census, away } = prepared;
  const health = healthOfPacks(session, census);
  const found = await allSnapshots(session);
  const snapshots: SnapshotHealth[] = [];
  for (const snapshot of found) snapshots.push(await snapshotHealth(session, prepared, health, snapshot));
  const counts = countsOf(session);
  const drives = await driveInfos(session.drives(), census);
  const friends = await friendInfos(session, session.friends(), census);
  const published = snapshots.filter(({ shown }) => shown.state !== 'pending');
  const needed = neededByAll(published.flatMap(({ needs }) => needs ?? []));
  const all = [...health].filter(([key]) => needed?.has(key) !== false).map(([, pack]) => pack);
  const tolerates = least(all.map((pack) => pack.tolerates));
  const offsite = least(all.map((pack) => pack.offsiteTolerates));
  const waitingBytes = await session.queue.usedBytes();
  const inForce = spreadInForce(session);
  const disowning = whoDisowns(session);
  const { verdict, sentence, reasons, nextStep } = verdictOf({
    ...counts,
    away: away.map(({ keeper, reason }) => ({
      kind: keeper.kind,
      name: keeper.name,
      withoutRoom: reason.includes(noRoomHere),
    })),
    snapshotCount: published.length,
    pendingCount: snapshots.length - published.length,
    notRestorableNow: published.filter(({ shown }) => !shown.restorable).length,
    lost: published.filter((snapshot) => snapshot.lost).length,
    tolerates,
    wanted: least(all.map((pack) => pack.rows - pack.place.spread.k)),
    weakest: weakestOf(published.map(({ shown }) => shown)),
    inForce: inForce.n - inForce.k,
    shardsMissing: all.reduce((sum, pack) => sum + pack.missing.length, 0),
  });
  const survivesHomeLoss = published.length > 0 && offsite !== null;
  return {
    verdict,
    sentence,
    reasons: [
      ...disownedReasons(disowning),
      ...reasons,
      ...homeReasons(published.length, survivesHomeLoss),
      ...waitingReasons(session.queue.size, waitingBytes, counts),
      ...meteredReasons(session),
      ...openingReasons(session),
      ...(await newsOf(session)),
      ...(await newDevices(session)),
    ],
    // While anybody still takes this computer for one of ours, the word of another is no reason to leave what else is to be done.
    nextStep: disowning.length > 0 && friends.every(({ online }) => !online) ? disownedStep : nextStep,
    lastComplete:
      found.filter(({ pending, snapshot }) => !pending && !snapshot.partial).at(-1)?.snapshot.timeNs ?? null,
    lastDrill: null,
    tolerates: published.length === 0 ? null : tolerates,
    offsiteTolerates: published.length === 0 ? null : offsite,
    survivesHomeLoss,
    id: session.id,
    name: session.name,
    listen: session.network.listen,
    standing: session.network.standing?.() ?? null,
    friends,
    drives,
    snapshots: snapshots.map(({ shown }) => shown),
    waitingPacks: session.queue.size,
    waitingBytes,
  };
}

/** Published snapshots that survive less than some other does, in words: `3f9a1c22 of 2026-11-22`. */
function weakestOf(snapshots: readonly SnapshotHealth['shown'][]): string[] {
  const grade = ({ restorable, tolerates }: SnapshotHealth['shown']): number =>
    restorable ? (tolerates ?? 0) : -1;
  const worst = Math.min(...snapshots.map(grade));
  const weakest = snapshots.filter((snapshot) => grade(snapshot) === worst);
  if (weakest.length === snapshots.length) return [];
  return weakest.map(({ id, timeNs }) => {
    const date = new Date(Number(timeNs / 1_000_000n));
    return Number.isNaN(date.getTime())
      ? id.slice(0, 8)
      : `${id.slice(0, 8)} of ${date.toISOString().slice(0, 10)}`;
  });
}

/** Names of friends who take this computer for none of ours any more: whoever revoked it may not have reached it. */
function whoDisowns(session: Session): string[] {
  return session
    .friends()
    .filter(({ id }) => session.network.presence(id).disowned === true)
    .map(({ name }) => `"${name}"`);
}

function disownedReasons(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const take = names.length === 1 ? 'takes' : 'take';
  return [
    `${listOf(names, 'and')} no longer ${take} this computer for one of yours: it was probably revoked.`,
  ];
}

const disownedStep =
  'kith device list, on another computer of yours, says whether it was. Then make this one anew: kith device link there, and here kith --home NEW-FOLDER device join LINK';

function homeReasons(published: number, survives: boolean): string[] {
  if (published === 0 || survives) return [];
  return [
    'A fire or theft at home may take everything: as far as kith knows, no complete copy is elsewhere. Add friends, or say where a disk lives with --household.',
  ];
}

/** While a line costs by the byte some things wait that wouldn't otherwise. */
function meteredReasons(session: Session): string[] {
  if (session.settings.value('net.metered') !== 'yes') return [];
  return [
    'This line counts as metered: kith repairs nothing by itself. When it no longer is: kith config set net.metered no',
  ];
}

/** Loaded only where an invite was ever made: it brings a list of words along. */
async function newsOf(session: Session): Promise<string[]> {
  if (session.state.invites().length === 0) return [];
  const { inviteNews } = await import('./invites/invite-news.ts');
  return await inviteNews(session);
}

/** What opening this home met: it may be why a snapshot or a disk isn't shown. */
function openingReasons(session: Session): string[] {
  const [first] = session.openingProblems;
  if (first === undefined) return [];
  const more = session.openingProblems.length - 1;
  return [
    `Something is wrong with what this computer keeps for itself: ${first.item}: ${first.message}${more > 0 ? ` (and ${more} more)` : ''}. ` +
      'What is shown may be incomplete. `kith check` says what is wrong; `kith repair` takes from your disks and friends what they have of it.',
  ];
}

function waitingReasons(packs: number, bytes: number, counts: HolderCounts): string[] {
  if (packs === 0) return [];
  return [`${formatSize(bytes)} wait on this computer for ${allHolders(counts)} that can take them.`];
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
    const words = `waits for ${allHolders(countsOf(session))}: not safe yet`;
    return { shown: notRestorable(words), lost: false, needs: undefined };
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
    const shown = {
      ...base,
      tolerates,
      restorable,
      health: `restorable; ${survives(tolerates, countsOf(session))}`,
    };
    return { shown, lost, needs };
  }
  const waits = needs.waits && needs.missingBlobs === 0 && !lost;
  const words = waits
    ? `parts of it wait for ${allHolders(countsOf(session))}: not safe yet`
    : notNow(session, prepared, packs, lost);
  return { shown: notRestorable(words), lost, needs };
}

/** True if some holder, or some pack that isn't lost, can't be looked into now. */
function mayBeElsewhere(session: Session, prepared: Prepared, health: HealthByPack): boolean {
  if (prepared.away.length > 0 || prepared.census.inPart.length > 0) return true;
  for (const { manifest } of session.state.packs()) {
    if (!session.index.hasPack(manifest.packId) && health.get(idKey(manifest.packId))?.lost !== true)
      return true;
  }
  return false;
}

function countsOf(session: Session): HolderCounts {
  return { drives: session.drives().length, friends: session.friends().length };
}

function survives(tolerates: number | null, counts: HolderCounts): string {
  const { one, many } = holderNoun(counts);
  if (tolerates === null || tolerates === 0) return `no ${one} may be lost`;
  return `any ${countOf(tolerates, one, many)} may be lost`;
}

/** Why a snapshot can't be restored now, with the names of those who would unlock it. */
function notNow(session: Session, prepared: Prepared, packs: readonly PackHealth[], lost: boolean): string {
  if (lost) return 'parts of it are lost: kith check names them';
  const ids = new Set(
    packs
      .filter((pack) => pack.tolerates === undefined)
      .flatMap((pack) => pack.place.shards)
      .flatMap((shard) => (shard.state === 'suspect' && shard.holderId !== null ? [shard.holderId] : [])),
  );
  const named = [...ids].flatMap((id) => session.holder(id) ?? []);
  const missed = named.length > 0 ? named : prepared.away.map(({ keeper }) => keeper);
  return missed.length === 0
    ? 'parts of it can’t be read: kith check names them'
    : `not restorable until ${untilBack(missed)}`;
}
