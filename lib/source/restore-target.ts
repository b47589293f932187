import type { BigIntStats } from 'node:fs';
import { mkdirSync, readdirSync, realpathSync, statSync, unlinkSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { viewAsBuffer } from '../base/bytes.ts';
import { KithError, systemCode } from '../base/errors.ts';
import { FolderChain } from './folder-chain.ts';
import { joinPath, nameBytes, nameKey, withReach } from './path.ts';
import { reasonOf } from './problem.ts';
import { makeOurs } from './remove-tree.ts';
import { isTempName } from './restore-sink.ts';

/**
 * The target with its symlinks resolved, made if it isn't there, and a chain of folders that begins at it; no chain in
 * a dry run for a target that isn't there. `spared` are the folders that nothing may be restored into, as inodesOf
 * gives them. KithError `usage` if the target is one of these or kith's own part of one (a folder of somebody's own beside it will do), `io-error` if it can't be used.
 */
export function openTarget(
  target: string,
  dryRun: boolean,
  handles: boolean,
  spared: ReadonlySet<string>,
): { readonly root: Uint8Array; readonly chain: FolderChain | undefined } {
  const path = resolve(target);
  // Before the target is made: already its folder would be something written there.
  refuseSpared(target, path, spared);
  try {
    if (!dryRun) mkdirSync(path, { recursive: true });
    const root = realpathSync(path, 'buffer');
    return { root, chain: new FolderChain(root, handles) };
  } catch (error) {
    if (dryRun && systemCode(error) === 'ENOENT') return { root: Buffer.from(path), chain: undefined };
    const code = systemCode(error);
    const why =
      code === 'EEXIST' || code === 'ENOTDIR'
        ? 'it is, or lies in, something that is not a folder'
        : reasonOf(error);
    throw new KithError('io-error', `${target} can't be restored into: ${why}`, { cause: error });
  }
}

/** What kith keeps in a drive or a home (docs/formats/store.md); what else lies there is somebody's own. */
const ownNames: ReadonlySet<string> = new Set(['shards', 'logs', 'keys', 'tmp', 'index', 'queue', 'pending']);

function refuseSpared(target: string, path: string, spared: ReadonlySet<string>): void {
  if (spared.size === 0) return;
  const start = nearestReal(path);
  let child = start.missing;
  for (let at = start.real, up = dirname(at); ; child = basename(at), at = up, up = dirname(at)) {
    const isOwn = child === undefined || ownNames.has(child);
    if (isOwn && [...inodesOf([nameBytes(at)])].some((inode) => spared.has(inode)))
      throw new KithError(
        'usage',
        `${target} is a folder that kith itself keeps its things in. Choose another target.`,
      );
    if (up === at) return;
  }
}

/**
 * The real path, one byte a char, of the innermost folder on the way to a path that is there, and the name of what
 * is missing in it; undefined where the whole path is there.
 */
function nearestReal(path: string): { readonly real: string; readonly missing: string | undefined } {
  let missing: string | undefined;
  for (let at = path; ; missing = basename(at), at = dirname(at)) {
    try {
      return { real: nameKey(realpathSync(at, 'buffer')), missing };
    } catch (error) {
      if (dirname(at) === at) throw new KithError('io-error', reasonOf(error), { cause: error });
    }
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
      inodes.add(inodeKey(stats));
    } catch {
      // Not there, so nothing to spare.
    }
  }
  return inodes;
}

/** `device:inode`. */
export function inodeKey(stats: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${stats.dev}:${stats.ino}`;
}

/**
 * Inodes, as inodeKey gives them, that wanted names lead to under another listed name, as they do where letter case
 * or Unicode form don't count. A hard link is none of them: its name is listed itself.
 */
export function foldedInodes(
  wanted: ReadonlySet<string>,
  listed: readonly string[],
  look: (key: string) => BigIntStats | undefined,
): Set<string> {
  const there = new Set(listed);
  const inodes = new Set<string>();
  for (const key of wanted) {
    const stats = there.has(key) ? undefined : look(key);
    if (stats !== undefined) inodes.add(inodeKey(stats));
  }
  return inodes;
}
