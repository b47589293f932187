import type { BigIntStats } from 'node:fs';
import type { EntryType } from '../format/tree-entry.ts';
import { entryTypes } from '../format/tree-entry.ts';

/** What lstat tells of a thing, in numbers wherever they are exact. */
export interface StatNumbers {
  readonly type: EntryType;
  /** Permission bits, at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes, of whatever it is. */
  readonly size: number;
  readonly links: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** 0 where the file system doesn't know. */
  readonly birthtimeNs: bigint;
  readonly inode: bigint;
  /** Of the file system, as node's `dev`. */
  readonly device: bigint;
  /** What a device file stands for. */
  readonly deviceNumber: { readonly major: number; readonly minor: number };
}

const typesByFormat: Readonly<Record<number, EntryType>> = {
  0o10: entryTypes.file,
  0o4: entryTypes.folder,
  0o12: entryTypes.symlink,
  0o1: entryTypes.fifo,
  0o14: entryTypes.socket,
  0o6: entryTypes.blockDevice,
  0o2: entryTypes.characterDevice,
};

/** What a thing is by the format bits of its mode. */
export function typeOfMode(mode: number): EntryType {
  return typesByFormat[(mode >> 12) & 0o17] ?? entryTypes.unreadable;
}

/** The same of node's stats. */
export function numbersOf(stats: BigIntStats): StatNumbers {
  const mode = Number(stats.mode);
  return {
    type: typeOf(stats),
    mode: mode & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    size: Number(stats.size),
    links: Number(stats.nlink),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    birthtimeNs: stats.birthtimeNs,
    // Node gives numbers from 2^63 on, as some network and user-space file systems have them, as negative ones.
    inode: BigInt.asUintN(64, stats.ino),
    device: BigInt.asUintN(64, stats.dev),
    deviceNumber: deviceNumber(stats.rdev),
  };
}

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

/** Linux: the number of a device, as node's `dev` and `rdev` have it. */
export function deviceOf(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (
    ((high & 0xffff_f000n) << 32n) | ((high & 0xfffn) << 8n) | ((low & 0xffff_ff00n) << 12n) | (low & 0xffn)
  );
}

function deviceNumber(rdev: bigint): { major: number; minor: number } {
  if (process.platform === 'darwin') {
    return { major: Number((rdev >> 24n) & 0xffn), minor: Number(rdev & 0xff_ffffn) };
  }
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
  return { major: Number(major), minor: Number(minor) };
}
