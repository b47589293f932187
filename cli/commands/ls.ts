import { formatSize } from '../../lib/base/units.ts';
import { withVault } from '../context.ts';
import { localTime, modeText, rfc3339, shown } from '../words.ts';
import type { ListedEntry } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

function entryJson(entry: ListedEntry): Record<string, unknown> {
  return {
    path: entry.path,
    type: entry.type,
    mode: entry.mode,
    permissions: modeText(entry.type, entry.mode),
    uid: entry.uid,
    gid: entry.gid,
    user: entry.user,
    group: entry.group,
    size: entry.bytes,
    mtime: rfc3339(entry.mtimeNs),
    link_target: entry.linkTarget,
    error: entry.error,
  };
}

function entryLine(entry: ListedEntry): string {
  const target = entry.linkTarget === null ? '' : ` -> ${shown(entry.linkTarget)}`;
  const error = entry.error === null ? '' : `  (${shown(entry.error)})`;
  const columns = [
    modeText(entry.type, entry.mode),
    shown(entry.user ?? String(entry.uid)).padEnd(8),
    (entry.type === 'file' ? formatSize(entry.bytes) : '-').padStart(8),
    localTime(entry.mtimeNs),
  ];
  return `${columns.join(' ')} ${shown(entry.path)}${target}${error}`;
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  await withVault(context, async (vault) => {
    // One JSON array, but printed as it comes: a tree may have millions of entries.
    let before = '[';
    for await (const entry of vault.list(args.required('snapshot'))) {
      output.documentPart(`${before}${JSON.stringify(entryJson(entry))}`);
      before = ',\n';
      output.print(entryLine(entry));
      await output.drained();
      if (output.closed) break;
    }
    output.documentPart(before === '[' ? '[]\n' : ']\n');
  });
  return undefined;
}

export const lsCommand: Command = {
  name: 'ls',
  describe: 'List what is in a snapshot',
  positionals: [
    {
      name: 'snapshot',
      required: true,
      describe: 'A snapshot (start of its id, or latest), with :PATH for a part of it',
    },
  ],
  options: {},
  examples: [
    ['kith ls latest', 'everything in the newest snapshot'],
    ['kith ls 3fa2:/home/anna/Documents', 'one folder of an older one'],
  ],
  onInterrupt: 'exit',
  run,
};
