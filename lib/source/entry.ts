import type { BigIntStats } from 'node:fs';
import type { TreeEntry, EntryType } from '../format/tree-entry.ts';
import { entryTypes } from '../format/tree-entry.ts';
import type { Accounts } from './accounts.ts';

const empty = new Uint8Array(0);

/** What a thing is by its lstat. */
export function typeOf(stats: BigIntStats): EntryType {
  if (stats.isFile()) return entryTypes.file;
  if (stats.isDirectory()) return entryTypes.folder;
  if (stats.isSymbolicLink()) return entryTypes.symlink;
  if (stats.isFIFO()) return entryTypes.fifo;
  if (stats.isSocket()) return entryTypes.socket;
  if (stats.isBlockDevice()) return entryTypes.blockDevice;
  if (stats.isCharacterDevice()) return entryTypes.characterDevice;
  return entryTypes.unreadable;
}

/**
 * The entry of a thing without its content. `name` is kept, not copied. A symlink's target is passed along;
 * names of more than one link carry their group.
 */
export function entryOf(
  name: Uint8Array,
  stats: BigIntStats,
  accounts: Accounts,
  linkTarget?: Uint8Array,
): TreeEntry {
  const type = typeOf(stats);
  const uid = Number(stats.uid);
  const gid = Number(stats.gid);
  const isDevice = type === entryTypes.blockDevice || type === entryTypes.characterDevice;
  return {
    name,
    type,
    mode: Number(stats.mode & 0o7777n),
    uid,
    gid,
    user: accounts.user(uid),
    group: accounts.group(gid),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    inode: stats.ino,
    size: type === entryTypes.file ? Number(stats.size) : 0,
    linkTarget,
    device: isDevice ? deviceNumber(stats.rdev) : undefined,
    birthtimeNs: stats.birthtimeNs > 0n ? stats.birthtimeNs : undefined,
    hardlink:
      type !== entryTypes.folder && stats.nlink > 1n
        ? { device: stats.dev, inode: stats.ino, links: Number(stats.nlink) }
        : undefined,
    error: type === entryTypes.unreadable ? 'its kind is unknown to kith' : undefined,
  };
}

/** An entry that says: something of this name was there and could not be read. */
export function unreadableEntry(name: Uint8Array, why: string): TreeEntry {
  return {
    name,
    type: entryTypes.unreadable,
    mode: 0,
    uid: 0,
    gid: 0,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 0n,
    size: 0,
    error: why,
  };
}

/** What becomes of a file's entry when its bytes could not be read after all: the metadata stay. */
export function asUnreadable(entry: TreeEntry, why: string): TreeEntry {
  return {
    ...entry,
    type: entryTypes.unreadable,
    size: 0,
    content: undefined,
    linkTarget: undefined,
    device: undefined,
    sparse: undefined,
    error: why,
  };
}

/** The root folder's name, which no folder lists. */
export const rootName: Uint8Array = empty;

function deviceNumber(rdev: bigint): { major: number; minor: number } {
  if (process.platform === 'darwin') {
    return { major: Number((rdev >> 24n) & 0xffn), minor: Number(rdev & 0xff_ffffn) };
  }
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
  return { major: Number(major), minor: Number(minor) };
}

/** The number that mknod takes and lstat gives for a device. */
export function packDevice({ major, minor }: { readonly major: number; readonly minor: number }): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  if (process.platform === 'darwin') return (high << 24n) | low;
  return (
    ((high & 0xfffn) << 8n) | ((high & 0xffff_f000n) << 32n) | (low & 0xffn) | ((low & 0xffff_ff00n) << 12n)
  );
}
