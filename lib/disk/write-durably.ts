import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Disk } from './disk.ts';

const tempName = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.tmp$/;

/** True for a name such as writeDurably gives to temporary files: a leftover to remove, where others may be somebody's. */
export function isTempName(name: string): boolean {
  return tempName.test(name);
}

export interface DurableFile {
  /** Where the bytes are written first; on the same file system as `path`. It must exist. */
  readonly tempFolder: string;
  /** Where the file ends up, replacing what is there. Its folder must exist. */
  readonly path: string;
  readonly parts: readonly Uint8Array[];
  readonly mode?: number;
  /** Makes the names in the folder of `path` durable, by a flush that begins after the call; the disk's own unless given. */
  readonly syncFolder?: (folder: string) => Promise<void>;
}

/**
 * Writes a file so that, whatever happens, its name shows either what it showed before or all of the new bytes, and
 * the new bytes once this returns: temp → fsync → rename → fsync of the folder. Costs four steps and two flushes.
 * A failure removes the temporary file; a crash leaves it, with a name that
 * isTempName knows, for whoever tidies `tempFolder` at the start.
 */
export async function writeDurably(disk: Disk, file: DurableFile): Promise<void> {
  const temp = join(file.tempFolder, `${randomUUID()}.tmp`);
  const mode = file.mode === undefined ? {} : { mode: file.mode };
  try {
    await disk.write(temp, file.parts, { sync: true, exclusive: true, ...mode });
    await disk.rename(temp, file.path);
  } catch (error) {
    // The first error is what the caller needs to hear.
    await disk.unlink(temp).catch(() => false);
    throw error;
  }
  const folder = dirname(file.path);
  await (file.syncFolder === undefined ? disk.syncFolder(folder) : file.syncFolder(folder));
}
