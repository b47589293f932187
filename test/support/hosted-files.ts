import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** A file below a folder. */
export interface FoundFile {
  readonly path: string;
  readonly bytes: number;
}

/** All files below a folder; none where it isn't there. */
export async function filesBelow(folder: string): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  let entries;
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return found;
    throw error;
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...(await filesBelow(path)));
    else found.push({ path, bytes: (await lstat(path)).size });
  }
  return found;
}

/** What lies on a friend's disk for an owner, told without kith's own code. */
export interface HostedFiles {
  readonly shards: readonly FoundFile[];
  readonly shardBytes: number;
  /** Shards, logs and the key record together. */
  readonly bytes: number;
}

export async function hostedFiles(home: string, ownerId: string): Promise<HostedFiles> {
  const shards = await filesBelow(join(home, 'shards', ownerId));
  const logs = await filesBelow(join(home, 'hosted', 'logs', ownerId));
  const keys = (await filesBelow(join(home, 'hosted', 'keys'))).filter(({ path }) => path.includes(ownerId));
  return { shards, shardBytes: bytesOf(shards), bytes: bytesOf([...shards, ...logs, ...keys]) };
}

function bytesOf(files: readonly FoundFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
