import { resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { systemClock } from '../../lib/base/clock.ts';
import { throwIfAborted } from '../../lib/base/concurrency.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { countOf, formatDuration, formatSize, parseDuration } from '../../lib/base/units.ts';
import { withOperation, withVault } from '../context.ts';
import { seconds } from '../json.ts';
import { shown } from '../words.ts';
import type { RestoreOptions, RestoreSummary } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

/** How often it is looked whether a disk or friend is back. */
const retryMs = 2000;

const overwriteChoices: readonly NonNullable<RestoreOptions['overwrite']>[] = [
  'always',
  'if-changed',
  'if-newer',
  'never',
];

function summaryFields(summary: RestoreSummary, dryRun: boolean): Record<string, unknown> {
  return {
    dry_run: dryRun,
    files_restored: summary.filesRestored,
    files_skipped: summary.filesSkipped,
    files_failed: summary.filesFailed,
    folders_restored: summary.foldersRestored,
    symlinks_restored: summary.symlinksRestored,
    bytes_restored: summary.bytesRestored,
    removed: summary.removed,
    shards_replaced: summary.shardsReplaced,
    total_duration: seconds(summary.durationMs),
  };
}

/** How long to wait for disks and friends that are away: what `--wait` says, on a terminal until Ctrl-C, else not at all. */
function waitTime(context: Context, args: Args): number {
  const text = args.optionalText('wait');
  if (text === '') return Number.POSITIVE_INFINITY;
  if (text !== undefined) return parseDuration(text);
  const terminal = process.stdin.isTTY && process.stderr.isTTY && !context.output.json;
  return terminal ? Number.POSITIVE_INFINITY : 0;
}

/** Tries again while disks and friends that are only away could make it possible. Nothing is written before all can be read. */
async function untilRestorable<T>(context: Context, waitMs: number, restore: () => Promise<T>): Promise<T> {
  const deadline = systemClock.monotonicMs() + waitMs;
  for (let told = false; ; told = true) {
    try {
      return await restore();
    } catch (error) {
      const away = isKithError(error, 'not-restorable') && Number(error.details['packsLost'] ?? 0) === 0;
      const names = isKithError(error) && Array.isArray(error.details['away']) ? error.details['away'] : [];
      if (!away || names.length === 0 || systemClock.monotonicMs() >= deadline) throw error;
      if (!told)
        context.output.note(`waiting for ${names.map(shown).join(' or ')} to be there; Ctrl-C stops`);
      await setTimeout(retryMs, undefined, { signal: context.signal }).catch(() => undefined);
      throwIfAborted(context.signal);
    }
  }
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const dryRun = args.flag('dry-run');
  const target = resolve(args.required('target'));
  const overwrite = overwriteChoices.find((choice) => choice === args.text('overwrite'));
  const waitMs = waitTime(context, args);
  const summary = await withVault(context, (vault) =>
    withOperation(context, (operation) =>
      untilRestorable(context, waitMs, () =>
        vault.restore({
          ...operation,
          what: args.required('snapshot'),
          target,
          include: args.list('include'),
          exclude: args.list('exclude'),
          ...(overwrite !== undefined && { overwrite }),
          deleteExtra: args.flag('delete'),
          dryRun,
          verify: args.flag('verify'),
        }),
      ),
    ),
  );
  output.event('summary', summaryFields(summary, dryRun));
  const rate = (summary.bytesRestored / Math.max(1, summary.durationMs)) * 1000;
  const time = dryRun ? '' : ` in ${formatDuration(summary.durationMs)} (${formatSize(rate)}/s)`;
  output.say(
    `${dryRun ? 'Would restore' : 'Restored'} ${countOf(summary.filesRestored, 'file')} and ` +
      `${countOf(summary.foldersRestored, 'folder')} (${formatSize(summary.bytesRestored)}) to ${shown(target)}${time}.`,
  );
  if (summary.filesSkipped > 0)
    output.say(`${countOf(summary.filesSkipped, 'file was', 'files were')} left as found.`);
  if (summary.removed > 0) {
    output.say(
      `${dryRun ? 'Would remove' : 'Removed'} ${countOf(summary.removed, 'thing')} that the snapshot does not have${output.verbose ? '' : ' (-v names them)'}.`,
    );
  }
  if (summary.shardsReplaced > 0) {
    output.say('Some stored data was damaged or gone and was rebuilt on the way. Next: kith repair');
  }
  if (summary.filesFailed === 0) return undefined;
  return {
    exit: 1,
    message: `${countOf(summary.filesFailed, 'item')} could not be restored (named above); all the rest is there.`,
  };
}

export const restoreCommand: Command = {
  name: 'restore',
  describe: 'Write files from a snapshot into a folder',
  positionals: [
    {
      name: 'snapshot',
      required: true,
      describe: 'A snapshot (start of its id, or latest), with :PATH for a part of it',
    },
  ],
  options: {
    target: {
      type: 'text',
      alias: 't',
      value: 'DIR',
      required: true,
      describe: 'Where to; it is made if it is not there',
    },
    include: {
      type: 'list',
      value: 'PATTERN',
      describe: 'Only what matches; without a slash it matches names',
    },
    exclude: { type: 'list', value: 'PATTERN', describe: 'Not what matches' },
    overwrite: {
      type: 'text',
      value: 'WHEN',
      choices: overwriteChoices,
      describe: 'Files that are there already: always (default), if-changed, if-newer, never',
    },
    delete: {
      type: 'flag',
      describe:
        'Remove from restored folders what the snapshot does not have, also what the backup left out (excluded, .kithignore)',
    },
    'dry-run': { type: 'flag', alias: 'n', describe: 'Say what would be done, write nothing' },
    wait: {
      type: 'text',
      value: 'TIME',
      valueOptional: true,
      describe:
        'Wait for disks and friends that are away (on a terminal: always), at most TIME, written --wait=10m',
    },
    verify: { type: 'flag', describe: 'Read back what was written and compare' },
  },
  examples: [
    ['kith restore latest --target /tmp/back', '/home/anna/Documents lands in /tmp/back/home/anna/Documents'],
    [
      'kith restore latest:/home/anna/Documents --target ~/Documents',
      "the folder's contents, into that folder",
    ],
    ['kith restore 3fa2 --target /tmp/back --include "*.jpg"', 'only some files of an older snapshot'],
  ],
  onInterrupt: 'stop',
  run,
};
