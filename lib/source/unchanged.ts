import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import type { MetadataKind } from '../format/snapshot.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { TellLoss } from './extras.ts';
import { mayHaveHoles, readableMetadata, withFileExtras, withXattrs } from './extras.ts';
import { nativeCalls } from './native.ts';
import { withReach } from './path.ts';

/** What `unchangedEntry` goes by. */
export interface UnchangedOptions {
  /** Absolute path of the file. */
  readonly path: Uint8Array;
  /** Kinds of metadata that the snapshot with the earlier entry was made with (Snapshot.metadata). */
  readonly kept: readonly MetadataKind[];
  readonly tell: TellLoss;
}

/**
 * The entry of a file that looks as it did (looksUnchanged): what the walk saw now, with the content, extended
 * attributes and sparse map of `before`. A change of any of these changes ctime, so no system call is needed, unless
 * the earlier snapshot was made where they could not all be read and now they can: then they are looked at.
 */
export function unchangedEntry(entry: TreeEntry, before: TreeEntry, options: UnchangedOptions): TreeEntry {
  const { kept } = options;
  const same = { ...entry, content: before.content, xattrs: before.xattrs, sparse: before.sparse };
  return readableMetadata().every((kind) => kept.includes(kind)) ? same : lookAtExtras(same, options);
}

/** Reads anew what the earlier snapshot may lack; what can't be read now stays as it was. */
function lookAtExtras(entry: TreeEntry, { path, tell }: UnchangedOptions): TreeEntry {
  try {
    return withReach(path, (at) => {
      const stats = lstatSync(at, { bigint: true });
      if (stats.ino !== entry.inode || stats.ctimeNs !== entry.ctimeNs) return entry;
      const bare = { ...entry, xattrs: undefined, sparse: undefined };
      if (!mayHaveHoles(stats)) return withXattrs(bare, { path: at, follow: false }, tell, nativeCalls());
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      const handle = openSync(at, flags);
      try {
        const opened = fstatSync(handle, { bigint: true });
        if (opened.ino !== stats.ino || opened.dev !== stats.dev) return entry;
        return withFileExtras(bare, handle, opened, tell);
      } finally {
        closeSync(handle);
      }
    });
  } catch {
    return entry;
  }
}
