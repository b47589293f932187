import { idKey } from '../base/bytes.ts';
import { adoptUnknown, completeIndex, type Adoption } from './adopt.ts';
import { BlobReader } from './blob-reader.ts';
import { Census } from './census.ts';
import { packHealth, readableParts } from './health.ts';
import { noteSeen } from './seen.ts';
import type { KnownDrive, Session } from './session.ts';
import { settleUnrecorded } from './settle-shards.ts';
import type { Problem } from './types.ts';

/** What an operation that reads the vault starts from. */
export interface Prepared {
  readonly here: readonly KnownDrive[];
  readonly away: readonly { readonly drive: KnownDrive; readonly reason: string }[];
  readonly reader: BlobReader;
  readonly census: Census;
}

/** Looks which holders are here, lists what they have, and completes the index from them. Writes nothing but the home's cache. */
export async function prepareRead(
  session: Session,
  onProblem: (problem: Problem) => void,
  signal?: AbortSignal,
): Promise<Prepared> {
  const { here, away } = await session.reachable();
  const { census, failed } = await Census.take(here, onProblem, { signal, damage: session.damage });
  const present = here.filter((drive) => !failed.includes(drive));
  const gone = [...away, ...failed.map((drive) => ({ drive, reason: 'it failed while it was listed' }))];
  const reader = new BlobReader(
    session,
    present,
    gone.map(({ drive }) => drive),
    onProblem,
    census,
  );
  await completeIndex(session, reader, signal);
  session.index.setAside(unreadablePacks(session, census));
  session.index.setSecond(packsKeptOnce(session).values());
  return { here: present, away: gone, reader, census };
}

/** Packs of which fewer than k shards are here, by the census: what else has their blobs is read instead. */
function* unreadablePacks(session: Session, census: Census): Generator<Uint8Array, void, undefined> {
  for (const { manifest } of session.state.packs()) {
    if (session.queue.has(manifest.packId)) continue;
    const indices = new Set(readableParts(census, manifest).map((shard) => shard.index));
    if (indices.size < manifest.k) yield manifest.packId;
  }
}

/** The same for an operation that writes: logs are exchanged first, and packs that a dead backup left behind are taken in. */
export async function prepareWrite(
  session: Session,
  onProblem: (problem: Problem) => void,
  signal?: AbortSignal,
): Promise<Prepared & { readonly adopted: Adoption }> {
  const { here } = await session.reachable();
  await session.exchangeLogs(here.map((drive) => drive.holder));
  session.loadDrives();
  await noteSeen(session, here);
  const prepared = await prepareRead(session, onProblem, signal);
  await settleUnrecorded(session, prepared.census);
  const adopted = await adoptUnknown(session, prepared.census, prepared.reader, signal);
  return { ...prepared, adopted };
}

/** Packs that no loss spares, by id key: any part of them that goes takes all of it along. */
export function packsKeptOnce(session: Session): Map<string, Uint8Array> {
  const once = new Map<string, Uint8Array>();
  for (const { manifest } of session.state.packs()) {
    if (manifest.n === manifest.k) once.set(idKey(manifest.packId), manifest.packId);
  }
  return once;
}

/**
 * Takes packs that are lost for good (fewer than k shards left with anybody) out of the index, so that a backup stores their blobs again
 * while the source still has them. Returns how many.
 */
export function dropLostPacks(session: Session, census: Census): number {
  let dropped = 0;
  for (const pack of session.state.packs()) {
    if (!session.index.hasPack(pack.manifest.packId) || !packHealth(session, census, pack).lost) continue;
    session.index.removePack(pack.manifest.packId);
    dropped++;
  }
  return dropped;
}

/** The least that any of some packs survives, by the census; null when one can't be restored now. */
export function tolerancesOf(
  session: Session,
  census: Census,
  used: ReadonlySet<string> | undefined,
): { tolerates: number | null; offsite: number | null; shardsMissing: number; packs: number } {
  let tolerates = Number.POSITIVE_INFINITY;
  let offsite = Number.POSITIVE_INFINITY;
  let restorable = true;
  let offsiteRestorable = true;
  let shardsMissing = 0;
  let packs = 0;
  for (const pack of session.state.packs()) {
    if (used !== undefined && !used.has(idKey(pack.manifest.packId))) continue;
    const health = packHealth(session, census, pack);
    packs++;
    shardsMissing += health.missing.length;
    if (health.tolerates === undefined) restorable = false;
    else tolerates = Math.min(tolerates, health.tolerates);
    if (health.offsiteTolerates === undefined) offsiteRestorable = false;
    else offsite = Math.min(offsite, health.offsiteTolerates);
  }
  const finite = (value: number, ok: boolean): number | null => (ok && Number.isFinite(value) ? value : null);
  return {
    tolerates: finite(tolerates, restorable),
    offsite: finite(offsite, offsiteRestorable),
    shardsMissing,
    packs,
  };
}
