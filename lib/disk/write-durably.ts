import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Disk } from './disk.ts';

export interface DurableFile {
  /** Where the bytes are written first; on the same file system as `path`. It must exist. */
  readonly tempFolder: string;
  /** Where the file ends up, replacing what is there. Its folder must exist. */
  readonly path: string;
  readonly parts: readonly Uint8Array[];
  readonly mode?: number;
}

/**
 * Writes a file so that, whatever happens, its name shows either what it showed before or all of the new bytes, and
 * the new bytes once this returns: temp → fsync → rename → fsync of the folder. Costs four steps and two flushes.
 * A failure removes the temporary file; a crash leaves it for whoever empties `tempFolder` at the start.
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
  await disk.syncFolder(dirname(file.path));
}
