import { mkdirSync, readdirSync, realpathSync, statSync, unlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { viewAsBuffer } from '../base/bytes.ts';
import { KithError, systemCode } from '../base/errors.ts';
import { FolderChain } from './folder-chain.ts';
import { joinPath, nameBytes, withReach } from './path.ts';
import { reasonOf } from './problem.ts';
import { makeOurs } from './remove-tree.ts';
import { isTempName } from './restore-sink.ts';

/**
 * The target with its symlinks resolved, made if it isn't there, and a chain of folders that begins at it; no chain in
 * a dry run for a target that isn't there. KithError `io-error` if it can't be used.
 */
export function openTarget(
  target: string,
  dryRun: boolean,
  handles: boolean,
): { readonly root: Uint8Array; readonly chain: FolderChain | undefined } {
  const path = resolve(target);
  try {
    if (!dryRun) mkdirSync(path, { recursive: true });
    const root = realpathSync(path, 'buffer');
    return { root, chain: new FolderChain(root, handles) };
  } catch (error) {
    if (dryRun && systemCode(error) === 'ENOENT') return { root: Buffer.from(path), chain: undefined };
    throw new KithError('io-error', `${target} can't be restored into: ${reasonOf(error)}`, { cause: error });
  }
}

/** Makes an existing folder of ours writable for now and clears away what an interrupted restore left in it. */
export function prepareExisting(path: Buffer, mode: number): void {
  try {
    if ((mode & 0o700) !== 0o700) makeOurs(path, mode);
    for (const key of readdirSync(path, 'latin1')) {
      if (isTempName(key)) unlinkSync(viewAsBuffer(joinPath(path, nameBytes(key))));
    }
  } catch {
    // What matters will fail again, with a problem of its own, when something is written here.
  }
}

/** Device and inode of each place that is there, as `device:inode`. */
export function inodesOf(places: readonly Uint8Array[]): Set<string> {
  const inodes = new Set<string>();
  for (const place of places) {
    try {
      const stats = withReach(place, (path) => statSync(path, { bigint: true }));
      inodes.add(`${stats.dev}:${stats.ino}`);
    } catch {
      // Not there, so nothing to spare.
    }
  }
  return inodes;
}
