import { linkSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import type { TreeEntry } from '../format/tree-entry.ts';
import { FolderChain } from './folder-chain.ts';
import type { OpenFolder } from './folder-chain.ts';
import type { SinkEnd } from './restore-sink.ts';

/** Groups remembered at once; the files of further ones come back as copies. */
const groupsMax = 1_000_000;

/** Files of this restore that further names can be linked to. */
export interface LinkGroup {
  /** Undefined once known not to be writable by us this time (skipped, failed). */
  readonly settled: Promise<LinkOrigin | undefined>;
}

/** Where a group's first file was written, and what shows that it is still there: inodes alone are used again. */
export interface LinkOrigin {
  readonly components: readonly Uint8Array[];
  readonly device: bigint;
  readonly inode: bigint;
  readonly mtimeNs: bigint;
}

/** Remembers, per hardlink group of the snapshot, the file that this restore wrote for it. */
export class HardlinkGroups {
  readonly #groups = new Map<string, LinkGroup & { left: number }>();

  /** Whether a name of the entry's group was met before, and more are to come. */
  has(entry: TreeEntry): boolean {
    const key = keyOf(entry);
    return key !== undefined && this.#groups.has(key);
  }

  /** The group of an entry if a name of it was met before. Forgets the group with its last name. */
  meet(entry: TreeEntry): LinkGroup | undefined {
    const key = keyOf(entry);
    const group = key === undefined ? undefined : this.#groups.get(key);
    if (group === undefined || key === undefined) return undefined;
    if (--group.left <= 0) this.#groups.delete(key);
    return group;
  }

  /** Begins a group with its first name; call the function with how that file ended. */
  begin(entry: TreeEntry, components: readonly Uint8Array[]): (end: SinkEnd) => void {
    const key = keyOf(entry);
    if (key === undefined || this.#groups.size >= groupsMax) return () => undefined;
    let settle: (origin: LinkOrigin | undefined) => void = () => undefined;
    const settled = new Promise<LinkOrigin | undefined>((resolve) => {
      settle = resolve;
    });
    this.#groups.set(key, { settled, left: (entry.hardlink?.links ?? 1) - 1 });
    return (end) => settle(end.outcome === 'written' ? { ...end, components } : undefined);
  }
}

/**
 * Gives a file of this restore one more name, `name` in `folder`, by way of `temp`. The file is reached anew from the
 * root, through no symlink, and must still be the one that was written.
 */
export function linkTo(
  root: Uint8Array,
  origin: LinkOrigin,
  folder: OpenFolder,
  name: Uint8Array,
  temp: Uint8Array,
  useHandles: boolean,
): void {
  const chain = new FolderChain(root, useHandles);
  try {
    for (const component of origin.components.slice(0, -1)) chain.enter(component);
    const file = origin.components.at(-1) ?? name;
    linkSync(chain.folder.at(file), folder.at(temp));
  } finally {
    chain.close();
  }
  try {
    const stats = lstatSync(folder.at(temp), { bigint: true });
    if (stats.dev !== origin.device || stats.ino !== origin.inode || stats.mtimeNs !== origin.mtimeNs) {
      throw new Error('the file it is a link to was replaced meanwhile');
    }
    renameSync(folder.at(temp), folder.at(name));
  } finally {
    // Renaming one name of a file over another of the same does nothing, so that the temporary one may still be there.
    removeIfThere(folder.at(temp));
  }
}

function removeIfThere(path: Buffer): void {
  try {
    unlinkSync(path);
  } catch {
    // It went with the rename.
  }
}

function keyOf(entry: TreeEntry): string | undefined {
  return entry.hardlink === undefined ? undefined : `${entry.hardlink.device}:${entry.hardlink.inode}`;
}
