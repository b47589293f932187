import { idKey } from '../../base/bytes.ts';
import { adoptUnknown, completeIndex, type Adoption } from './adopt.ts';
import { BlobReader } from './blob-reader.ts';
import { Census, expectedFiles } from '../shards/census.ts';
import { packHealth, readableParts, wholeParts } from '../shards/health.ts';
import type { Spread } from '../../placement/spread.ts';
import { noteSeen } from '../holders/seen.ts';
import type { AwayHolder, KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';
import { spreadInForce } from '../shards/spread-in-force.ts';
import { settleUnrecorded } from '../shards/settle-shards.ts';
import type { Problem } from '../types.ts';

/** What an operation that reads the vault starts from. */
export interface Prepared {
  readonly here: readonly KnownHolder[];
  readonly away: readonly AwayHolder[];
  readonly reader: BlobReader;
  readonly census: Census;
}

/** Looks which holders are here, lists what they have, and completes the index from them. Writes nothing but the home's cache. */
export async function prepareRead(
  session: Session,
  onProblem: (problem: Problem) => void,
  signal?: AbortSignal,
): Promise<Prepared> {
  return await prepareFrom(session, await session.reachable(), onProblem, signal);
}

async function prepareFrom(
  session: Session,
  { here, away }: { readonly here: readonly KnownHolder[]; readonly away: readonly AwayHolder[] },
  onProblem: (problem: Problem) => void,
  signal: AbortSignal | undefined,
): Promise<Prepared> {
  const { census, failed } = await Census.take(here, onProblem, {
    signal,
    damage: session.damage,
    expected: expectedFiles((packId) => session.state.pack(packId)),
  });
  const present = here.filter((keeper) => !failed.includes(keeper));
  const gone = [...away, ...failed.map((keeper) => ({ keeper, reason: 'it failed while it was listed' }))];
  const reader = new BlobReader(
    session,
    present,
    gone.map(({ keeper }) => keeper),
    onProblem,
    census,
  );
  await completeIndex(session, reader, signal);
  reader.prefer(
    session.index.order({
      aside: unreadablePacks(session, census),
      second: packsKeptOnce(session, census).values(),
    }),
  );
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
  const holders = here.map((keeper) => keeper.holder);
  const { gone } = await session.exchangeLogs(holders, { signal });
  // A device that was revoked stores nothing more with anybody, not even here for later.
  if (session.logs.stop !== undefined) throw session.logs.stop;
  session.loadHolders();
  // Logs may have named holders that nobody knew here. One that just fell silent would only cost time again.
  const again = await session.reachable();
  const isSilent = ({ kind, id }: KnownHolder): boolean => kind === 'friend' && gone.has(id);
  const answering = again.here.filter((keeper) => !isSilent(keeper));
  const silent = again.here.filter(isSilent).map((keeper) => ({ keeper, reason: 'no answer' }));
  await noteSeen(session, answering);
  const reachable = { here: answering, away: [...again.away, ...silent] };
  const prepared = await prepareFrom(session, reachable, onProblem, signal);
  await settleUnrecorded(session, prepared.census);
  const adopted = await adoptUnknown(session, prepared.census, prepared.reader, signal);
  return { ...prepared, adopted };
}

/** Packs that no loss spares, by id key: any part of them that goes takes all of it along. One with a spare row somewhere is none. */
export function packsKeptOnce(session: Session, census: Census): Map<string, Uint8Array> {
  const once = new Map<string, Uint8Array>();
  for (const { manifest, hints } of session.state.packs()) {
    const { packId, k, n } = manifest;
    if (n > k) continue;
    const isSpare = (index: number): boolean => index >= n && index < manifest.roots.length;
    const hasSpare =
      wholeParts(census, manifest).some(({ index }) => isSpare(index)) || [...hints.keys()].some(isSpare);
    if (!hasSpare) once.set(idKey(packId), packId);
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
    session.holdBack(pack.manifest.packId);
    dropped++;
  }
  return dropped;
}

/** The least that any of some packs survives, by the census; null when one can't be restored now. `spread` as for packHealth. */
export function tolerancesOf(
  session: Session,
  census: Census,
  used: ReadonlySet<string> | undefined,
  spread: Spread = spreadInForce(session),
): { tolerates: number | null; offsite: number | null; shardsMissing: number; packs: number } {
  let tolerates = Number.POSITIVE_INFINITY;
  let offsite = Number.POSITIVE_INFINITY;
  let restorable = true;
  let offsiteRestorable = true;
  let shardsMissing = 0;
  let packs = 0;
  for (const pack of session.state.packs()) {
    if (used !== undefined && !used.has(idKey(pack.manifest.packId))) continue;
    const health = packHealth(session, census, pack, spread);
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
