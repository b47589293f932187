import { equalBytes, idKey, toHex } from '../../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import { rowCountMax } from '../../base/limits.ts';
import { blobKinds } from '../../format/blob.ts';
import { decodeIndexBlob, type IndexedPack } from '../../format/index-blob.ts';
import { encodePackRecord } from '../../format/ledger-records.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { verifyManifest, type Manifest } from '../../format/manifest.ts';
import type { PackDirectory } from '../../format/pack-directory.ts';
import { logRoles } from '../../format/segment.ts';
import { decodeSnapshot, snapshotId } from '../../format/snapshot.ts';
import type { LogEntry } from '../../catalog/log-book.ts';
import type { BlobReader } from './blob-reader.ts';
import { loadPending, readinessOf, savePending } from '../shards/pending.ts';
import type { Census } from '../shards/census.ts';
import { idBytes, type KnownHolder, type Session } from '../session.ts';

/** Packs whose records are written at once. */
const recordBatch = 64;
/** Fewer packs than this are not worth looking for index blobs. */
const directReadsMax = 8;

/** What adoption found. */
export interface Adoption {
  readonly packs: number;
  readonly snapshots: number;
}

/**
 * Takes in packs that holders have and the ledger doesn't know: a backup died between placing and recording, or the logs are lost.
 * Each is checked from its own manifest and directory.
 * Fewer than k shards of a pack are left alone. Then snapshots that lie in packs and are in no catalog are published, if they are whole.
 */
export async function adoptUnknown(
  session: Session,
  census: Census,
  reader: BlobReader,
  signal?: AbortSignal,
): Promise<Adoption> {
  let batch: { readonly entry: LogEntry; readonly manifest: Manifest }[] = [];
  const flush = async (): Promise<void> => {
    const records = batch;
    batch = [];
    if (records.length === 0) return;
    await session.logs.append(
      logRoles.ledger,
      records.map(({ entry }) => entry),
    );
    const indexed: IndexedPack[] = [];
    for (const { manifest } of records) {
      const directory = await directoryOf(session, reader, manifest);
      if (directory !== undefined) indexed.push({ packId: manifest.packId, directory });
    }
    await session.indexCache.save(indexed);
  };
  let packs = 0;
  for (const packId of census.packIds()) {
    throwIfAborted(signal);
    if (session.state.pack(packId) !== undefined || session.queue.has(packId)) continue;
    const listed = census.good(packId);
    const found = await manifestFrom(session, packId, listed);
    if (found === undefined || isVoid(session, found.manifest)) continue;
    const shards = listed.filter((shard) => shard.index < found.manifest.n);
    if (new Set(shards.map((shard) => shard.index)).size < found.manifest.k) continue;
    const placements = shards
      .slice(0, rowCountMax)
      .map(({ index, keeper }) => ({ shardIndex: index, holderId: idBytes(keeper.id) }));
    const body = encodePackRecord({ manifest: found.bytes, placements });
    batch.push({ entry: { kind: recordKinds.pack, body }, manifest: found.manifest });
    packs++;
    if (batch.length >= recordBatch) await flush();
  }
  await flush();
  return { packs, snapshots: await adoptSnapshots(session, census, reader) };
}

/**
 * True for a pack of a revoked device that none of its records names which still count: whoever has the device now may have made it. While
 * some of those records are not here, it may be one of them that does.
 */
function isVoid(session: Session, { signer: deviceId }: Manifest): boolean {
  if (!session.revoked.has(deviceId)) return false;
  return session.revoked
    .trustedLogs(deviceId)
    .every(({ logKey, trustedLength }) => session.logs.stored.length(logKey) >= trustedLength);
}

async function manifestFrom(
  session: Session,
  packId: Uint8Array,
  shards: readonly { readonly index: number; readonly keeper: KnownHolder }[],
): Promise<{ manifest: Manifest; bytes: Uint8Array } | undefined> {
  for (const { index, keeper } of shards) {
    try {
      const bytes = await keeper.holder.manifest({ packId, index });
      if (bytes === undefined) continue;
      const manifest = verifyManifest(bytes, session.authority.isDevice);
      if (!equalBytes(manifest.packId, packId))
        throw new KithError('malformed', 'a manifest of another pack lies with a shard');
      return { manifest, bytes };
    } catch (error) {
      if (!isKithError(error)) throw error;
      session.problem({ item: keeper.name, message: messageOf(error), code: error.code });
    }
  }
  return undefined;
}

