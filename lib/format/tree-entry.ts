import { nameBytesMax, pathBytesMax } from '../base/limits.ts';
import type { Content } from './content.ts';
import type { Extension } from './extensions.ts';

/** What an entry is; `unreadable` says that something was there whose nature couldn't be read. */
export const entryTypes = {
  file: 1,
  folder: 2,
  symlink: 3,
  fifo: 4,
  socket: 5,
  blockDevice: 6,
  characterDevice: 7,
  unreadable: 8,
} as const;
export type EntryType = (typeof entryTypes)[keyof typeof entryTypes];

/** One name in a folder, with all that is known of it (docs/formats/tree.md). Decoded ones own their bytes. */
export interface TreeEntry {
  /** Raw name bytes; see validName. */
  readonly name: Uint8Array;
  readonly type: EntryType;
  /** Permission bits with set-uid, set-gid and sticky, at most 0o7777: no type bits. */
  readonly mode: number;
  /** u32 each. */
  readonly uid: number;
  readonly gid: number;
  /** At most 255 bytes. */
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  /** Bytes of a file; 0 for all else. */
  readonly size: number;
  /** For files and folders only; where it is left out, an empty one is written. */
  readonly content?: Content | undefined;
  /** For symlinks, always, and for nothing else: 1 … 65536 bytes without NUL. */
  readonly linkTarget?: Uint8Array | undefined;
  /** For devices, always, and for nothing else. u32 each. */
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
  readonly birthtimeNs?: bigint | undefined;
  /** Names with the same device and inode are one file. */
  readonly hardlink?: { readonly device: bigint; readonly inode: bigint; readonly links: number } | undefined;
  /** Runs of a file that aren't holes, ascending, apart, within its size. */
  readonly sparse?: readonly { readonly offset: number; readonly length: number }[] | undefined;
  /** In the order of the source, which should be a fixed one: the order is part of the tree's id. */
  readonly xattrs?: readonly { readonly name: Uint8Array; readonly value: Uint8Array }[] | undefined;
  /** Why this, or part of it, could not be read. */
  readonly error?: string | undefined;
  /** chattr / chflags, u32. */
  readonly flags?: number | undefined;
  /** Fields of a newer kith that this one doesn't know and passes on. */
  readonly extra?: readonly Extension[] | undefined;
}

/** The entry with another size and content, in the same shape (a spread is several times slower here). */
export function withContent(entry: TreeEntry, size: number, content: Content): TreeEntry {
  // So typed, a field that is forgotten here doesn't compile.
  const all: { readonly [K in keyof Required<TreeEntry>]: TreeEntry[K] } = {
    name: entry.name,
    type: entry.type,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    user: entry.user,
    group: entry.group,
    mtimeNs: entry.mtimeNs,
    ctimeNs: entry.ctimeNs,
    inode: entry.inode,
    size,
    content,
    linkTarget: entry.linkTarget,
    device: entry.device,
    birthtimeNs: entry.birthtimeNs,
    hardlink: entry.hardlink,
    sparse: entry.sparse,
    xattrs: entry.xattrs,
    error: entry.error,
    flags: entry.flags,
    extra: entry.extra,
  };
  return all;
}

/** Bytes of a user's, group's or extended attribute's name. */
export const ownerBytesMax = 255;

/** Bytes of a symlink's target: as much as a path may have. */
export const linkTargetBytesMax: number = pathBytesMax;

/** Extended attributes of one entry: more than the 64 KiB that Linux has for their names. */
export const xattrsMax = 16384;

const slash = 0x2f;
const dot = 0x2e;

/** True for name bytes that can stand in a folder and lead nowhere else: 1 … 4096, no `/`, no NUL, not `.` or `..`. */
export function validName(name: Uint8Array): boolean {
  if (name.length === 0 || name.length > nameBytesMax) return false;
  if (name.includes(slash) || name.includes(0)) return false;
  return !(name.length <= 2 && name.every((byte) => byte === dot));
}

/** What keeps an entry from being stored or restored, or undefined. The same for what we write and what we read. */
export function entryFlaw(entry: TreeEntry): string | undefined {
  const { type } = entry;
  if (!validName(entry.name)) return "name that can't be a file's";
  if (!(entry.mode >= 0 && entry.mode <= 0o7777)) return `mode 0o${entry.mode.toString(8)}`;
  for (const number of [entry.uid, entry.gid, entry.flags ?? 0])
    if (!isU32(number)) return `${number} as uid, gid or flags`;
  if (entry.size !== 0 && type !== entryTypes.file) return 'size on what is no file';
  if (entry.content !== undefined && type !== entryTypes.file && type !== entryTypes.folder)
    return 'content on what has none';
  const isDevice = type === entryTypes.blockDevice || type === entryTypes.characterDevice;
  if ((entry.device !== undefined) !== isDevice) return 'device number missing or out of place';
  if ((entry.linkTarget !== undefined) !== (type === entryTypes.symlink))
    return 'link target missing or out of place';
  const { linkTarget } = entry;
  if (
    linkTarget !== undefined &&
    (linkTarget.length === 0 || linkTarget.length > linkTargetBytesMax || linkTarget.includes(0))
  ) {
    return "link target that can't be one";
  }
  return sparseFlaw(entry) ?? xattrsFlaw(entry);
}

function isU32(number: number): boolean {
  return Number.isInteger(number) && number >= 0 && number <= 0xffffffff;
}

function sparseFlaw(entry: TreeEntry): string | undefined {
  if (entry.sparse === undefined) return undefined;
  if (entry.type !== entryTypes.file) return 'sparse map on what is no file';
  let end = 0;
  for (const run of entry.sparse) {
    if (run.offset < end || run.length < 1) return 'sparse map out of order';
    end = run.offset + run.length;
  }
  return end > entry.size ? 'sparse map beyond the file' : undefined;
}

function xattrsFlaw(entry: TreeEntry): string | undefined {
  const { xattrs } = entry;
  if (xattrs === undefined) return undefined;
  if (xattrs.length > xattrsMax) return `${xattrs.length} extended attributes`;
  const bad = xattrs.some(({ name }) => name.length === 0 || name.length > ownerBytesMax || name.includes(0));
  return bad ? 'extended attribute without a proper name' : undefined;
}
