import type { BigIntStats } from 'node:fs';
import { chmodSync, lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { treeDepthMax } from '../base/limits.ts';
import { systemCode } from '../base/errors.ts';
import type { FolderChain } from './folder-chain.ts';
import { nameBytes } from './path.ts';

/** How a removal goes about it. */
export interface RemoveOptions {
  /** Only counts. */
  readonly dryRun?: boolean;
  /** Folders that must stay, whatever is around them. */
  readonly spares?: (folder: BigIntStats) => boolean;
}

/**
 * Removes a thing in the innermost folder of a chain, with all that is in it; symlinks are removed, never followed,
 * and nothing on another mount is touched. Gives the number of things removed (in a dry run: that would be).
 * Throws at the first that can't be removed; the rest is then still there.
 */
export function removeTree(chain: FolderChain, name: Uint8Array, options: RemoveOptions = {}): number {
  const dryRun = options.dryRun === true;
  const stats = lstatSync(chain.folder.at(name), { bigint: true });
  if (!stats.isDirectory()) {
    if (!dryRun) unlinkSync(chain.folder.at(name));
    return 1;
  }
  if (options.spares?.(stats) === true) throw new Error('kith keeps its own things in it');
  const mounted = 'another file system is mounted on it';
  if (stats.dev !== chain.folder.device) throw new Error(mounted);
  if (chain.depth >= treeDepthMax) throw new Error(`it lies more than ${treeDepthMax} folders deep`);
  let removed = 0;
  const above = chain.folder;
  const folder = chain.enter(name);
  try {
    if (!folder.sharesMount(above)) throw new Error(mounted);
    if (!dryRun && (folder.mode & 0o700) !== 0o700) makeOurs(folder.self(), folder.mode);
    for (const child of readdirSync(folder.self(), 'latin1')) {
      removed += removeTree(chain, nameBytes(child), options);
    }
  } finally {
    chain.leave();
  }
  if (!dryRun) rmdirSync(chain.folder.at(name));
  return removed + 1;
}

/** Lets us list and change a folder of our own that denies it; where it isn't ours, we may perhaps all the same. */
export function makeOurs(path: Buffer, mode: number): void {
  try {
    chmodSync(path, mode | 0o700);
  } catch (error) {
    if (systemCode(error) !== 'EPERM') throw error;
  }
}
