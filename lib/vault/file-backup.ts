import { displayText } from '../base/bytes.ts';
import { isKithError, messageOf, type KithError } from '../base/errors.ts';
import type { Content } from '../format/content.ts';
import { entryTypes, type TreeEntry } from '../format/tree.ts';
import type { Accounts } from '../source/accounts.ts';
import { asUnreadable } from '../source/entry.ts';
import { openForRead } from '../source/read.ts';
import { lookAgain } from '../source/walk-tree.ts';
import type { WalkEvent } from '../source/walk.ts';
import type { FileStorer } from './file-storer.ts';
import { allKnownAtOnce, looksUnchanged } from './parent-tree.ts';
import type { TreeReader } from './tree-reader.ts';
import { unchangedEntry } from './tree-runs.ts';
import type { BackupOptions, Problem } from './types.ts';

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
  };
}

/** What FileBackup works with. */
export interface FileBackupOptions {
  readonly storer: FileStorer;
  readonly trees: TreeReader;
  readonly accounts: Accounts;
  readonly counts: FileCounts;
  /** True if the vault has a blob; notes that this backup needs it. */
  readonly isKnown: (blobId: Uint8Array) => boolean;
  readonly onProblem: (problem: Problem) => void;
  /** Told when what the parent snapshot has can't be read. */
  readonly onParentProblem: (error: KithError) => void;
  readonly onItem: BackupOptions['onItem'] | undefined;
  /** Called as bytes of a file are done; with its path if they were read. */
  readonly onBytes: (path: Uint8Array | undefined) => void;
  readonly signal: AbortSignal | undefined;
}

/** Times that a file is opened: it may be replaced or written to while it is read. */
const attemptsMax = 3;

/** Turns what a walk met into tree entries: unchanged files keep the content they had, others are read and stored. */
export class FileBackup {
  readonly #options: FileBackupOptions;

  constructor(options: FileBackupOptions) {
    this.#options = options;
  }

  /** The entry of anything but a folder; `before` is what the parent snapshot has under its name. */
  async entry(event: WalkEvent, before: TreeEntry | undefined): Promise<TreeEntry> {
    const { entry } = event;
    if (entry.type !== entryTypes.file) return this.#count(entry);
    if (
      before?.content !== undefined &&
      looksUnchanged(entry, before) &&
      (await this.#allKnown(before.content))
    ) {
      return this.#keep(entry, before);
    }
    return this.#read(event, before !== undefined);
  }

  /**
   * The same as `entry` where nothing need be read or waited for, and undefined where `entry` must be asked. Of what is as it was, the parent's
   * own object.
   */
  entryAtOnce({ entry }: WalkEvent, before: TreeEntry | undefined): TreeEntry | undefined {
    if (entry.type !== entryTypes.file) {
      const isAsBefore = before !== undefined && unchangedEntry(entry, before, false);
      return this.#count(isAsBefore ? before : entry);
    }
    if (before?.content === undefined || !looksUnchanged(entry, before)) return undefined;
    if (allKnownAtOnce(before.content, this.#options.isKnown) !== true) return undefined;
    return this.#keep(entry, before);
  }

  #keep(entry: TreeEntry, before: TreeEntry): TreeEntry {
    const { counts } = this.#options;
    counts.filesUnmodified++;
    counts.bytesProcessed += entry.size;
    this.#options.onBytes(undefined);
    return unchangedEntry(entry, before, true) ? before : { ...entry, content: before.content };
  }

  #count(entry: TreeEntry): TreeEntry {
    const { counts } = this.#options;
    if (entry.type === entryTypes.symlink) counts.symlinks++;
    else if (entry.type !== entryTypes.unreadable) counts.others++;
    return entry;
  }

  /** True if the vault still has every blob of a content. */
  async #allKnown(content: Content): Promise<boolean> {
    try {
      for await (const { id } of this.#options.trees.blobIds(content)) {
        if (!this.#options.isKnown(id)) return false;
      }
      return true;
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      this.#options.onParentProblem(error);
      return false;
    }
  }

  /** Reads a file; again if it was written to meanwhile, and looks again if another stands in its place. */
  async #read(event: WalkEvent, existed: boolean): Promise<TreeEntry> {
    const { path } = event;
    const { counts, accounts } = this.#options;
    const bytesBefore = counts.bytesProcessed;
    let { entry, device } = event;
    for (let attempt = 1; ; attempt++) {
      counts.bytesProcessed = bytesBefore;
      try {
        const read = await this.#readOnce(path, entry, device);
        if (read.changed && attempt < attemptsMax) continue;
        if (read.changed) this.#tellChanged(path);
        if (existed) counts.filesChanged++;
        else counts.filesNew++;
        this.#options.onItem?.({
          action: existed ? 'changed' : 'new',
          path: displayText(path),
          bytes: read.entry.size,
        });
        return read.entry;
      } catch (error) {
        if (!isKithError(error, 'source-unreadable')) throw error;
        counts.bytesProcessed = bytesBefore;
        if (error.details['replaced'] === true && attempt < attemptsMax) {
          ({ entry, device } = lookAgain(path, entry.name, accounts));
          if (entry.type === entryTypes.file) continue;
          if (entry.type !== entryTypes.unreadable && entry.type !== entryTypes.folder)
            return this.#count(entry);
        }
        counts.unreadable++;
        this.#options.onProblem({ item: displayText(path), message: messageOf(error), code: error.code });
        return asUnreadable(event.entry, messageOf(error));
      }
    }
  }

  async #readOnce(
    path: Uint8Array,
    entry: TreeEntry,
    device: bigint,
  ): Promise<{ entry: TreeEntry; changed: boolean }> {
    const { storer, counts, accounts, onBytes, signal } = this.#options;
    const file = openForRead(path, { inode: entry.inode, device });
    try {
      const { content, bytes } = await storer.store(
        file,
        (count) => {
          counts.bytesProcessed += count;
          onBytes(path);
        },
        signal,
      );
      const changed = file.state() === 'changed' || bytes !== file.size;
      return { entry: { ...file.entry(entry, accounts), size: bytes, content }, changed };
    } finally {
      file.close();
    }
  }

  #tellChanged(path: Uint8Array): void {
    this.#options.counts.changedWhileRead++;
    this.#options.onProblem({
      item: displayText(path),
      message: `it changed each of the ${attemptsMax} times it was read; what is stored may be a mixture of old and new`,
      code: 'source-changed',
    });
  }
}
