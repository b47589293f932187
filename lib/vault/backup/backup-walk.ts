import { throwIfAborted } from '../../base/concurrency.ts';
import { KithError } from '../../base/errors.ts';
import type { Content } from '../../format/content.ts';
import type { BlobWriter } from '../../pipeline/blob-writer.ts';
import type { Stages } from '../../pipeline/stages.ts';
import { walkBatches, type WalkOptions } from '../../source/walk.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import { FileBackup } from './file-backup.ts';
import type { FileCounts } from './file-counts.ts';
import type { FileLanes } from './file-lanes.ts';
import type { KnownBlobs } from './known-blobs.ts';
import { parentProblemTeller } from './parent-snapshot.ts';
import { ParentTree } from './parent-tree.ts';
import type { FoundSnapshot } from '../read/snapshots.ts';
import { TreeBuilder } from './tree-builder.ts';
import { TreeReader } from '../read/tree-reader.ts';
import type { BackupOptions, Problem } from '../types.ts';

export interface BackupWalkOptions {
  readonly walk: WalkOptions;
  /** What unchanged files are taken over from. */
  readonly parent: FoundSnapshot | undefined;
  /** Reads the parent's trees. */
  readonly reader: BlobReader;
  /** Where trees go. */
  readonly writer: BlobWriter;
  /** Where files go. */
  readonly lanes: FileLanes;
  readonly known: KnownBlobs;
  /** Cuts large folders. */
  readonly cutKey: Uint8Array;
  readonly counts: FileCounts;
  readonly stages: Stages;
  readonly onProblem: (problem: Problem) => void;
  readonly onItem: BackupOptions['onItem'];
  readonly signal: AbortSignal | undefined;
}

/**
 * Walks the sources, beside the parent snapshot, and stores files and trees. Gives the root's content, and the bytes that threads
 * found to be new. The packs may still be on their way.
 */
export async function storeWalk(
  options: BackupWalkOptions,
): Promise<{ readonly root: Content; readonly bytesAdded: number }> {
  const { parent, writer, lanes, known, counts, stages, onProblem, onItem, signal } = options;
  const isKnown = (blobId: Uint8Array): boolean => known.has(blobId);
  const trees = new TreeReader(options.reader);
  const onParentProblem = parentProblemTeller(parent, onProblem);
  const beside = new ParentTree(trees, parent?.snapshot.root, onParentProblem);
  const files = new FileBackup({
    lanes,
    builder: new TreeBuilder({ packer: writer.packer, isKnown }, options.cutKey),
    trees,
    counts,
    keptMetadata: parent?.snapshot.metadata ?? [],
    isKnown,
    onProblem,
    onParentProblem,
    onItem,
  });
  for await (const batch of stages.each('walk', walkBatches(options.walk))) {
    throwIfAborted(signal);
    for (const event of batch) {
      const { kind, entry } = event;
      if (kind === 'leave') {
        beside.leave();
        counts.folders++;
        files.leave(entry);
        continue;
      }
      const found = beside.entry(entry.name);
      const before = found === undefined ? undefined : { entry: found, place: beside.place };
      if (kind === 'enter') {
        files.enter(entry, before);
        await beside.enter(entry.name);
      } else {
        const waiting = files.entry(event, before);
        if (waiting !== undefined) await waiting;
      }
      if (files.isFull) await files.advance();
    }
    await files.advance();
    await writer.ready();
  }
  const { root, bytesAdded } = await files.finish();
  if (root === undefined) throw new KithError('internal', 'the walk did not close its root');
  return { root, bytesAdded };
}