async function directoryOf(
  session: Session,
  reader: BlobReader,
  manifest: Manifest,
): Promise<PackDirectory | undefined> {
  try {
    const directory = await reader.directory(manifest);
    // It may have been taken out while it was read.
    if (session.isHeldBack(manifest.packId)) return undefined;
    session.index.addPack(manifest.packId, directory);
    return directory;
  } catch (error) {
    if (!isKithError(error) || error.code === 'interrupted') throw error;
    session.problem({
      item: `pack ${toHex(manifest.packId).slice(0, 12)}`,
      message: messageOf(error),
      code: error.code,
    });
    return undefined;
  }
}

/**
 * Looks at every snapshot that lies in a known pack and that neither the catalog nor the waiting ones have: its backup died before it was
 * published, or the catalog is lost. Asked each time: what a snapshot lacked may have come back since.
 */
async function adoptSnapshots(session: Session, census: Census, reader: BlobReader): Promise<number> {
  const pending = await loadPending(session);
  const known = new Set(
    [...session.state.snapshots(), ...pending].map(({ bytes }) =>
      idKey(session.namer.idOf(blobKinds.snapshot, bytes)),
    ),
  );
  let published = 0;
  for (const blobId of session.index.snapshotBlobs()) {
    if (known.has(idKey(blobId))) continue;
    try {
      const bytes = (await reader.read(blobKinds.snapshot, blobId)).slice();
      const id = toHex(snapshotId(bytes));
      const snapshot = decodeSnapshot(bytes);
      if (session.state.isForgotten(id) || !equalBytes(snapshot.vaultId, session.device.vaultId)) continue;
      const readiness = await readinessOf(session, census, reader, snapshot);
      if (readiness.state === 'waiting') await savePending(session, bytes, readiness.packs);
      if (readiness.state !== 'ready') continue;
      await session.logs.append(logRoles.catalog, [{ kind: recordKinds.snapshot, body: bytes }]);
      published++;
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      session.problem({
        item: 'a snapshot that is not in the catalog',
        message: messageOf(error),
        code: error.code,
      });
    }
  }
  return published;
}

/**
 * Brings the index up to the ledger and the queue: reads index blobs, then directories, of packs that this home has no
 * directory of.
 * What can't be read now is left out; its blobs are then missing, not wrong.
 */
export async function completeIndex(
  session: Session,
  reader: BlobReader,
  signal?: AbortSignal,
): Promise<void> {
  const lacking = (): Manifest[] =>
    [...session.state.packs(), ...session.queue.packs()]
      .map((pack) => pack.manifest)
      .filter(({ packId }) => !session.index.hasPack(packId) && !session.isHeldBack(packId));
  if (lacking().length > directReadsMax) await readIndexBlobs(session, reader);
  const indexed: IndexedPack[] = [];
  for (const manifest of lacking()) {
    throwIfAborted(signal);
    const directory = await directoryOf(session, reader, manifest);
    if (directory !== undefined) indexed.push({ packId: manifest.packId, directory });
  }
  await session.indexCache.save(indexed);
}

async function readIndexBlobs(session: Session, reader: BlobReader): Promise<void> {
  for (const ref of session.state.indexRefs()) {
    try {
      const bytes = await reader.readAt(blobKinds.index, ref.blobId, { ...ref, plainBytes: 0 });
      const packs = decodeIndexBlob(bytes).filter(({ packId }) => session.state.pack(packId) !== undefined);
      const fresh = packs.filter(
        ({ packId }) => !session.index.hasPack(packId) && !session.isHeldBack(packId),
      );
      for (const { packId, directory } of fresh) session.index.addPack(packId, directory);
      await session.indexCache.save(fresh);
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      // An index blob is an accelerator: the packs' own directories are read instead. But one that is bad is told.
      if (error.code === 'not-restorable' || error.code === 'blob-missing') continue;
      session.problem({
        item: `index ${toHex(ref.blobId).slice(0, 12)}`,
        message: `not used: ${messageOf(error)}`,
        code: error.code,
      });
    }
  }
}
