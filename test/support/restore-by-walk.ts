import { utf8 } from '../../lib/base/bytes.ts';
import { entryTypes } from '../../lib/format/tree-entry.ts';
import type { Accounts } from '../../lib/source/accounts.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { readableMetadata } from '../../lib/source/extras.ts';
import { IgnoreRules } from '../../lib/source/ignore.ts';
import { splitPath } from '../../lib/source/path.ts';
import type { SourceProblem } from '../../lib/source/problem.ts';
import { openForRead } from '../../lib/source/read.ts';
import type { RestoreCounts } from '../../lib/source/restore-report.ts';
import type { RestoreWriterOptions } from '../../lib/source/restore-writer.ts';
import { RestoreWriter } from '../../lib/source/restore-writer.ts';
import type { WalkEvent, WalkOptions } from '../../lib/source/walk.ts';
import { walkSources } from '../../lib/source/walk.ts';

/** A walk over text paths; problems go to `problems`. */
export function walkOf(
  sources: readonly (string | Uint8Array)[],
  options: Partial<WalkOptions> & { readonly problems?: SourceProblem[] } = {},
): AsyncGenerator<WalkEvent, void, undefined> {
  return walkSources({
    ignore: IgnoreRules.from(),
    neverEnter: [],
    onProblem: (problem) => options.problems?.push(problem),
    ...options,
    sources: sources.map((source) => (typeof source === 'string' ? utf8(source) : source)),
  });
}

/**
 * Copies what is in `source` into a target through the walk and the restore writer: the two ends of a backup with
 * nothing between them.
 */
export async function restoreByWalk(
  source: string,
  options: Omit<RestoreWriterOptions, 'onProblem'> & { readonly problems?: SourceProblem[] },
): Promise<RestoreCounts> {
  const { problems = [] } = options;
  const onProblem = (problem: SourceProblem): void => void problems.push(problem);
  const accounts = localAccounts();
  const writer = new RestoreWriter({ metadata: readableMetadata(), ...options, onProblem });
  const above = splitPath(utf8(source)).length;
  try {
    for await (const { kind, path, entry, device } of walkOf([source], { accounts, problems })) {
      if (splitPath(path).length <= above) continue;
      if (kind === 'enter') await writer.enterFolder(entry);
      else if (kind === 'leave') await writer.leaveFolder();
      else if (entry.type === entryTypes.file) await copyFile(writer, path, entry, device, accounts);
      else if (entry.type === entryTypes.symlink) await writer.addSymlink(entry);
      else await writer.addOther(entry);
    }
    return await writer.finish();
  } finally {
    writer.close();
  }
}

async function copyFile(
  writer: RestoreWriter,
  path: Uint8Array,
  entry: WalkEvent['entry'],
  device: bigint,
  accounts: Accounts,
): Promise<void> {
  const file = openForRead(path, { inode: entry.inode, device });
  try {
    const sink = await writer.beginFile(file.entry(entry, accounts));
    if (typeof sink === 'string') return;
    let offset = 0;
    for await (const bytes of file.chunks(new Uint8Array(64 * 1024))) {
      await sink.write(bytes, offset);
      offset += bytes.length;
    }
    await sink.commit();
  } finally {
    file.close();
  }
}
