import { parseSpread } from '../../lib/placement/spread.ts';
import { resolve } from 'node:path';
import { KithError } from '../../lib/base/errors.ts';
import { countOf, formatCount, formatDuration, formatSize, listOf } from '../../lib/base/units.ts';
import { allHolders, holderNoun, type HolderCounts } from '../../lib/placement/words.ts';
import { withOperation, withVault } from '../context.ts';
import { seconds, spreadText } from '../json.ts';
import { countsOf, knownHolders, moreHolders, type KnownHolders } from '../known-holders.ts';
import { sentence, toleranceWords } from '../words.ts';
import type { BackupSummary } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';
import type { Output } from '../output.ts';

function summaryFields(summary: BackupSummary, dryRun: boolean): Record<string, unknown> {
  return {
    snapshot_id: summary.snapshotId,
    dry_run: dryRun,
    files_new: summary.filesNew,
    files_changed: summary.filesChanged,
    files_unmodified: summary.filesUnmodified,
    files_unreadable: summary.filesUnreadable,
    files_changed_while_read: summary.filesChangedWhileRead,
    folders_total: summary.foldersTotal,
    total_files_processed: summary.totalFilesProcessed,
    total_bytes_processed: summary.totalBytesProcessed,
    data_added: summary.dataAdded,
    data_stored: summary.dataStored,
    packs_new: summary.packsNew,
    shards_placed: summary.shardsPlaced,
    shards_missing: summary.shardsMissing,
    packs_below_k: summary.packsBelowK,
    state: summary.state,
    spread: spreadText(summary.spread),
    tolerates: summary.tolerates,
    total_duration: seconds(summary.durationMs),
  };
}

/** `on your 5 disks`, `with your 3 friends`, `on your 2 disks and with your friend`. */
function places({ drives, friends }: KnownHolders): string {
  return listOf(
    [
      ...(drives.length > 0 ? [`on your ${countOf(drives.length, 'disk')}`] : []),
      ...(friends.length > 0 ? [`with your ${countOf(friends.length, 'friend')}`] : []),
    ],
    'and',
  );
}

function printSummary(output: Output, summary: BackupSummary, holders: KnownHolders): void {
  const files = countOf(summary.totalFilesProcessed, 'file');
  const parts = [
    `${formatCount(summary.filesNew)} new`,
    `${formatCount(summary.filesChanged)} changed`,
    `${formatCount(summary.filesUnmodified)} as before`,
  ].join(', ');
  const time = formatDuration(summary.durationMs);
  const size = formatSize(summary.totalBytesProcessed);
  if (summary.snapshotId === null) {
    output.say(
      `Would back up ${files} (${size}): ${parts}. ${formatSize(summary.dataAdded)} would be new. Nothing was stored.`,
    );
    return;
  }
  const where = places(holders);
  output.say(
    `Backed up ${files} (${size}) in ${time}: ${parts}. Snapshot ${summary.snapshotId.slice(0, 8)}.`,
    summary.dataAdded === 0
      ? `Nothing in them was new; the snapshot itself takes ${formatSize(summary.dataStored)} ${where}.`
      : `${formatSize(summary.dataAdded)} were new; encrypted and spread they take ${formatSize(summary.dataStored)} ${where}.`,
  );
  if (summary.state !== 'pending' && summary.tolerates !== null) {
    output.say(
      summary.tolerates === 0
        ? `If one of your ${allHolders(countsOf(holders))} is lost, files are lost: all of it is with too few of them.`
        : `${sentence(toleranceWords(summary.tolerates, holders))}, and everything still comes back.`,
    );
  }
}

