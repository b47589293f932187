import { isKithError, messageOf } from '../../base/errors.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import type { Content } from '../../format/content.ts';
import { entryTypes, type TreeEntry } from '../../format/tree.ts';
import type { RestoreFilter } from '../../source/include.ts';
import type { RestoreWriter } from '../../source/restore-writer.ts';
import type { RestoreFiles } from './restore-files.ts';
import type { RestoreProgress } from './restore-progress.ts';
import type { TreeReader } from '../read/tree-reader.ts';

export interface RestoreWalkOptions {
  readonly trees: TreeReader;
  readonly filter: RestoreFilter;
  /** Takes folders and all else but files. The caller closes it. */
  readonly writer: RestoreWriter;
  /** Takes files, of the same writer. The caller closes it. */
  readonly files: RestoreFiles;
  readonly progress: RestoreProgress;
  readonly signal: AbortSignal | undefined;
}

/** Walks through the trees of a snapshot and gives each entry that is wanted to who writes it. */
export class RestoreWalk {
  readonly #options: RestoreWalkOptions;

  constructor(options: RestoreWalkOptions) {
    this.#options = options;
  }

  /** Restores what is in a folder, which is the writer's current one. False if its trees could not be read to the end. */
  async folder(above: readonly Uint8Array[], content: Content): Promise<boolean> {
    const { trees, progress, signal } = this.#options;
    try {
      for await (const entry of trees.entries(content)) {
        throwIfAborted(signal);
        await this.entry([...above, entry.name], entry);
      }
      return true;
    } catch (error) {
      if (!isKithError(error, 'damaged', 'malformed', 'not-authentic', 'not-restorable', 'blob-missing'))
        throw error;
      const message = `the rest of this folder could not be read: ${messageOf(error)}`;
      progress.failed(above, message, error.code);
      return false;
    }
  }

  /** Restores one entry of the writer's current folder, with all that is in it. */
  async entry(names: readonly Uint8Array[], entry: TreeEntry): Promise<void> {
    const { filter, writer, files, progress } = this.#options;
    const isFolder = entry.type === entryTypes.folder;
    const wanted = filter.wants(names, isFolder);
    if (isFolder) {
      if (!wanted && !filter.enters(names)) {
        writer.keep(entry.name);
        return;
      }
      if ((await writer.enterFolder(entry, { lazy: !wanted })) === 'skip') return;
      const complete = entry.content === undefined || (await this.folder(names, entry.content));
      await writer.leaveFolder({ complete: complete && entry.error === undefined });
      await files.settleFolders();
      return;
    }
    if (!wanted) {
      writer.keep(entry.name);
    } else if (entry.type === entryTypes.file) {
      await files.take(names, entry);
    } else if (entry.type === entryTypes.symlink) {
      await writer.addSymlink(entry);
    } else if (entry.type === entryTypes.unreadable) {
      writer.keep(entry.name);
      const message = `could not be read when it was backed up: ${entry.error ?? 'no reason given'}`;
      progress.problem(names, message, 'source-unreadable');
    } else {
      await writer.addOther(entry);
    }
  }
}
