import { readdirSync, rmdirSync } from 'node:fs';
import { nameBytes } from './path.ts';
import { problemCode, reasonOf } from './problem.ts';
import { removeTree, type RemoveOptions } from './remove-tree.ts';
import type { RestoreFolder, RestoreFolders } from './restore-folders.ts';
import { componentsIn } from './restore-folders.ts';
import { lookAt } from './restore-policy.ts';
import type { RestoreReport } from './restore-report.ts';
import { isTempName } from './restore-sink.ts';
import { foldedInodes, inodeKey } from './restore-target.ts';

export interface RestoreRemovalOptions {
  readonly folders: RestoreFolders;
  /** RestoreWriterOptions.deleteExtra. */
  readonly mayRemove: ((components: readonly Uint8Array[], isFolder: boolean) => boolean) | undefined;
  /** Inodes (inodesOf) of folders that must stay. */
  readonly spared: ReadonlySet<string>;
  readonly dryRun: boolean;
  readonly report: RestoreReport;
}

/** Removes from the current folder what `--delete` takes, and nothing else. */
export class RestoreRemoval {
  readonly #options: RestoreRemovalOptions;
  readonly #how: RemoveOptions;

  constructor(options: RestoreRemovalOptions) {
    this.#options = options;
    const { dryRun, spared } = options;
    this.#how = { dryRun, spares: (folder) => spared.has(inodeKey(folder)) };
  }

  /** What is in the current folder, which is open, and isn't among the names of the snapshot. What can't be removed is a problem. */
  removeExtra(folder: RestoreFolder, wanted: ReadonlySet<string>): void {
    const { folders, mayRemove, report } = this.#options;
    const { chain } = folders;
    const listed = readdirSync(chain.folder.self(), 'latin1');
    // Temporary names are of files that are still on their way; what an earlier restore left went at the beginning.
    const extra = listed.filter((key) => !wanted.has(key) && !isTempName(key));
    if (extra.length === 0) return;
    const folded = foldedInodes(wanted, listed, (key) => lookAt(chain.folder.at(nameBytes(key))));
    const foreign = !chain.onRootMount;
    for (const key of extra) {
      const name = nameBytes(key);
      const components = componentsIn(folder, name);
      try {
        const stats = lookAt(chain.folder.at(name));
        if (stats === undefined || folded.has(inodeKey(stats))) continue;
        if (mayRemove?.(components, stats.isDirectory()) !== true) continue;
        if (foreign) throw new Error('it lies on another file system than the target');
        report.removed(components, removeTree(chain, name, this.#how));
      } catch (error) {
        report.problem(components, `could not be removed: ${reasonOf(error)}`, problemCode(error));
      }
    }
  }

  /**
   * Has a folder in the current one give way to something else: only if it is empty or `--delete` may take it, which it
   * may not on another mount. A system error if it has to stay.
   */
  clearFolder(folder: RestoreFolder, name: Uint8Array): void {
    const { folders, mayRemove, dryRun, report } = this.#options;
    const { chain } = folders;
    if (chain.onRootMount && mayRemove?.(componentsIn(folder, name), true) === true) {
      report.removed(componentsIn(folder, name), removeTree(chain, name, this.#how));
    } else if (!dryRun) {
      rmdirSync(chain.folder.at(name));
    }
  }
}
