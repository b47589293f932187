import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The paths of all regular files below a folder, relative to it, in the order of their code units. Names must be UTF-8. */
export function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort((a, b) => (a < b ? -1 : 1));
}

/** The sizes of all regular files below the folders, added up. */
export function folderBytes(...folders: readonly string[]): number {
  let bytes = 0;
  for (const folder of folders) {
    for (const path of filesIn(folder)) bytes += lstatSync(join(folder, path)).size;
  }
  return bytes;
}
