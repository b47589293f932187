import { join } from 'node:path';
import { idKey, toHex } from '../../base/bytes.ts';
import { isKithError } from '../../base/errors.ts';
import { rowCountMax } from '../../base/limits.ts';
import { openRecord, sealRecord } from '../../crypto/aead.ts';
import { deriveKey } from '../../crypto/hash.ts';
import { writeDurably } from '../../disk/write-durably.ts';
import { encodePackRecord, type Placement } from '../../format/ledger-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import {
  decodePending,
  encodePending,
  pendingBytesMax,
  pendingHead,
  splitPending,
} from '../../format/pending-snapshot.ts';
import type { Manifest } from '../../format/manifest.ts';
import { logRoles } from '../../format/segment.ts';
import { decodeSnapshot, snapshotId, type Snapshot } from '../../format/snapshot.ts';
import type { CodedShard } from '../../pipeline/coded-pack.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import type { Census, CountedShard } from './census.ts';
import { checkShard } from './check-shard.ts';
import { packHealth } from './health.ts';
import { idBytes, type Session } from '../session.ts';
import { rebuildShards } from '../repair/rebuild.ts';
import { packsOf } from '../read/snapshot-check.ts';
import type { ShardPlacer } from './shard-placer.ts';

/** A snapshot that waits for packs. */
export interface PendingSnapshot {
  readonly id: string;
  readonly snapshot: Snapshot;
  readonly bytes: Uint8Array;
  /** Packs that it needs and that had fewer than k acknowledged shards when it was made. */
  readonly packs: readonly Uint8Array[];
}

function folderOf(session: Session): string {
  return join(session.home, 'pending');
}

function keyOf(session: Session): Uint8Array {
  return deriveKey('localState', session.device.deviceSecretKey);
}

/** Keeps a snapshot in the home until its packs are safe; durable when it returns. */
export async function savePending(
  session: Session,
  bytes: Uint8Array,
  packs: readonly Uint8Array[],
): Promise<void> {
  const { disk, random } = session.surroundings;
  await session.queue.settle(packs);
  const head = pendingHead();
  const plain = encodePending({ snapshot: bytes, packs });
  await disk.makeFolder(folderOf(session), 0o700);
  await writeDurably(disk, {
    tempFolder: join(session.home, 'tmp'),
    path: join(folderOf(session), toHex(snapshotId(bytes))),
    parts: [head, sealRecord(keyOf(session), head, plain, random)],
    mode: 0o600,
  });
}

/** Snapshots that wait, oldest first. One that doesn't open is reported and left where it is. */
export async function loadPending(session: Session): Promise<PendingSnapshot[]> {
  return (await readPending(session)).pending;
}

/** The same, and how many could not be read. */
async function readPending(session: Session): Promise<{ pending: PendingSnapshot[]; unread: number }> {
  const { disk } = session.surroundings;
  const pending: PendingSnapshot[] = [];
  let unread = 0;
  for (const entry of (await disk.list(folderOf(session))) ?? []) {
    if (!/^[0-9a-f]{64}$/.test(entry.name)) continue;
    try {
      const bytes = await disk.readWhole(join(folderOf(session), entry.name), pendingBytesMax);
      // Published meanwhile, by an operation that runs beside this one.
      if (bytes === undefined) continue;
      const found = openPending(session, bytes);
      if (found?.id === entry.name) {
        pending.push(found);
        continue;
      }
      unread++;
      session.problem({
        item: `pending/${entry.name.slice(0, 8)}`,
        message: 'does not open; left out',
        code: 'damaged',
      });
    } catch (error) {
      if (!isKithError(error)) throw error;
      unread++;
      session.problem({
        item: `pending/${entry.name.slice(0, 8)}`,
        message: error.message,
        code: error.code,
      });
    }
  }
  pending.sort((a, b) => (a.snapshot.timeNs < b.snapshot.timeNs ? -1 : 1));
  return { pending, unread };
}

function openPending(session: Session, bytes: Uint8Array): PendingSnapshot | undefined {
  const plain = openRecord(keyOf(session), pendingHead(), splitPending(bytes));
  if (plain === undefined) return undefined;
  const { snapshot, packs } = decodePending(plain);
  return { id: toHex(snapshotId(snapshot)), snapshot: decodeSnapshot(snapshot), bytes: snapshot, packs };
}

/** What going on with waiting packs achieved. */
export interface ResumeResult {
  readonly packsPlaced: number;
  readonly snapshotsPublished: number;
  readonly bytesSent: number;
  /** Shards that were placed anew. */
  readonly shardsPlaced: number;
}

