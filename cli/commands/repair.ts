import { countOf, formatCount, formatSize } from '../../lib/base/units.ts';
import { allHolders, holderNoun, type HolderCounts } from '../../lib/placement/words.ts';
import { withOperation, withVault } from '../context.ts';
import { seconds } from '../json.ts';
import { countsOf, knownHolders, moreHolders, type KnownHolders } from '../known-holders.ts';
import { sentence, shown, toleranceWords } from '../words.ts';
import type { RepairSummary } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

function summaryFields(summary: RepairSummary, dryRun: boolean): Record<string, unknown> {
  return {
    dry_run: dryRun,
    packs_checked: summary.packsChecked,
    shards_missing: summary.shardsMissing,
    shards_damaged: summary.shardsDamaged,
    shards_rebuilt: summary.shardsRebuilt,
    shards_still_missing: summary.shardsStillMissing,
    packs_adopted: summary.packsAdopted,
    packs_lost: summary.packsLost,
    packs_failed: summary.packsFailed,
    snapshots_published: summary.snapshotsPublished,
    bytes_read: summary.bytesRead,
    bytes_sent: summary.bytesSent,
    tolerates_before: summary.toleratesBefore,
    tolerates_after: summary.toleratesAfter,
    away: summary.away,
    total_duration: seconds(summary.durationMs),
  };
}

function summaryLines(summary: RepairSummary, holders: KnownHolders, dryRun: boolean): string[] {
  const counts = countsOf(holders);
  const bad = summary.shardsMissing;
  const lines: string[] = [];
  if (bad === 0) lines.push('Nothing is missing or damaged.');
  else if (dryRun)
    lines.push(`${countOf(bad, 'piece is', 'pieces are')} missing or damaged. Nothing was changed.`);
  else {
    const sent = formatSize(summary.bytesSent);
    lines.push(
      `${formatCount(bad)} missing or damaged, ${formatCount(summary.shardsRebuilt)} rebuilt; ${sent} sent.`,
    );
  }
  if (summary.snapshotsPublished > 0) {
    lines.push(
      `${countOf(summary.snapshotsPublished, 'snapshot')} that waited for ${allHolders(counts)} ${summary.snapshotsPublished === 1 ? 'is' : 'are'} complete now.`,
    );
  }
  if (summary.away.length > 0) {
    const names = summary.away.map(shown).join(', ');
    lines.push(`Not here: ${names}. What they hold is counted on for a while (setting "repair.grace").`);
    const kinds = [...(counts.drives > 0 ? ['drive'] : []), ...(counts.friends > 0 ? ['friend'] : [])];
    const remove = kinds.map((kind) => `kith ${kind} remove NAME`).join(' or ');
    lines.push(`If one is lost for good: ${remove}, then kith repair`);
  }
  const tolerates = dryRun ? summary.toleratesBefore : summary.toleratesAfter;
  if (summary.packsChecked > 0) lines.push(`${sentence(toleranceWords(tolerates, holders))}.`);
  return lines;
}

/** Exit status and reason: something can't be rebuilt or still waits, else some pieces still lack a place. */
export function repairOutcome(
  summary: RepairSummary,
  pending: number,
  dryRun: boolean,
  counts: HolderCounts,
): Outcome | undefined {
  if (summary.packsLost > 0) {
    return {
      exit: 1,
      message:
        `${countOf(summary.packsLost, 'part')} of what is stored can't be rebuilt from the ${allHolders(counts)} that ${counts.friends === 0 ? 'are here' : 'can be reached'}.\n` +
        (summary.away.length > 0
          ? `Bring back ${summary.away.join(', ')} and run: kith repair`
          : 'If the files are still on this computer, run: kith backup PATH'),
    };
  }
  if (dryRun) return undefined;
  if (summary.packsFailed > 0) {
    return {
      exit: 1,
      message:
        `${countOf(summary.packsFailed, 'part')} of what is stored could not be repaired (named above); all others were.\n` +
        `${moreHolders(counts)}, then run: kith repair`,
    };
  }
  if (pending > 0) {
    const them = countOf(pending, 'snapshot still waits', 'snapshots still wait');
    return {
      exit: 1,
      message: `${them} for ${allHolders(counts)}. ${moreHolders(counts)}, then run: kith repair`,
    };
  }
  if (summary.shardsStillMissing > 0) {
    return {
      exit: 4,
      message:
        `everything can be restored, but some pieces found no ${holderNoun(counts).one} with room.\n` +
        `${moreHolders(counts)}, then run: kith repair`,
    };
  }
  return undefined;
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const dryRun = args.flag('dry-run');
  const { summary, pending, holders } = await withVault(context, async (vault) => {
    const result = await withOperation(context, (operation) =>
      vault.repair({ ...operation, dryRun, quick: args.flag('quick') }),
    );
    const snapshots = await vault.snapshots();
    return {
      summary: result,
      pending: snapshots.filter((snapshot) => snapshot.state === 'pending').length,
      holders: await knownHolders(vault),
    };
  });
  output.event('summary', summaryFields(summary, dryRun));
  output.say(...summaryLines(summary, holders, dryRun));
  return repairOutcome(summary, pending, dryRun, countsOf(holders));
}

export const repairCommand: Command = {
  name: 'repair',
  describe: 'Rebuild what is missing or damaged onto disks and friends with room',
  positionals: [],
  options: {
    'dry-run': { type: 'flag', alias: 'n', describe: 'Only say what is missing' },
    quick: { type: 'flag', describe: 'Trust the lists of disks and friends instead of reading every byte' },
  },
  examples: [
    ['kith repair', 'after a disk was lost, replaced or plugged in again, or a friend left'],
    ['kith repair --dry-run', 'what it would do'],
  ],
  onInterrupt: 'stop',
  run,
};
