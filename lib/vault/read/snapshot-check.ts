import { idKey } from '../../base/bytes.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import { entryTypes, type TreeEntry } from '../../format/tree.ts';
import type { Content } from '../../format/content.ts';
import type { BlobReader } from './blob-reader.ts';
import { TreeReader } from './tree-reader.ts';

/** Called for every blob that a content needs, with the pack that has it; undefined for one that no known pack has. */
type BlobVisitor = (packId: Uint8Array | undefined) => void;

/**
 * Visits every blob below a content: trees, lists and, for files, chunks. A folder that stands in it several times is
 * looked into once, one that is in `skip` not at all. Gives the folders that were visited, by key, for a later `skip`.
 */
export async function visitBlobs(
  reader: BlobReader,
  root: Content,
  visit: BlobVisitor,
  options: { readonly signal?: AbortSignal | undefined; readonly skip?: ReadonlySet<string> } = {},
): Promise<ReadonlySet<string>> {
  const trees = new TreeReader(reader);
  const seen = new Set<string>();
  const visitContent = async (content: Content): Promise<void> => {
    for await (const { id } of trees.blobIds(content)) visit(reader.placeOf(id)?.packId);
  };
  const visitFolder = async (content: Content): Promise<void> => {
    throwIfAborted(options.signal);
    const key = `${content.level}${content.ids.map(idKey).join('')}`;
    if (seen.has(key) || options.skip?.has(key) === true) return;
    seen.add(key);
    await visitContent(content);
    for await (const entry of trees.entries(content)) {
      if (entry.content === undefined) continue;
      if (entry.type === entryTypes.folder) await visitFolder(entry.content);
      else await visitContent(entry.content);
    }
  };
  await visitFolder(root);
  return seen;
}

/** Ids (as keys) of the packs that a content needs, or undefined among them for blobs that no known pack has. */
export async function packsOf(
  reader: BlobReader,
  root: Content,
  signal?: AbortSignal,
): Promise<{ packs: Map<string, Uint8Array>; missingBlobs: number }> {
  const packs = new Map<string, Uint8Array>();
  let missingBlobs = 0;
  await visitBlobs(
    reader,
    root,
    (packId) => {
      if (packId === undefined) missingBlobs++;
      else packs.set(idKey(packId), packId);
    },
    { signal },
  );
  return { packs, missingBlobs };
}

/** The same for an entry of a snapshot: what a folder needs with all that is in it, or any other entry itself. */
export async function packsOfEntry(
  reader: BlobReader,
  entry: TreeEntry,
  signal?: AbortSignal,
): Promise<Map<string, Uint8Array>> {
  const { type, content } = entry;
  if (content === undefined) return new Map<string, Uint8Array>();
  if (type === entryTypes.folder) return (await packsOf(reader, content, signal)).packs;
  const packs = new Map<string, Uint8Array>();
  for await (const { id } of new TreeReader(reader).blobIds(content)) {
    throwIfAborted(signal);
    const packId = reader.placeOf(id)?.packId;
    if (packId !== undefined) packs.set(idKey(packId), packId);
  }
  return packs;
}
