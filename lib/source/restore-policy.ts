import type { BigIntStats } from 'node:fs';
import { lstatSync } from 'node:fs';
import type { TreeEntry } from '../format/tree-entry.ts';
import { entryTypes } from '../format/tree-entry.ts';
import { packDevice } from './entry.ts';
import { floorTo } from './native.ts';

/**
 * What happens to something that already stands where a restore writes: `always` replaced; `if-changed` kept where
 * size and mtime are those of the snapshot; `if-newer` kept unless the snapshot's is newer; `never` kept.
 */
export type OverwritePolicy = 'always' | 'if-changed' | 'if-newer' | 'never';

/** `same`: it is what would be written. `keep`: it is something else, and stays. */
export type Decision = 'write' | 'same' | 'keep';

/** lstat, or undefined for what isn't there. */
export function lookAt(path: Buffer): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}

/**
 * What to do about an entry (no folder) where `existing` stands. `linkTarget` is the existing symlink's, if it is one;
 * mtimes are compared to `grainNs`, the precision with which an earlier restore could set them.
 */
export function decide(
  policy: OverwritePolicy,
  entry: TreeEntry,
  existing: BigIntStats | undefined,
  linkTarget: Uint8Array | undefined,
  grainNs: bigint,
): Decision {
  if (existing === undefined || policy === 'always') return 'write';
  if (policy === 'never') return 'keep';
  const wanted = floorTo(entry.mtimeNs, grainNs);
  const found = floorTo(existing.mtimeNs, grainNs);
  if (policy === 'if-newer') return wanted > found ? 'write' : 'keep';
  if (wanted !== found) return 'write';
  if (entry.type === entryTypes.file) {
    return existing.isFile() && existing.size === BigInt(entry.size) ? 'same' : 'write';
  }
  if (entry.type === entryTypes.symlink) {
    const target = entry.linkTarget;
    return target !== undefined && linkTarget !== undefined && Buffer.compare(target, linkTarget) === 0
      ? 'same'
      : 'write';
  }
  if (entry.device !== undefined) {
    const kind = existing.isBlockDevice() ? entryTypes.blockDevice : entryTypes.characterDevice;
    const isDevice = existing.isBlockDevice() || existing.isCharacterDevice();
    return isDevice && kind === entry.type && existing.rdev === packDevice(entry.device) ? 'same' : 'write';
  }
  return entry.type === entryTypes.fifo && existing.isFIFO() ? 'same' : 'write';
}

/** Whether something that is no folder, where a folder is wanted, is put away for it. */
export function givesWay(policy: OverwritePolicy, entry: TreeEntry, existing: BigIntStats): boolean {
  if (policy === 'never') return false;
  return policy !== 'if-newer' || entry.mtimeNs > existing.mtimeNs;
}