/** Places what waits in the queue, as far as holders take it, and publishes snapshots whose packs are all safe now. */
export async function resumePending(
  session: Session,
  placer: ShardPlacer,
  census: Census,
  reader: BlobReader,
): Promise<ResumeResult> {
  let packsPlaced = 0;
  let bytesSent = 0;
  let shardsPlaced = 0;
  const spoilt: Uint8Array[] = [];
  const neededNow = await neededByPending(session);
  if (neededNow !== undefined) await session.queue.dropHalfTaken(neededNow);
  for (const { manifest, manifestBytes } of session.queue.packs()) {
    const held = await soundShards(session, census, manifest);
    const have = new Set(held.map((shard) => shard.index));
    // What a --whole drive keeps comes on top of the n.
    const placedRows = new Set(held.filter((shard) => !shard.keeper.whole).map((shard) => shard.index));
    const wanted = manifest.roots
      .map((_, row) => row)
      .filter((row) => row < manifest.n && !placedRows.has(row));
    let shards: CodedShard[];
    try {
      shards = await rebuildShards(reader, manifest, wanted);
    } catch (error) {
      if (!isKithError(error, 'not-restorable', 'damaged')) throw error;
      // What waited here went bad. Files that need it are read again by the next backup, since the blobs count as unknown now.
      session.holdBack(manifest.packId);
      spoilt.push(manifest.packId);
      session.problem({ item: 'waiting data', message: error.message, code: error.code });
      continue;
    }
    const result = await placer.place(
      {
        packId: manifest.packId,
        k: manifest.k,
        class: manifest.class,
        keyEpoch: manifest.keyEpoch,
        manifest: manifestBytes,
      },
      shards,
      new Set(held.map((shard) => shard.keeper.id)),
    );
    bytesSent += result.bytesSent;
    shardsPlaced += result.placed.length;
    for (const { shardIndex, holderId } of result.placed) {
      const keeper = session.holder(toHex(holderId));
      if (keeper !== undefined) census.markHeld(manifest.packId, shardIndex, keeper);
      have.add(shardIndex);
    }
    if (have.size < manifest.k) continue;
    const placements: Placement[] = [
      ...result.placed,
      ...held.map((shard) => ({ shardIndex: shard.index, holderId: idBytes(shard.keeper.id) })),
    ].slice(0, rowCountMax);
    const body = encodePackRecord({ manifest: manifestBytes, placements });
    await session.logs.append(logRoles.ledger, [{ kind: recordKinds.pack, body }]);
    await session.queue.remove(manifest.packId);
    packsPlaced++;
  }
  const snapshotsPublished = await publishReady(session, census, reader);
  await dropUnneeded(session, spoilt);
  return { packsPlaced, bytesSent, shardsPlaced, snapshotsPublished };
}

/**
 * Keys of packs that pending snapshots name and that are in no ledger record yet; undefined while one of them can't be read: then
 * nobody knows, and nothing that waits may go.
 */
async function neededByPending(session: Session): Promise<ReadonlySet<string> | undefined> {
  const { pending, unread } = await readPending(session);
  if (unread > 0) return undefined;
  const named = pending.flatMap(({ packs }) => [...packs]);
  return new Set(named.filter((packId) => session.state.pack(packId) === undefined).map(idKey));
}

/**
 * Shards of a pack that holders have and whose every byte was read and is right: the copy that waits here is given up for them, so a
 * listing isn't enough.
 */
async function soundShards(session: Session, census: Census, manifest: Manifest): Promise<CountedShard[]> {
  const sound: CountedShard[] = [];
  for (const shard of census.good(manifest.packId)) {
    const { index, keeper } = shard;
    if (index >= manifest.n) continue;
    try {
      const { state } = await checkShard(session, keeper, manifest, index, { everyLeaf: true });
      if (state === 'good') sound.push(shard);
      else census.markDamaged(manifest.packId, index, keeper, state);
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      session.problem({ item: keeper.name, message: error.message, code: error.code });
    }
  }
  return sound;
}

/** Takes packs that went bad out of the queue, unless a snapshot still waits for what was in them. */
async function dropUnneeded(session: Session, spoilt: readonly Uint8Array[]): Promise<void> {
  if (spoilt.length === 0) return;
  const needed = await neededByPending(session);
  if (needed === undefined) return;
  for (const packId of spoilt) if (!needed.has(idKey(packId))) await session.queue.remove(packId);
}

/** Whether a snapshot may be published now, waits for packs in the queue, or neither: something that it needs isn't there. */
export type Readiness =
  | { readonly state: 'ready' }
  | { readonly state: 'waiting'; readonly packs: readonly Uint8Array[] }
  | { readonly state: 'incomplete' };

/**
 * The commit rule: a snapshot is published only when every pack that it needs is in the ledger, with k acknowledged shards, and isn't lost.
 * Reads its trees.
 */
export async function readinessOf(
  session: Session,
  census: Census,
  reader: BlobReader,
  snapshot: Snapshot,
): Promise<Readiness> {
  let needed: Awaited<ReturnType<typeof packsOf>>;
  try {
    needed = await packsOf(reader, snapshot.root);
  } catch (error) {
    if (!isKithError(error) || error.code === 'interrupted') throw error;
    return { state: 'incomplete' };
  }
  if (needed.missingBlobs > 0) return { state: 'incomplete' };
  const packs = [...needed.packs.values()];
  for (const packId of packs) {
    if (session.queue.has(packId)) continue;
    const pack = session.state.pack(packId);
    if (pack === undefined || packHealth(session, census, pack).lost) return { state: 'incomplete' };
  }
  const waiting = packs.filter((packId) => session.queue.has(packId));
  return waiting.length > 0 ? { state: 'waiting', packs: waiting } : { state: 'ready' };
}

/** Publishes every pending snapshot that waits for nothing any more. Returns how many. */
async function publishReady(session: Session, census: Census, reader: BlobReader): Promise<number> {
  const { disk } = session.surroundings;
  let published = 0;
  for (const pending of await loadPending(session)) {
    const known = session.state.snapshot(pending.id) !== undefined || session.state.isForgotten(pending.id);
    if (!known) {
      const { state } = await readinessOf(session, census, reader, pending.snapshot);
      if (state !== 'ready') continue;
      await session.logs.append(logRoles.catalog, [{ kind: recordKinds.snapshot, body: pending.bytes }]);
      published++;
    }
    await disk.unlink(join(folderOf(session), pending.id));
    await disk.syncFolder(folderOf(session));
  }
  return published;
}

/** Packs among those used that still wait. */
export function waitingAmong(session: Session, used: ReadonlySet<string>): Uint8Array[] {
  return session.queue
    .packs()
    .filter(({ manifest }) => used.has(idKey(manifest.packId)))
    .map(({ manifest }) => manifest.packId);
}
