import { mkdir } from 'node:fs/promises';
import { KithError } from '../../lib/base/errors.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import { nodeDisk } from '../../lib/disk/node-disk.ts';

/** The machine's disk without its flushes: nobody pulls the plug here, and the tests that do have a disk of their own. */
export const quickDisk: Disk = {
  ...nodeDisk,
  write: (path, parts, options) => nodeDisk.write(path, parts, { ...options, sync: false }),
  syncFolder: () => Promise.resolve(),
  makeFolder: async (path, mode) => {
    // What can't be made so is made, or fails, as it does elsewhere.
    const made = mkdir(path, mode === undefined ? { recursive: true } : { recursive: true, mode });
    await made.catch(() => nodeDisk.makeFolder(path, mode));
  },
};

/** A quick disk, but for folders in which nothing can be written (`ENOSPC`) or read (`EIO`). */
export class PartlyFullDisk {
  /** Folders below which every write ends in `disk-full`. */
  readonly full: Set<string> = new Set<string>();
  /** Bytes that may still be written below a folder before it is full. */
  readonly room: Map<string, number> = new Map<string, number>();
  /** Runs before each file is written, with its path. */
  onWrite: (path: string) => void = () => undefined;
  readonly disk: Disk = {
    ...quickDisk,
    pathsAreReal: false,
    write: async (path, parts, options) => {
      this.onWrite(path);
      const bytes = parts.reduce((sum, part) => sum + part.length, 0);
      for (const [folder, left] of this.room) {
        if (!path.startsWith(`${folder}/`)) continue;
        if (bytes > left) throw fullError(path);
        this.room.set(folder, left - bytes);
      }
      for (const folder of this.full) if (path.startsWith(`${folder}/`)) throw fullError(path);
      await quickDisk.write(path, parts, options);
    },
  };
}

function fullError(path: string): KithError {
  return new KithError('disk-full', `no space left for ${path}`, { details: { path, system: 'ENOSPC' } });
}
