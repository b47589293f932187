import type { BigIntStats } from 'node:fs';
import type { TreeEntry } from '../format/tree-entry.ts';
import { entryTypes } from '../format/tree-entry.ts';
import type { Accounts } from './accounts.ts';
import type { StatNumbers } from './stat-numbers.ts';
import { numbersOf } from './stat-numbers.ts';

const empty = new Uint8Array(0);

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
  return entryFrom(name, numbersOf(stats), accounts, linkTarget);
}

/** The same from numbers. */
export function entryFrom(
  name: Uint8Array,
  stats: StatNumbers,
  accounts: Accounts,
  linkTarget?: Uint8Array,
): TreeEntry {
  const { type, uid, gid, inode, links, device, birthtimeNs } = stats;
  const isDevice = type === entryTypes.blockDevice || type === entryTypes.characterDevice;
  // All fields, in the order of TreeEntry: engines read objects of one shape several times faster.
  return {
    name,
    type,
    mode: stats.mode,
    uid,
    gid,
    user: accounts.user(uid),
    group: accounts.group(gid),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    inode,
    size: type === entryTypes.file ? stats.size : 0,
    content: undefined,
    linkTarget,
    device: isDevice ? stats.deviceNumber : undefined,
    birthtimeNs: birthtimeNs > 0n ? birthtimeNs : undefined,
    hardlink: type !== entryTypes.folder && links > 1 ? { device, inode, links } : undefined,
    sparse: undefined,
    xattrs: undefined,
    error: type === entryTypes.unreadable ? 'its kind is unknown to kith' : undefined,
    flags: undefined,
    extra: undefined,
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

/** The number that mknod takes and lstat gives for a device. */
export function packDevice({ major, minor }: { readonly major: number; readonly minor: number }): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  if (process.platform === 'darwin') return (high << 24n) | low;
  return (
    ((high & 0xfffn) << 8n) | ((high & 0xffff_f000n) << 32n) | (low & 0xffn) | ((low & 0xffff_ff00n) << 12n)
  );
}