/** Exit status and reason, in the order of the contract: not safe yet, thinner than asked, something unreadable. */
export function backupOutcome(
  summary: BackupSummary,
  dryRun: boolean,
  counts: HolderCounts = { drives: 1, friends: 0 },
): Outcome | undefined {
  const { one, many } = holderNoun(counts);
  if (!dryRun && (summary.state === 'pending' || summary.packsBelowK > 0)) {
    const need = countOf(summary.spread.k, `${one} is`, `${many} are`);
    const yet = counts.friends === 0 ? 'not on your disks yet' : 'not safe yet';
    return {
      exit: 1,
      message:
        `${yet}: at least ${need} needed, with room. Nothing is lost, the data waits on this computer.\n` +
        `${moreHolders(counts)}, then run: kith repair`,
    };
  }
  if (!dryRun && summary.shardsMissing > 0) {
    return {
      exit: 4,
      message:
        `everything can be restored, but fewer ${allHolders(counts)} than asked for could take their part.\n` +
        `${moreHolders(counts)}, then run: kith repair`,
    };
  }
  if (summary.filesUnreadable > 0) {
    const them = countOf(summary.filesUnreadable, 'item');
    return { exit: 3, message: `${them} could not be read (named above); all the rest is backed up.` };
  }
  if (summary.filesChangedWhileRead > 0) {
    const them = countOf(summary.filesChangedWhileRead, 'file');
    return {
      exit: 3,
      message: `${them} changed while being read (named above): what is stored of them may be a mixture. Run the same command again.`,
    };
  }
  return undefined;
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const dryRun = args.flag('dry-run');
  const spreadGiven = args.text('spread');
  const spread = spreadGiven === undefined ? undefined : parseSpread(spreadGiven);
  const largerThan = args.size('exclude-larger-than');
  const { summary, holders } = await withVault(context, async (vault) => {
    const result = await withOperation(context, (operation) =>
      vault.backup({
        ...operation,
        paths: args.list('path').map((path) => resolve(path)),
        excludes: args.list('exclude'),
        excludeFiles: args.list('exclude-file').map((path) => resolve(path)),
        excludeCaches: args.flag('exclude-caches'),
        excludeIfPresent: args.list('exclude-if-present'),
        ...(largerThan !== undefined && { excludeLargerThan: largerThan }),
        oneFileSystem: args.flag('one-file-system'),
        tags: args.list('tag'),
        ...(spread !== undefined && { spread }),
        dryRun,
        force: args.flag('force'),
      }),
    );
    return { summary: result, holders: await knownHolders(vault) };
  });
  output.event('summary', summaryFields(summary, dryRun));
  printSummary(output, summary, holders);
  if (summary.state === 'partial' && context.signal.aborted) {
    throw new KithError('interrupted', 'interrupted; run the same command again to go on');
  }
  return backupOutcome(summary, dryRun, countsOf(holders));
}

export const backupCommand: Command = {
  name: 'backup',
  describe: 'Back up files and folders: makes a snapshot',
  positionals: [{ name: 'path', required: true, many: true, describe: 'Files and folders to back up' }],
  options: {
    exclude: { type: 'list', value: 'PATTERN', describe: 'Leave out what matches (as in .gitignore)' },
    'exclude-file': { type: 'list', value: 'FILE', describe: 'Patterns from a file, one a line' },
    'exclude-caches': { type: 'flag', describe: 'Leave out folders marked with CACHEDIR.TAG' },
    'exclude-if-present': {
      type: 'list',
      value: 'NAME',
      describe: 'Leave out folders that have a file of this name',
    },
    'exclude-larger-than': { type: 'text', value: 'SIZE', describe: 'Leave out files above this size' },
    'one-file-system': { type: 'flag', alias: 'x', describe: 'Stay on the file systems of the given paths' },
    tag: { type: 'list', value: 'TAG', describe: 'Mark the snapshot' },
    spread: {
      type: 'text',
      value: 'K/N',
      describe: 'Any K of N disks and friends restore it (default: the setting "spread")',
    },
    force: { type: 'flag', describe: 'Read every file, also those that look unchanged' },
    'dry-run': { type: 'flag', alias: 'n', describe: 'Say what would be done, store nothing' },
  },
  examples: [
    ['kith backup ~/Documents', 'only what changed is stored again'],
    ['kith backup ~ --exclude node_modules --exclude-larger-than 2GB', 'without what can be made again'],
    ['kith backup ~/Photos --spread 3/5 --tag photos', 'any 3 of 5 disks or friends restore it'],
  ],
  onInterrupt: 'stop',
  run,
};
