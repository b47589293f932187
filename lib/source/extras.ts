import type { BigIntStats } from 'node:fs';
import { compareBytes, displayText } from '../base/bytes.ts';
import { systemCode } from '../base/errors.ts';
import type { MetadataKind } from '../format/snapshot.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import { entryTypes, ownerBytesMax, xattrsMax } from '../format/tree-entry.ts';
import type { NativeCalls } from './native.ts';
import { nativeCalls } from './native.ts';
import type { XattrPlace } from './native-xattrs.ts';
import { reasonOf } from './problem.ts';
import { clampRuns, dataRuns } from './sparse-map.ts';

export type Xattrs = NonNullable<TreeEntry['xattrs']>;

/** Bytes of names and values kept of one entry: it has room for 1 MiB, with content, sparse map and the rest. */
export const xattrBytesMax: number = 640 * 1024;

/** Bytes that each attribute takes beside name and value. */
const xattrHeadBytes = 8;

/** Told in words what could not be read, as the second half of a sentence whose first half is the path. */
export type TellLoss = (message: string) => void;

/** The kinds of metadata that this process can read where the file system has them. */
export function readableMetadata(
  native: NativeCalls | 'none' = nativeCalls() ?? 'none',
): readonly MetadataKind[] {
  if (native === 'none') return [];
  return process.geteuid?.() === 0 ? ['xattrs', 'holes', 'trustedXattrs'] : ['xattrs', 'holes'];
}

/** What a person has to know if `kinds` is not all of them; undefined if it is. */
export function lossInWords(kinds: readonly MetadataKind[]): string | undefined {
  const lost = [
    ...(kinds.includes('xattrs') ? [] : ['extended attributes and access control lists']),
    ...(kinds.includes('holes') ? [] : ['the holes of sparse files']),
  ];
  return lost.length === 0 ? undefined : lost.join(' and ');
}

/**
 * The entry with its extended attributes, sorted by name; the entry itself where there are none. Costs one system call
 * for most things. What doesn't fit an entry, or can't be read where it should be, is left out and told.
 */
export function withXattrs(
  entry: TreeEntry,
  place: XattrPlace,
  tell: TellLoss,
  native: NativeCalls | undefined = nativeCalls(),
): TreeEntry {
  if (native === undefined) return entry;
  const xattrs = readXattrs(native, place, tell);
  return xattrs === undefined ? entry : { ...entry, xattrs };
}

/**
 * The same with the sparse map of an open file, which `stats` are of. `endedAt`: the size that the entry will be
 * given, where the file turned out to be shorter than it said.
 */
export function withFileExtras(
  entry: TreeEntry,
  handle: number,
  stats: BigIntStats,
  tell: TellLoss,
  endedAt: number = entry.size,
  native: NativeCalls | undefined = nativeCalls(),
): TreeEntry {
  if (native === undefined) return entry;
  const whole = withXattrs(entry, handle, tell, native);
  if (entry.type !== entryTypes.file || !mayHaveHoles(stats)) return whole;
  const sparse = dataRuns(native, handle, entry.size);
  return sparse === undefined ? whole : { ...whole, sparse: clampRuns(sparse, endedAt) };
}

/** Whether a file takes less room than its size: it has holes, or is compressed. */
export function mayHaveHoles(stats: BigIntStats): boolean {
  return stats.blocks * 512n < stats.size;
}

/** What is set on a place, sorted by name; undefined where nothing is, or nothing can be. */
export function readXattrs(native: NativeCalls, place: XattrPlace, tell: TellLoss): Xattrs | undefined {
  let names: Uint8Array[];
  try {
    names = native.listXattrs(place);
  } catch (error) {
    if (!isNormal(error)) tell(`its extended attributes could not be read: ${reasonOf(error)}`);
    return undefined;
  }
  if (names.length === 0) return undefined;
  const found: { name: Uint8Array; value: Uint8Array }[] = [];
  let room = xattrBytesMax;
  let lost = 0;
  for (const name of names.sort(compareBytes)) {
    try {
      if (name.length > ownerBytesMax || found.length === xattrsMax) throw tooLarge();
      const rest = room - name.length - xattrHeadBytes;
      if (rest < 0) throw tooLarge();
      const value = native.getXattr(place, name, rest);
      room = rest - value.length;
      found.push({ name, value });
    } catch (error) {
      if (isNormal(error)) continue;
      // One line for the first: a thing can have thousands.
      if (lost++ === 0)
        tell(`its extended attribute ${displayText(name)} could not be read: ${whyNot(error)}`);
    }
  }
  if (lost > 1) tell(`${lost - 1} more of its extended attributes could not be read`);
  return found.length === 0 ? undefined : found;
}

function tooLarge(): Error {
  return Object.assign(new Error('too large'), { code: 'E2BIG' });
}

function whyNot(error: unknown): string {
  return systemCode(error) === 'E2BIG' ? 'it is too large to be kept' : reasonOf(error);
}

/**
 * Failures that say nothing is there for us: no such things on this file system or kind of file, gone meanwhile, or
 * (EPERM) reserved to root, who alone is shown them elsewhere.
 */
function isNormal(error: unknown): boolean {
  const code = systemCode(error) ?? '';
  return ['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENODATA', 'ENOATTR', 'EPERM', 'ENOENT', 'ENOTDIR'].includes(
    code,
  );
}
