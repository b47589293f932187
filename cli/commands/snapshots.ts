import { resolve } from 'node:path';
import { systemClock } from '../../lib/base/clock.ts';
import { formatCount, formatSize } from '../../lib/base/units.ts';
import { withVault } from '../context.ts';
import { localTime, rfc3339, shown, table } from '../words.ts';
import type { SnapshotInfo } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

function snapshotJson(snapshot: SnapshotInfo): Record<string, unknown> {
  return {
    id: snapshot.id,
    short_id: snapshot.shortId,
    time: rfc3339(snapshot.timeNs),
    paths: snapshot.paths,
    hostname: snapshot.hostname,
    user: snapshot.user,
    tags: snapshot.tags,
    state: snapshot.state,
    parent: snapshot.parent,
    summary: {
      files: snapshot.summary.files,
      folders: snapshot.summary.folders,
      bytes: snapshot.summary.bytes,
      bytes_added: snapshot.summary.bytesAdded,
      unreadable: snapshot.summary.unreadable,
    },
  };
}

const stateWords: Readonly<Record<SnapshotInfo['state'], string>> = {
  complete: '',
  partial: 'partial',
  pending: 'pending: not safe yet',
};

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const tag = args.text('tag');
  const path = args.text('path');
  const host = args.text('host');
  const snapshots = await withVault(context, (vault) =>
    vault.snapshots({
      ...(tag !== undefined && { tag }),
      ...(path !== undefined && { path: resolve(path) }),
      ...(host !== undefined && { host }),
    }),
  );
  output.document(snapshots.map(snapshotJson));
  if (snapshots.length === 0) {
    const isPart = tag !== undefined || path !== undefined || host !== undefined;
    output.print(
      isPart
        ? 'No snapshots like that. All of them: kith snapshots'
        : 'No snapshots. Make one with: kith backup PATH',
    );
    return undefined;
  }
  const now = systemClock.nowNs();
  const rows = snapshots.map((snapshot) => [
    snapshot.shortId,
    localTime(snapshot.timeNs),
    shown(snapshot.hostname),
    formatCount(snapshot.summary.files),
    formatSize(snapshot.summary.bytes),
    snapshot.tags.map(shown).join(','),
    [stateWords[snapshot.state], snapshot.timeNs > now ? 'its time lies ahead: a clock was wrong' : '']
      .filter((words) => words !== '')
      .join('; '),
    snapshot.paths.map(shown).join(' '),
  ]);
  output.print(...table(['id', 'time', 'computer', 'files', 'size', 'tags', 'state', 'what'], rows));
  return undefined;
}

export const snapshotsCommand: Command = {
  name: 'snapshots',
  describe: 'List snapshots, oldest first',
  positionals: [],
  options: {
    tag: { type: 'text', value: 'TAG', describe: 'Only those with this tag' },
    path: { type: 'text', value: 'PATH', describe: 'Only those of this file or folder' },
    host: { type: 'text', value: 'NAME', describe: 'Only those from this computer' },
  },
  examples: [
    ['kith snapshots', 'all of them'],
    ['kith snapshots --tag photos --json', 'for programs'],
  ],
  onInterrupt: 'exit',
  run,
};
