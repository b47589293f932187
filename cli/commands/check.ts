import { countOf, formatSize } from '../../lib/base/units.ts';
import { allHolders, type HolderCounts } from '../../lib/placement/words.ts';
import { parseReadPart } from '../../lib/vault/check/read-part.ts';
import { withOperation, withVault } from '../context.ts';
import { seconds } from '../json.ts';
import { countsOf, knownHolders } from '../known-holders.ts';
import { shown } from '../words.ts';
import type { CheckSummary } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

function summaryFields(summary: CheckSummary, readData: boolean): Record<string, unknown> {
  return {
    read_data: readData,
    part: summary.part,
    snapshots: summary.snapshots,
    snapshots_affected: summary.snapshotsAffected.length,
    snapshots_affected_ids: summary.snapshotsAffected,
    snapshots_not_restorable_now: summary.snapshotsNotNow.length,
    packs: summary.packs,
    packs_read: summary.packsRead,
    packs_damaged: summary.packsDamaged,
    packs_lost: summary.packsLost,
    shards_read: summary.shardsRead,
    shards_damaged: summary.shardsDamaged,
    shards_missing: summary.shardsMissing,
    shards_away: summary.shardsAway,
    shards_unread: summary.shardsUnread,
    blobs: summary.blobs,
    blobs_read: summary.blobsRead,
    blobs_damaged: summary.blobsDamaged,
    blobs_missing: summary.blobsMissing,
    records_damaged: summary.recordsDamaged,
    bytes_read: summary.bytesRead,
    away: summary.away,
    next_step: nextStep(summary),
    total_duration: seconds(summary.durationMs),
  };
}

/** True if something that is stored is no good, or gone for good. */
function isDamaged(summary: CheckSummary): boolean {
  return (
    summary.packsDamaged + summary.blobsDamaged + summary.blobsMissing + summary.recordsDamaged > 0 ||
    summary.snapshotsAffected.length > 0
  );
}

/** The next command to run, or null when there is nothing to do. */
export function nextStep(summary: CheckSummary): string | null {
  if (summary.snapshotsAffected.length > 0) return 'kith repair, then kith backup PATH';
  if (isDamaged(summary) || summary.shardsMissing > 0) return 'kith repair';
  return null;
}

function goodLines(summary: CheckSummary, readData: boolean): string[] {
  const all = countOf(summary.snapshots, 'snapshot');
  const lines = [`${all} looked through; ${countOf(summary.packs, 'part')} of what is stored listed.`];
  if (readData) {
    const part = summary.part === null ? '' : ` (${summary.part})`;
    lines.push(
      `${formatSize(summary.bytesRead)} read${part} in ${countOf(summary.shardsRead, 'piece')}, ${countOf(summary.blobsRead, 'blob')} opened.`,
    );
  }
  return lines;
}

function summaryLines(summary: CheckSummary, counts: HolderCounts, readData: boolean): string[] {
  const lines = goodLines(summary, readData);
  const { shardsMissing, shardsDamaged, shardsAway, shardsUnread } = summary;
  if (shardsDamaged > 0) lines.push(`${countOf(shardsDamaged, 'piece is', 'pieces are')} damaged.`);
  if (shardsMissing > 0) lines.push(`${countOf(shardsMissing, 'piece is', 'pieces are')} missing.`);
  if (shardsUnread > 0) lines.push(`${countOf(shardsUnread, 'piece', 'pieces')} could not be read now.`);
  if (summary.away.length > 0) {
    const what = shardsAway === 0 ? '' : ` ${countOf(shardsAway, 'piece lies', 'pieces lie')} with them.`;
    lines.push(`Not here: ${summary.away.map(shown).join(', ')}.${what}`);
  }
  const notNow = summary.snapshotsNotNow.length;
  if (notNow > 0) {
    lines.push(
      `${countOf(notNow, 'snapshot')} can not be restored whole with the ${allHolders(counts)} that are here now.`,
    );
  }
  if (isDamaged(summary)) return lines;
  lines.push(
    readData ? 'No damage found.' : 'No damage found; kith check --read-data reads every byte as well.',
  );
  if (shardsMissing > 0) lines.push('To have what is missing made again: kith repair');
  return lines;
}

/** Exit status 1 for damage; pieces that are merely missing or away are none. */
export function checkOutcome(summary: CheckSummary): Outcome | undefined {
  if (!isDamaged(summary)) return undefined;
  const affected = summary.snapshotsAffected.length;
  if (affected > 0) {
    const away = summary.away.length > 0 ? `Bring back ${summary.away.join(', ')}, and run` : 'Run';
    return {
      exit: 1,
      message:
        `damage found: ${countOf(affected, 'snapshot')} can not be restored whole any more ` +
        `(${countOf(summary.blobsDamaged, 'blob')} damaged, ${summary.blobsMissing.toLocaleString('en-US')} gone).\n` +
        `${away}: kith repair. If the files are still on this computer, then run: kith backup PATH`,
    };
  }
  const records = summary.recordsDamaged > 0 ? `, ${countOf(summary.recordsDamaged, 'record')} damaged` : '';
  return {
    exit: 1,
    message:
      `damage found (${countOf(summary.packsDamaged, 'part')} of what is stored${records}), and no snapshot is affected: the rest makes up for it.\n` +
      'Run: kith repair',
  };
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const readPart = args.text('read-data-subset');
  if (readPart !== undefined) parseReadPart(readPart);
  const readData = args.flag('read-data') || readPart !== undefined;
  const { summary, counts } = await withVault(context, async (vault) => ({
    summary: await withOperation(context, (operation) =>
      vault.check({ ...operation, readData, ...(readPart !== undefined && { readPart }) }),
    ),
    counts: countsOf(await knownHolders(vault)),
  }));
  context.output.event('summary', summaryFields(summary, readData));
  context.output.say(...summaryLines(summary, counts, readData));
  return checkOutcome(summary);
}

export const checkCommand: Command = {
  name: 'check',
  describe: 'Look whether all that is stored is there and whole',
  positionals: [],
  options: {
    'read-data': { type: 'flag', describe: 'Read every byte, and open all that is stored' },
    'read-data-subset': {
      type: 'text',
      value: 'PART',
      describe: 'The same of a part: 5% (drawn at random) or 2/7 (the second of seven)',
    },
  },
  examples: [
    ['kith check', 'every snapshot is looked through: quick'],
    ['kith check --read-data', 'every piece is read where it lies, and all that is in it opened'],
    ['kith check --read-data-subset 5%', 'each time another twentieth of it'],
    ['kith check --read-data-subset 1/7', 'a seventh; 2/7 tomorrow, and in a week it was all'],
  ],
  onInterrupt: 'stop',
  run,
};
