import { idKey } from '../base/bytes.ts';
import { isKithError } from '../base/errors.ts';
import { entryTypes } from '../format/tree.ts';
import type { Content } from '../format/content.ts';
import type { Snapshot } from '../format/snapshot.ts';
import type { BlobReader } from './blob-reader.ts';
import type { Session } from './session.ts';
import { TreeReader } from './tree-reader.ts';

/** Called for every blob that a content needs, with the pack that has it; undefined for one that no known pack has. */
type BlobVisitor = (packId: Uint8Array | undefined) => void;

/**
 * Visits every blob below a content: trees, lists and, for files, chunks. `seen` holds trees that were visited, by content id, so that
 * what snapshots share is read once; pass a fresh one for a complete answer.
 */
export async function visitBlobs(
  session: Session,
  reader: BlobReader,
  root: Content,
  visit: BlobVisitor,
  signal?: AbortSignal,
): Promise<void> {
  const trees = new TreeReader(reader);
  const seen = new Set<string>();
  const visitContent = async (content: Content): Promise<void> => {
    for await (const { id } of trees.blobIds(content)) visit(session.index.get(id)?.packId);
  };
  const visitFolder = async (content: Content): Promise<void> => {
    signal?.throwIfAborted();
    const key = content.ids.map(idKey).join('');
    if (seen.has(key)) return;
    seen.add(key);
    await visitContent(content);
    for await (const entry of trees.entries(content)) {
      if (entry.content === undefined) continue;
      if (entry.type === entryTypes.folder) await visitFolder(entry.content);
      else await visitContent(entry.content);
    }
  };
  await visitFolder(root);
}

/** True if every blob of a snapshot is in some known pack; its trees are read. */
export async function snapshotIsWhole(
  session: Session,
  reader: BlobReader,
  snapshot: Snapshot,
): Promise<boolean> {
  let whole = true;
  try {
    await visitBlobs(session, reader, snapshot.root, (packId) => {
      if (packId === undefined) whole = false;
    });
  } catch (error) {
    if (!isKithError(error, 'blob-missing', 'not-restorable', 'damaged', 'malformed', 'not-authentic'))
      throw error;
    return false;
  }
  return whole;
}

/** Ids (as keys) of the packs that a content needs, or undefined among them for blobs that no known pack has. */
export async function packsOf(
  session: Session,
  reader: BlobReader,
  root: Content,
  signal?: AbortSignal,
): Promise<{ packs: Map<string, Uint8Array>; missingBlobs: number }> {
  const packs = new Map<string, Uint8Array>();
  let missingBlobs = 0;
  await visitBlobs(
    session,
    reader,
    root,
    (packId) => {
      if (packId === undefined) missingBlobs++;
      else packs.set(idKey(packId), packId);
    },
    signal,
  );
  return { packs, missingBlobs };
}
