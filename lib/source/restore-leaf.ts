import {
  chmodSync,
  constants,
  closeSync,
  fstatSync,
  openSync,
  renameSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { viewAsBuffer } from '../base/bytes.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { OpenFolder } from './folder-chain.ts';
import { handlePath, oPath } from './path.ts';
import type { MetadataSetter } from './restore-metadata.ts';
import { grantedMode, setLinkMetadata } from './restore-metadata.ts';

/** Puts a symlink in place of whatever but a folder has its name. The mtime is best effort: `failure` is why not. */
export function writeSymlink(
  setter: MetadataSetter,
  folder: OpenFolder,
  entry: TreeEntry,
  temp: Uint8Array,
): { readonly failure?: unknown } {
  const target = entry.linkTarget;
  if (target === undefined || target.length === 0 || target.includes(0)) {
    throw new Error('the symlink has no usable target');
  }
  symlinkSync(viewAsBuffer(target), folder.at(temp));
  return intoPlace(setter, folder, entry, temp);
}

/** The same for a FIFO; needs native calls. */
export function writeFifo(
  setter: MetadataSetter,
  folder: OpenFolder,
  entry: TreeEntry,
  temp: Uint8Array,
): { readonly failure?: unknown } {
  if (setter.native === undefined) throw new Error('this machine has no way to make a FIFO from Node');
  setter.native.makeFifo(folder.at(temp), 0o600);
  return intoPlace(setter, folder, entry, temp, () => setFifoMode(setter, folder.at(temp), entry));
}

function intoPlace(
  setter: MetadataSetter,
  folder: OpenFolder,
  entry: TreeEntry,
  temp: Uint8Array,
  prepare: () => void = () => undefined,
): { readonly failure?: unknown } {
  try {
    prepare();
    let failed: { readonly failure?: unknown } = {};
    try {
      setLinkMetadata(setter, folder.at(temp), entry);
    } catch (failure) {
      failed = { failure };
    }
    renameSync(folder.at(temp), folder.at(entry.name));
    return failed;
  } catch (error) {
    unlinkSync(folder.at(temp));
    throw error;
  }
}

/** chmod follows symlinks, so it is given a handle of the FIFO where there are such; opening one for real would wait. */
function setFifoMode(setter: MetadataSetter, path: Buffer, entry: TreeEntry): void {
  if (!setter.handles) return;
  const handle = openSync(path, oPath | constants.O_NOFOLLOW);
  try {
    if (!fstatSync(handle).isFIFO()) throw new Error('something else was put there meanwhile');
    chmodSync(viewAsBuffer(handlePath(handle)), grantedMode(entry, fstatSync(handle)));
  } finally {
    closeSync(handle);
  }
}
