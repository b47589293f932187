import type { BigIntStats } from 'node:fs';
import { realpathSync, statSync } from 'node:fs';
import { displayText, viewAsBuffer } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { nameKey, splitPath, withReach } from './path.ts';
import type { StatNumbers } from './stat-numbers.ts';

/** Folders that no walk enters (asked about folders only), known by their path and, under whatever name they appear, by device and inode. */
export interface ForbiddenPlaces {
  has(path: Uint8Array, stats: Pick<StatNumbers, 'device' | 'inode'>): boolean;
}

/** KithError `usage` if one of the sources lies in such a folder: it would back up its own backup. */
export function forbiddenPlaces(
  places: readonly Uint8Array[],
  sources: readonly Uint8Array[],
): ForbiddenPlaces {
  const paths = new Set<string>();
  const inodes = new Set<string>();
  for (const place of places) {
    paths.add(nameKey(place));
    try {
      const stats = withReach(place, (path) => statSync(path, { bigint: true }));
      inodes.add(inodeKey(stats));
    } catch {
      // Not there, so nothing to run into but its path.
    }
  }
  for (const source of sources) {
    for (const path of [source, realPath(source)]) refuseInside(path, source, paths, inodes);
  }
  return {
    has: (path, { device, inode }) => inodes.has(`${device}:${inode}`) || paths.has(nameKey(path)),
  };
}

function refuseInside(
  path: Uint8Array,
  source: Uint8Array,
  paths: ReadonlySet<string>,
  inodes: ReadonlySet<string>,
): void {
  let at = '';
  for (const name of splitPath(path)) {
    at += `/${nameKey(name)}`;
    if (!paths.has(at) && !inodes.has(inodeOf(at))) continue;
    throw new KithError(
      'usage',
      `${displayText(source)} lies in a folder that kith itself keeps its things in. Choose another folder.`,
    );
  }
}

function realPath(path: Uint8Array): Uint8Array {
  try {
    return realpathSync(viewAsBuffer(path), 'buffer');
  } catch {
    return path;
  }
}

function inodeOf(key: string): string {
  try {
    return inodeKey(withReach(Buffer.from(key, 'latin1'), (path) => statSync(path, { bigint: true })));
  } catch {
    return '';
  }
}

function inodeKey(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`;
}
