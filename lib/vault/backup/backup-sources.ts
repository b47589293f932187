import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { utf8 } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import type { Accounts } from '../../source/accounts.ts';
import { lossInWords, readableMetadata } from '../../source/extras.ts';
import { IgnoreRules, readExcludeFile } from '../../source/ignore.ts';
import { walkSources, type WalkOptions } from '../../source/walk.ts';
import type { Session } from '../session.ts';
import type { BackupOptions, Problem } from '../types.ts';

/** How the sources of a backup are walked. KithError `usage` where there are none, or for a bad pattern; reads exclude files. */
export function walkOptionsOf(
  session: Session,
  options: BackupOptions,
  accounts: Accounts,
  onProblem: (problem: Problem) => void,
): WalkOptions {
  const { paths, excludes = [], excludeFiles = [], signal } = options;
  if (paths.length === 0) throw new KithError('usage', 'name what to back up: kith backup PATH…');
  const patterns = [...excludes, ...excludeFiles.flatMap((file) => readExcludeFile(file))];
  const neverEnter = [session.home, ...session.drives().map((drive) => drive.path)];
  return {
    sources: paths.map((path) => utf8(resolve(path))),
    ignore: IgnoreRules.from(patterns),
    oneFileSystem: options.oneFileSystem,
    excludeLargerThan: options.excludeLargerThan,
    excludeCaches: options.excludeCaches,
    excludeIfPresent: options.excludeIfPresent,
    neverEnter: neverEnter.map((path) => utf8(resolve(path))),
    accounts,
    signal,
    onProblem,
  };
}

/** Throws what walking would throw, without writing anything: a folder that isn't there, or that must not be walked. */
export async function checkSources(options: WalkOptions): Promise<void> {
  const walk = walkSources({ ...options, onProblem: () => undefined });
  await walk.next();
  await walk.return();
}

/** A symlink named as a source is stored as a link: whoever named it may have meant what it points to. */
export function warnOfLinks(paths: readonly string[], onProblem: (problem: Problem) => void): void {
  for (const path of paths) {
    const stats = lstatSync(resolve(path), { throwIfNoEntry: false });
    if (stats?.isSymbolicLink() !== true) continue;
    const message =
      'it is a symbolic link; only the link itself is stored. Name the folder that it points to.';
    onProblem({ item: path, message, code: 'usage' });
  }
}

/** Once: what no file's metadata can be complete without. */
export function warnOfLoss(onProblem: (problem: Problem) => void): void {
  const lost = lossInWords(readableMetadata());
  if (lost === undefined) return;
  onProblem({
    item: 'this computer',
    message: `kith can’t read ${lost} here, so they are not stored; everything else is`,
    code: 'failed',
  });
}
