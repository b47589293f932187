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
import { viewAsBuffer } from '../base/bytes.ts';
import type { MetadataKind } from '../format/snapshot.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { Accounts } from './accounts.ts';
import type { NativeCalls } from './native.ts';
import { setMtime } from './native.ts';
import type { XattrPlace } from './native-xattrs.ts';
import { handlePath, oPath } from './path.ts';
import { modeWithoutAcl } from './posix-acl.ts';
import { applyXattrs, xattrsFit } from './restore-xattrs.ts';

/** The largest id; −1 as u32 means "leave as it is" to chown. */
const idMax = 0xffff_fffe;

/** What a restore can set on this machine. */
export interface MetadataSetter {
  readonly native: NativeCalls | undefined;
  /** Only root can give files away. */
  readonly asRoot: boolean;
  /** Whether `/proc/self/fd` works. */
  readonly handles: boolean;
  /** Whose names stand for which numbers here. */
  readonly accounts: Accounts;
  /** Kinds of metadata that the snapshot has of all its entries: what it lacks of them is then removed. */
  readonly known: readonly MetadataKind[];
}

/** What this process can set here. */
export function metadataSetter(options: Omit<MetadataSetter, 'asRoot'>): MetadataSetter {
  return { ...options, asRoot: process.geteuid?.() === 0 };
}

/**
 * Owner, then extended attributes, mode (chown clears set-uid) and mtime of an open file at `path`.
 * Throws the first failure, an XattrFailure perhaps, after having tried all four.
 */
export function setFileMetadata(
  setter: MetadataSetter,
  handle: number,
  path: Uint8Array,
  entry: TreeEntry,
): void {
  const failures = new Failures();
  const owner = ownerHere(setter, entry);
  let stats = fstatSync(handle);
  if (setter.asRoot && (stats.uid !== owner.uid || stats.gid !== owner.gid)) {
    failures.try(() => fchownSync(handle, owner.uid, owner.gid));
    stats = fstatSync(handle);
  }
  const aclKept = failures.xattrs(setter, handle, entry);
  if (entry.xattrs !== undefined || setter.known.length > 0) stats = fstatSync(handle);
  const mode = grantedMode(entry, owner, stats, aclKept);
  if ((stats.mode & 0o7777) !== mode) failures.try(() => fchmodSync(handle, mode));
  const [at, follow] = setter.handles ? [handlePath(handle), true] : [path, false];
  failures.try(() => setMtime(setter.native, at, entry.mtimeNs, follow));
  failures.end();
}

/** The same for a folder by a path that may be followed: a handle's, or one that was just looked at. */
export function setFolderMetadata(setter: MetadataSetter, path: Buffer, entry: TreeEntry): void {
  const failures = new Failures();
  const owner = ownerHere(setter, entry);
  if (setter.asRoot) failures.try(() => chownSync(path, owner.uid, owner.gid));
  const aclKept = failures.xattrs(setter, { path, follow: setter.handles }, entry);
  failures.try(() => chmodSync(path, grantedMode(entry, owner, statSync(path), aclKept)));
  failures.try(() => setMtime(setter.native, path, entry.mtimeNs, setter.handles));
  failures.end();
}

/** The same for a symlink itself, which has no mode of its own. */
export function setLinkMetadata(setter: MetadataSetter, path: Buffer, entry: TreeEntry): void {
  const failures = new Failures();
  const owner = ownerHere(setter, entry);
  if (setter.asRoot) failures.try(() => lchownSync(path, owner.uid, owner.gid));
  failures.xattrs(setter, { path, follow: false }, entry);
  failures.try(() => setMtime(setter.native, path, entry.mtimeNs, false));
  failures.end();
}

/** The same for a FIFO or device that was just made with mode 0600; without handles it keeps that mode. */
export function setNodeMetadata(setter: MetadataSetter, path: Buffer, entry: TreeEntry): void {
  const failures = new Failures();
  const owner = ownerHere(setter, entry);
  if (setter.asRoot) failures.try(() => lchownSync(path, owner.uid, owner.gid));
  const aclKept = failures.xattrs(setter, { path, follow: false }, entry);
  if (setter.handles) failures.try(() => setNodeMode(path, entry, owner, aclKept));
  failures.try(() => setMtime(setter.native, path, entry.mtimeNs, false));
  failures.end();
}

/** chmod follows symlinks, so it is given a handle where there are such; opening a FIFO for real would wait. */
function setNodeMode(path: Buffer, entry: TreeEntry, owner: Owner, aclKept: boolean): void {
  const handle = openSync(path, oPath | constants.O_NOFOLLOW);
  try {
    const stats = fstatSync(handle);
    if (stats.isSymbolicLink() || stats.isDirectory() || stats.isFile())
      throw new Error('something else was put there meanwhile');
    chmodSync(viewAsBuffer(handlePath(handle)), grantedMode(entry, owner, stats, aclKept));
  } finally {
    closeSync(handle);
  }
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
    // Attributes of our own file can only be set while we may write to it; its mode is set after them.
    if (!setter.asRoot && (stats.mode & 0o200n) === 0n)
      fchmodSync(handle, Number(stats.mode & 0o7777n) | 0o200);
    setFileMetadata(setter, handle, path, entry);
  } finally {
    closeSync(handle);
  }
}

/** Whether owner, mode and attributes of a file there are what the entry wants, as far as we could set them. */
export function metadataFits(setter: MetadataSetter, path: Buffer, entry: TreeEntry): boolean {
  const stats = lstatSync(path);
  const owner = ownerHere(setter, entry);
  if (setter.asRoot && (stats.uid !== owner.uid || stats.gid !== owner.gid)) return false;
  if ((stats.mode & 0o7777) !== grantedMode(entry, owner, stats, true)) return false;
  return xattrsFit(setter, { path, follow: false }, entry);
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The owner that an entry has on this machine: the user and group of its names, where there are such here, else its
 * numbers, as tar does. Throws where a number is none that an owner can have.
 */
function ownerHere(setter: MetadataSetter, entry: TreeEntry): Owner {
  const uid = entry.user === undefined ? undefined : setter.accounts.uid(entry.user);
  const gid = entry.group === undefined ? undefined : setter.accounts.gid(entry.group);
  return { uid: checkedId(uid ?? entry.uid), gid: checkedId(gid ?? entry.gid) };
}

/**
 * set-uid and set-gid are kept only where owner and group are the snapshot's: else they would lend another's rights.
 * Where the access control list of the entry could not be set, the group gets what the list gave it: the mode's own
 * bits are then the most that anybody in the list had.
 */
function grantedMode(entry: TreeEntry, wanted: Owner, owner: Owner, aclKept: boolean): number {
  const same = owner.uid === wanted.uid && owner.gid === wanted.gid;
  const mode = aclKept ? entry.mode : modeWithoutAcl(entry);
  return mode & (same ? 0o7777 : 0o1777);
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

  /** Sets the attributes; false if an access control list is lost. */
  xattrs(setter: MetadataSetter, place: XattrPlace, entry: TreeEntry): boolean {
    const { aclKept, failure } = applyXattrs(setter, place, entry);
    if (failure !== undefined) this.#first ??= { error: failure };
    return aclKept;
  }

  end(): void {
    if (this.#first !== undefined) throw this.#first.error;
  }
}
