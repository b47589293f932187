import { idKey } from '../../base/bytes.ts';
import { blobKinds } from '../../format/blob.ts';
import { encodeIndexRecord } from '../../format/catalog-records.ts';
import { encodeIndexBlobs, type IndexRef, type ListedPack } from '../../format/index-blob.ts';
import { recordKinds } from '../../format/log-kinds.ts';
import { encodePackDirectory } from '../../format/pack-directory.ts';
import { logRoles } from '../../format/segment.ts';
import type { BlobWriter } from '../../pipeline/blob-writer.ts';
import type { Session } from '../session.ts';

/** Packs that no index blob covers are left so until there are this many: a small backup adds a pack, not an index. */
const uncoveredPacksMax = 16;
/** Small index blobs, such as every day brings, are merged when there are this many. */
const smallBlobsMax = 64;
const smallBlobBytes = 256 * 1024;
/** Pack ids in one index record. */
const coveredPerRecord = 16_384;

/** What a backup's index blobs cover and replace: from storing them until they go on record. */
export interface IndexPlan {
  readonly blobIds: readonly Uint8Array[];
  readonly covered: readonly Uint8Array[];
  readonly replaced: readonly Uint8Array[];
}

/**
 * Stores index blobs into the backup's last pack, if enough packs are uncovered: they spare a bare machine from reading every
 * pack's directory. When many are small, one set that covers everything replaces them.
 */
export async function indexPacks(
  session: Session,
  writer: BlobWriter,
  newPacks: readonly ListedPack[],
): Promise<IndexPlan | undefined> {
  const fresh = new Set(newPacks.map(({ packId }) => idKey(packId)));
  const uncovered = new Map<string, Uint8Array>();
  for (const { manifest } of session.state.packs()) {
    if (!session.state.isIndexed(manifest.packId)) uncovered.set(idKey(manifest.packId), manifest.packId);
  }
  for (const { packId } of newPacks) uncovered.set(idKey(packId), packId);
  if (uncovered.size < uncoveredPacksMax) return undefined;
  const small = session.state.indexRefs().filter((ref) => ref.length < smallBlobBytes);
  const merge = small.length >= smallBlobsMax;
  const packs: ListedPack[] = [...newPacks];
  await session.indexCache.load((packId, directory) => {
    const key = idKey(packId);
    if (fresh.has(key) || (!merge && !uncovered.has(key)) || session.state.pack(packId) === undefined) return;
    fresh.add(key);
    packs.push({ packId, directory: encodePackDirectory(directory) });
  });
  const blobIds: Uint8Array[] = [];
  for (const blob of encodeIndexBlobs(packs)) blobIds.push(await writer.store(blobKinds.index, blob));
  const everyPackIsIn = [...session.state.packs()].every(({ manifest }) => fresh.has(idKey(manifest.packId)));
  const replaced = merge && everyPackIsIn ? session.state.indexRefs().map((ref) => ref.blobId) : [];
  return { blobIds, covered: packs.map(({ packId }) => packId), replaced };
}

/** Puts the index blobs of the backup on record, once their pack is safe. `refs` say where this backup stored index blobs. */
export async function recordIndex(
  session: Session,
  plan: IndexPlan,
  refs: readonly IndexRef[],
): Promise<void> {
  const wanted = new Set(plan.blobIds.map(idKey));
  const added = refs.filter((ref) => wanted.has(idKey(ref.blobId)));
  if (added.length !== wanted.size) return;
  const bodies: Uint8Array[] = [];
  for (let at = 0; at < plan.covered.length; at += coveredPerRecord) {
    const first = at === 0;
    bodies.push(
      encodeIndexRecord({
        added: first ? added : [],
        removed: first ? plan.replaced : [],
        covered: plan.covered.slice(at, at + coveredPerRecord),
      }),
    );
  }
  await session.logs.append(
    logRoles.catalog,
    bodies.map((body) => ({ kind: recordKinds.index, body })),
  );
}
