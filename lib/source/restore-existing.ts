import type { BigIntStats } from 'node:fs';
import { readlinkSync } from 'node:fs';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { RestoreFolder, RestoreFolders } from './restore-folders.ts';
import { componentsIn } from './restore-folders.ts';
import type { MetadataSetter } from './restore-metadata.ts';
import { metadataFits, setExistingMetadata } from './restore-metadata.ts';
import type { Decision, OverwritePolicy } from './restore-policy.ts';
import { decide, lookAt } from './restore-policy.ts';
import type { RestoreRemoval } from './restore-removal.ts';
import type { RestoreReport } from './restore-report.ts';
import { XattrFailure } from './restore-xattrs.ts';

export interface ExistingEntriesOptions {
  readonly folders: RestoreFolders;
  readonly removal: RestoreRemoval;
  readonly overwrite: OverwritePolicy;
  readonly dryRun: boolean;
  readonly setter: MetadataSetter;
  /** The precision of mtimes here, in nanoseconds. */
  readonly grainNs: bigint;
  readonly report: RestoreReport;
}

/** Settles what becomes of a thing that stands where an entry (no folder) is to be written. */
export class ExistingEntries {
  readonly #options: ExistingEntriesOptions;

  constructor(options: ExistingEntriesOptions) {
    this.#options = options;
  }

  /**
   * What to do about an entry of the current folder, which is ready. A folder that is in the way of `write` has been
   * removed, and what is the `same` has its metadata. System errors where that fails.
   */
  settle(folder: RestoreFolder, entry: TreeEntry): Decision {
    const { folders, removal, overwrite, dryRun, grainNs } = this.#options;
    if (folder.state === 'ghost') return 'write';
    // What we just made has nothing in it but what we put there ourselves.
    if (folder.created && overwrite === 'always') return 'write';
    const parent = folders.chain.folder;
    const existing = lookAt(parent.at(entry.name));
    const target =
      existing?.isSymbolicLink() === true ? readlinkSync(parent.at(entry.name), 'buffer') : undefined;
    const decision = decide(overwrite, entry, existing, target, grainNs);
    if (existing === undefined) return decision;
    if (decision === 'write' && existing.isDirectory()) removal.clearFolder(folder, entry.name);
    if (decision === 'same' && !dryRun) this.#refresh(folder, entry, existing);
    return decision;
  }

  /** Owner, mode and attributes of something that is otherwise as it should be. With more than one name it may be somebody else's. */
  #refresh(folder: RestoreFolder, entry: TreeEntry, existing: BigIntStats): void {
    const { folders, setter, report } = this.#options;
    const path = folders.chain.folder.at(entry.name);
    if (existing.nlink !== 1n || !existing.isFile() || metadataFits(setter, path, entry)) return;
    try {
      setExistingMetadata(setter, path, entry, existing);
    } catch (error) {
      if (!(error instanceof XattrFailure)) throw error;
      report.metadataFailed(componentsIn(folder, entry.name), error);
    }
  }
}
