import { withVault } from '../context.ts';
import { driveTable } from '../drive-table.ts';
import { friendTable } from '../friend-table.ts';
import { driveJson, friendJson } from '../json.ts';
import { standingJson, standingLines } from '../standing-words.ts';
import { ago, localTime, rfc3339, rfc3339OrNull, shown, table } from '../words.ts';
import { systemClock } from '../../lib/base/clock.ts';
import { countOf, formatSize } from '../../lib/base/units.ts';
import type { StatusResult } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

/** Snapshots in the human output; --json and `kith snapshots` have all. */
const snapshotRowsMax = 10;

function statusJson(status: StatusResult): Record<string, unknown> {
  return {
    verdict: status.verdict,
    sentence: status.sentence,
    reasons: status.reasons,
    next_step: status.nextStep,
    last_complete: rfc3339OrNull(status.lastComplete),
    last_drill: rfc3339OrNull(status.lastDrill),
    tolerates: status.tolerates,
    offsite_tolerates: status.offsiteTolerates,
    survives_home_loss: status.survivesHomeLoss,
    id: status.id,
    name: status.name,
    listen: status.listen,
    ...standingJson(status.standing),
    friends: status.friends.map(friendJson),
    drives: status.drives.map(driveJson),
    snapshots: status.snapshots.map((snapshot) => ({
      id: snapshot.id,
      time: rfc3339(snapshot.timeNs),
      state: snapshot.state,
      tolerates: snapshot.tolerates,
      restorable: snapshot.restorable,
      health: snapshot.health,
    })),
    waiting_packs: status.waitingPacks,
    waiting_bytes: status.waitingBytes,
  };
}

function statusLines(status: StatusResult, home: string): string[] {
  const lines = [`${status.verdict}: ${shown(status.sentence)}`];
  for (const reason of status.reasons) lines.push(`  ${shown(reason)}`);
  if (status.nextStep !== null) lines.push(`Next: ${shown(status.nextStep)}`);
  lines.push('', `You are "${shown(status.name)}", identity ${status.id.slice(0, 16)}, home ${shown(home)}`);
  const last = status.lastComplete;
  lines.push(
    last === null
      ? 'No complete backup yet.'
      : `Last complete backup: ${localTime(last)} (${ago(last, systemClock.nowNs())})`,
  );
  if (status.waitingBytes > 0) {
    lines.push(
      `${formatSize(status.waitingBytes)} wait on this computer for room on your disks or with friends.`,
    );
  }
  lines.push(...standingLines(status.standing));
  if (status.friends.length > 0) lines.push('', ...friendTable(status.friends));
  if (status.drives.length > 0) lines.push('', ...driveTable(status.drives));
  if (status.drives.length === 0 && status.friends.length === 0)
    lines.push('', 'No disks and no friends yet.');
  if (status.snapshots.length > 0) {
    const newest = status.snapshots.slice(-snapshotRowsMax);
    const rows = newest.map((snapshot) => [
      snapshot.id.slice(0, 8),
      localTime(snapshot.timeNs),
      snapshot.state,
      shown(snapshot.health),
    ]);
    lines.push('', ...table(['snapshot', 'time', 'state', 'health'], rows));
    const more = status.snapshots.length - newest.length;
    if (more > 0) lines.push(`and ${countOf(more, 'older snapshot')}: kith snapshots`);
  }
  return lines;
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const status = await withVault(context, (vault) => vault.status());
  output.document(statusJson(status));
  if (output.quiet) output.print(`${status.verdict}: ${shown(status.sentence)}`);
  else output.print(...statusLines(status, context.home));
  if (!args.flag('check') || status.verdict === 'Safe') return undefined;
  return { exit: 1, message: `${status.verdict}: ${status.sentence}` };
}

export const statusCommand: Command = {
  name: 'status',
  describe: 'Is everything safe, what may be lost, what to do next',
  positionals: [],
  options: {
    check: { type: 'flag', describe: 'Exit with status 1 unless the verdict is Safe' },
  },
  examples: [
    ['kith status', 'the verdict, then friends, disks and snapshots'],
    ['kith status --check --quiet', 'one line, for a monitoring script'],
  ],
  onInterrupt: 'exit',
  run,
};
