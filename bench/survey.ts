import { createHash } from 'node:crypto';
import { lstatSync, readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { utf8 } from '../lib/base/bytes.ts';
import { joinPath, nameBytes, withReach } from '../lib/source/path.ts';

/** What is in a folder, by its names and sizes alone. */
export interface Survey {
  readonly files: number;
  readonly folders: number;
  /** Symlinks, pipes and the like. */
  readonly others: number;
  readonly bytes: number;
  /** Stands for every name, type, mode, size, inode, mtime and ctime: two that are equal mean that nothing was changed. */
  readonly mark: string;
}

/**
 * Looks at a whole folder without opening anything in it. What can't be listed counts as one other thing.
 * Throws the signal's reason once it has fired.
 */
export async function surveyFolder(folder: string, signal?: AbortSignal): Promise<Survey> {
  const counts = { files: 0, folders: 0, others: 0, bytes: 0 };
  const mark = createHash('sha256');
  const waiting: Uint8Array[] = [utf8(folder)];
  let looks = 0;
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const stats = withReach(path, (at) => lstatSync(at, { bigint: true, throwIfNoEntry: false }));
    mark.update(path);
    if (stats === undefined) {
      counts.others++;
      continue;
    }
    const { mode, size, ino, dev, mtimeNs, ctimeNs } = stats;
    mark.update(`\0${mode}/${stats.isDirectory() ? 0 : size}/${dev}/${ino}/${mtimeNs}/${ctimeNs}\0`);
    if (stats.isDirectory()) {
      counts.folders++;
      const names = namesIn(path);
      if (names === undefined) counts.others++;
      else for (const key of names) waiting.push(joinPath(path, nameBytes(key)));
    } else if (stats.isFile()) {
      counts.files++;
      counts.bytes += Number(size);
    } else {
      counts.others++;
    }
    if (++looks % 1024 === 0) {
      await setImmediate();
      signal?.throwIfAborted();
    }
  }
  return { ...counts, mark: mark.digest('hex') };
}

function namesIn(path: Uint8Array): string[] | undefined {
  try {
    return withReach(path, (at) => readdirSync(at, 'latin1')).sort();
  } catch {
    return undefined;
  }
}
