import type { BigIntStats } from 'node:fs';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  statSync,
} from 'node:fs';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { NativeCalls } from './native.ts';
import { setMtime } from './native.ts';
import { handlePath } from './path.ts';

/** The largest id; −1 as u32 means "leave as it is" to chown. */
const idMax = 0xffff_fffe;

/** What a restore can set on this machine. */
export interface MetadataSetter {
  readonly native: NativeCalls | undefined;
  /** Only root can give files away. */
  readonly asRoot: boolean;
  /** Whether `/proc/self/fd` works. */
  readonly handles: boolean;
}

/** What this process can set here. */
export function metadataSetter(native: NativeCalls | undefined, handles: boolean): MetadataSetter {
  return { native, asRoot: process.geteuid?.() === 0, handles };
}

/**
 * Owner, then mode (chown clears set-uid), then mtime of an open file at `path`.
 * Throws the first failure after having tried all three.
 */
export function setFileMetadata(
  setter: MetadataSetter,
  handle: number,
  path: Uint8Array,
  entry: TreeEntry,
): void {
  const failures = new Failures();
  let stats = fstatSync(handle);
  if (setter.asRoot && (stats.uid !== entry.uid || stats.gid !== entry.gid)) {
    failures.try(() => fchownSync(handle, checkedId(entry.uid), checkedId(entry.gid)));
    stats = fstatSync(handle);
  }
  const mode = grantedMode(entry, stats);
  if ((stats.mode & 0o7777) !== mode) failures.try(() => fchmodSync(handle, mode));
  const [at, follow] = setter.handles ? [handlePath(handle), true] : [path, false];
  failures.try(() => setMtime(setter.native, at, entry.mtimeNs, follow));
  failures.end();
}

/** The same for a folder by a path that may be followed: a handle's, or one that was just looked at. */
export function setFolderMetadata(setter: MetadataSetter, path: Buffer, entry: TreeEntry): void {
  const failures = new Failures();
  if (setter.asRoot) failures.try(() => chownSync(path, checkedId(entry.uid), checkedId(entry.gid)));
  failures.try(() => chmodSync(path, grantedMode(entry, statSync(path))));
  failures.try(() => setMtime(setter.native, path, entry.mtimeNs, setter.handles));
  failures.end();
}

/** Owner and mtime of a symlink or FIFO itself; a FIFO was made with its mode. */
export function setLinkMetadata(setter: MetadataSetter, path: Buffer, entry: TreeEntry): void {
  const failures = new Failures();
  if (setter.asRoot) failures.try(() => lchownSync(path, checkedId(entry.uid), checkedId(entry.gid)));
  failures.try(() => setMtime(setter.native, path, entry.mtimeNs, false));
  failures.end();
}

/** The same for a file that stands at `path` and is, as `existing` says, the one that was looked at. */
export function setExistingMetadata(
  setter: MetadataSetter,
  path: Buffer,
  entry: TreeEntry,
  existing: BigIntStats,
): void {
  const handle = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(handle, { bigint: true });
    if (stats.ino !== existing.ino || stats.dev !== existing.dev || stats.nlink !== 1n) return;
    setFileMetadata(setter, handle, path, entry);
  } finally {
    closeSync(handle);
  }
}

/** Whether owner and mode of something there are what the entry wants, as far as we could set them. */
export function metadataFits(setter: MetadataSetter, path: Buffer, entry: TreeEntry): boolean {
  const stats = lstatSync(path);
  if (setter.asRoot && (stats.uid !== entry.uid || stats.gid !== entry.gid)) return false;
  return (stats.mode & 0o7777) === grantedMode(entry, stats);
}

/** set-uid and set-gid are kept only where owner and group are the snapshot's: else they would lend another's rights. */
export function grantedMode(entry: TreeEntry, owner: { readonly uid: number; readonly gid: number }): number {
  const same = owner.uid === entry.uid && owner.gid === entry.gid;
  return entry.mode & (same ? 0o7777 : 0o1777);
}

function checkedId(id: number): number {
  if (!Number.isInteger(id) || id < 0 || id > idMax)
    throw new Error(`its owner has the impossible number ${id}`);
  return id;
}

class Failures {
  #first: { readonly error: unknown } | undefined;

  try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#first ??= { error };
    }
  }

  end(): void {
    if (this.#first !== undefined) throw this.#first.error;
  }
}
