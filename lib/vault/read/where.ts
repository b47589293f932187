import type { KnownPack } from '../../catalog/catalog-state.ts';
import { lesserTolerance } from '../../placement/health.ts';
import { packHealth } from '../shards/health.ts';
import { pathUnknown } from './list.ts';
import { prepareRead } from './prepare.ts';
import type { Session } from '../session.ts';
import { packsOf, packsOfEntry } from './snapshot-check.ts';
import { resolveSnapshot } from './snapshots.ts';
import { pathOf, TreeReader } from './tree-reader.ts';
import type { PackPlace, WhereResult } from '../types.ts';

/** Which holder has which shard of what a snapshot, or a path of it, needs: by listings made now. */
export async function where(session: Session, what: string): Promise<WhereResult> {
  const { found, names } = await resolveSnapshot(session, what);
  const { census, reader } = await prepareRead(session, (problem) => session.problem(problem));
  const path = names === undefined || names.length === 0 ? null : pathOf(names);
  const used = new Map<string, Uint8Array>();
  const add = (packs: ReadonlyMap<string, Uint8Array>): void => {
    for (const [key, packId] of packs) used.set(key, packId);
  };
  if (names === undefined || names.length === 0) {
    add((await packsOf(reader, found.snapshot.root)).packs);
  } else {
    const trees = new TreeReader(reader);
    const entry = await trees.at(found.snapshot.root, names);
    if (entry === undefined) throw pathUnknown(names);
    add(await packsOfEntry(reader, entry));
  }
  const packs: PackPlace[] = [];
  let tolerates: number | undefined = Number.POSITIVE_INFINITY;
  for (const packId of used.values()) {
    const pack = session.state.pack(packId) ?? queuedPack(session, packId);
    if (pack === undefined) continue;
    const health = packHealth(session, census, pack);
    packs.push(health.place);
    tolerates = lesserTolerance(tolerates, health.tolerates);
  }
  return {
    snapshotId: found.id,
    path,
    packs,
    tolerates: tolerates === undefined || !Number.isFinite(tolerates) ? null : tolerates,
  };
}

function queuedPack(session: Session, packId: Uint8Array): KnownPack | undefined {
  const queued = session.queue.get(packId);
  return queued === undefined ? undefined : { ...queued, hints: new Map() };
}
