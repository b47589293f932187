import type { BackupSummary } from '../types.ts';

/** What a backup met so far. */
export interface FileCounts {
  filesNew: number;
  filesChanged: number;
  filesUnmodified: number;
  folders: number;
  symlinks: number;
  others: number;
  unreadable: number;
  /** Of those that are new or changed: they changed each time they were read. */
  changedWhileRead: number;
  bytesProcessed: number;
  /** Of those, bytes of files that weren't read. */
  bytesUnmodified: number;
}

export function newFileCounts(): FileCounts {
  return {
    filesNew: 0,
    filesChanged: 0,
    filesUnmodified: 0,
    folders: 0,
    symlinks: 0,
    others: 0,
    unreadable: 0,
    changedWhileRead: 0,
    bytesProcessed: 0,
    bytesUnmodified: 0,
  };
}

/** The same as a summary says it. */
export function summaryOfCounts(
  counts: FileCounts,
): Pick<
  BackupSummary,
  | 'filesNew'
  | 'filesChanged'
  | 'filesUnmodified'
  | 'filesUnreadable'
  | 'filesChangedWhileRead'
  | 'foldersTotal'
  | 'totalFilesProcessed'
  | 'totalBytesProcessed'
> {
  const { filesNew, filesChanged, filesUnmodified } = counts;
  return {
    filesNew,
    filesChanged,
    filesUnmodified,
    filesUnreadable: counts.unreadable,
    filesChangedWhileRead: counts.changedWhileRead,
    foldersTotal: counts.folders,
    totalFilesProcessed: filesNew + filesChanged + filesUnmodified,
    totalBytesProcessed: counts.bytesProcessed,
  };
}
