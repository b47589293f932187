import { renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { viewAsBuffer } from '../base/bytes.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import { entryTypes } from '../format/tree-entry.ts';
import { packDevice } from './entry.ts';
import type { OpenFolder } from './folder-chain.ts';
import type { MetadataSetter } from './restore-metadata.ts';
import { setLinkMetadata, setNodeMetadata } from './restore-metadata.ts';

/** Puts a symlink in place of whatever but a folder has its name. Its metadata are best effort: `failure` is why not. */
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
  return intoPlace(folder, entry, temp, (path) => setLinkMetadata(setter, path, entry));
}

/** The same for a FIFO or a device file, which only root can make; needs native calls. */
export function writeNode(
  setter: MetadataSetter,
  folder: OpenFolder,
  entry: TreeEntry,
  temp: Uint8Array,
): { readonly failure?: unknown } {
  const { native } = setter;
  const { device } = entry;
  const what = entry.type === entryTypes.fifo ? 'a FIFO' : 'a device file';
  if (native === undefined) throw new Error(`this machine has no way to make ${what} from Node`);
  if (entry.type === entryTypes.fifo) native.makeFifo(folder.at(temp), 0o600);
  else if (device === undefined) throw new Error('its device number is missing');
  else {
    const kind = entry.type === entryTypes.blockDevice ? 'block' : 'character';
    native.makeDevice(folder.at(temp), kind, packDevice(device));
  }
  return intoPlace(folder, entry, temp, (path) => setNodeMetadata(setter, path, entry));
}

function intoPlace(
  folder: OpenFolder,
  entry: TreeEntry,
  temp: Uint8Array,
  setMetadata: (path: Buffer) => void,
): { readonly failure?: unknown } {
  try {
    let failed: { readonly failure?: unknown } = {};
    try {
      setMetadata(folder.at(temp));
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
