import { displayText } from '../base/bytes.ts';
import { isKithError, messageOf, type KithError } from '../base/errors.ts';
import type { Content } from '../format/content.ts';
import type { MetadataKind } from '../format/snapshot.ts';
import { entryTypes, type TreeEntry } from '../format/tree.ts';
import type { Accounts } from '../source/accounts.ts';
import { asUnreadable } from '../source/entry.ts';
import { openForRead } from '../source/read.ts';
import { unchangedEntry } from '../source/unchanged.ts';
import { lookAgain } from '../source/walk-tree.ts';
import type { WalkEvent } from '../source/walk.ts';
import type { FileStorer } from './file-storer.ts';
import { looksUnchanged } from './parent-tree.ts';
import type { TreeReader } from './tree-reader.ts';
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
  /** Kinds of metadata that the parent snapshot was made with. */
  readonly keptMetadata: readonly MetadataKind[];
  /** True if the vault has a blob; notes that this backup needs it. */
  readonly isKnown: (blobId: Uint8Array) => boolean;
  readonly onProblem: (problem: Problem) => void;
  /** Told when what the parent snapshot has can't be read. */
  readonly onParentProblem: (error: KithError) => void;
  readonly onItem: BackupOptions['onItem'] | undefined;
  /** Called as bytes of a file are done. */
  readonly onBytes: (path: Uint8Array) => void;
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
    const { entry, path } = event;
    const { counts } = this.#options;
    if (entry.type !== entryTypes.file) return this.#count(entry);
    if (
      before?.content !== undefined &&
      looksUnchanged(entry, before) &&
      (await this.#allKnown(before.content))
    ) {
      counts.filesUnmodified++;
      counts.bytesProcessed += entry.size;
      this.#options.onBytes(path);
      return unchangedEntry(entry, before, {
        path,
        kept: this.#options.keptMetadata,
        tell: this.#tellLoss(path),
      });
    }
    return this.#read(event, before !== undefined);
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
        for (const loss of read.losses) this.#tellLoss(path)(loss);
        return read.entry;
      } catch (error) {
        if (!isKithError(error, 'source-unreadable')) throw error;
        counts.bytesProcessed = bytesBefore;
        if (error.details['replaced'] === true && attempt < attemptsMax) {
          ({ entry, device } = lookAgain(path, entry.name, accounts, this.#tellLoss(path)));
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
  ): Promise<{ entry: TreeEntry; changed: boolean; losses: readonly string[] }> {
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
      const losses: string[] = [];
      const found = file.entry(entry, accounts, (message) => void losses.push(message));
      return { entry: { ...found, size: bytes, content }, changed, losses };
    } finally {
      file.close();
    }
  }

  /** The file is stored, part of what is known of it is not. */
  #tellLoss(path: Uint8Array): (message: string) => void {
    return (message) => this.#options.onProblem({ item: displayText(path), message, code: 'failed' });
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
