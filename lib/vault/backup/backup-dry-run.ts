import { displayText } from '../../base/bytes.ts';
import { entryTypes } from '../../format/tree.ts';
import { walkSources, type WalkOptions } from '../../source/walk.ts';
import { BlobReader } from '../read/blob-reader.ts';
import type { FileCounts } from './file-counts.ts';
import { findParent, parentProblemTeller } from './parent-snapshot.ts';
import { looksUnchanged, ParentTree } from './parent-tree.ts';
import type { Session } from '../session.ts';
import { TreeReader } from '../read/tree-reader.ts';
import type { BackupOptions, Problem } from '../types.ts';

/**
 * What a backup would read, from the walk alone: what looks unchanged against the parent needs its trees, which are read. Adds to
 * `counts` and gives the bytes of files that are new or changed.
 */
export async function bytesToRead(
  session: Session,
  walkOptions: WalkOptions,
  counts: FileCounts,
  onProblem: (problem: Problem) => void,
  { force, onItem }: Pick<BackupOptions, 'force' | 'onItem'>,
): Promise<number> {
  const { here, away } = await session.reachable();
  const reader = new BlobReader(
    session,
    here,
    away.map(({ keeper }) => keeper),
    onProblem,
  );
  const parent = force === true ? undefined : await findParent(session, walkOptions.sources);
  const onParentProblem = parentProblemTeller(parent, onProblem);
  const beside = new ParentTree(new TreeReader(reader), parent?.snapshot.root, onParentProblem);
  let bytes = 0;
  for await (const event of walkSources(walkOptions)) {
    const { kind, entry } = event;
    if (kind === 'enter') await beside.enter(entry.name);
    else if (kind === 'leave') {
      beside.leave();
      counts.folders++;
    } else if (entry.type === entryTypes.file) {
      const before = beside.entry(entry.name);
      counts.bytesProcessed += entry.size;
      if (before !== undefined && looksUnchanged(entry, before)) {
        counts.filesUnmodified++;
        continue;
      }
      if (before === undefined) counts.filesNew++;
      else counts.filesChanged++;
      bytes += entry.size;
      const action = before === undefined ? 'new' : 'changed';
      onItem?.({ action, path: displayText(event.path), bytes: entry.size });
    }
  }
  return bytes;
}
