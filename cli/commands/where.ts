import { countOf, formatCount } from '../../lib/base/units.ts';
import { holderNoun } from '../../lib/placement/words.ts';
import { withVault } from '../context.ts';
import { spreadText } from '../json.ts';
import { countsOf, knownHolders, type KnownHolders } from '../known-holders.ts';
import { sentence, shown, spreadWords, table, toleranceWords } from '../words.ts';
import type { PackPlace, ShardState, WhereResult } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

function whereJson(result: WhereResult): Record<string, unknown> {
  return {
    snapshot_id: result.snapshotId,
    path: result.path,
    tolerates: result.tolerates,
    packs: result.packs.map((pack) => ({
      pack_id: pack.packId,
      spread: spreadText(pack.spread),
      generation: pack.generation,
      shards: pack.shards.map((shard) => ({
        index: shard.index,
        holder: shard.holder,
        holder_id: shard.holderId,
        kind: shard.kind,
        state: shard.state,
      })),
    })),
  };
}

const states: readonly ShardState[] = ['held', 'suspect', 'missing', 'lost', 'trash'];

/** One row a holder: how many shards it has, in which state. */
function holderRows(packs: readonly PackPlace[]): string[][] {
  const counts = new Map<string, Map<ShardState, number>>();
  for (const { shards } of packs) {
    for (const { holder, state } of shards) {
      const name = holder ?? '(nowhere)';
      const byState = counts.get(name) ?? new Map<ShardState, number>();
      byState.set(state, (byState.get(state) ?? 0) + 1);
      counts.set(name, byState);
    }
  }
  const names = [...counts.keys()].sort((a, b) => (a < b ? -1 : 1));
  return names.map((name) => [
    shown(name),
    ...states.map((state) => formatCount(counts.get(name)?.get(state) ?? 0)),
  ]);
}

function whereLines(result: WhereResult, holders: KnownHolders, verbose: boolean): string[] {
  const lines = [
    `Snapshot ${result.snapshotId.slice(0, 8)}${result.path === null ? '' : `: ${shown(result.path)}`}`,
  ];
  const spreads = new Map(result.packs.map((pack) => [spreadText(pack.spread), pack.spread]));
  for (const spread of spreads.values()) {
    const count = result.packs.filter((pack) => spreadText(pack.spread) === spreadText(spread)).length;
    lines.push(
      `${countOf(count, 'pack')} spread ${spreadText(spread)}: ${spreadWords(spread, countsOf(holders))}.`,
    );
  }
  lines.push(`${sentence(toleranceWords(result.tolerates, holders))}.`);
  const rows = holderRows(result.packs);
  const used = states.filter((_, index) => rows.some((row) => row[index + 1] !== '0'));
  const columns = [0, ...used.map((state) => states.indexOf(state) + 1)];
  lines.push(
    '',
    ...table(
      [holderNoun(countsOf(holders)).one, ...used.map((state) => `shards ${state}`)],
      rows.map((row) => columns.map((column) => row[column] ?? '')),
    ),
  );
  if (!verbose) return lines;
  for (const pack of result.packs) {
    lines.push('', `pack ${pack.packId} (${spreadText(pack.spread)}, generation ${pack.generation})`);
    for (const shard of pack.shards) {
      lines.push(
        `  ${String(shard.index).padStart(2)}  ${shard.state.padEnd(8)}${shown(shard.holder ?? '-')}`,
      );
    }
  }
  return lines;
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const { result, holders } = await withVault(context, async (vault) => ({
    result: await vault.where(args.required('snapshot')),
    holders: output.json ? { drives: [], friends: [] } : await knownHolders(vault),
  }));
  output.document(whereJson(result));
  output.print(...whereLines(result, holders, output.verbose));
  return undefined;
}

export const whereCommand: Command = {
  name: 'where',
  describe: 'Which disk or friend holds what of a snapshot, and what may still fail',
  positionals: [
    {
      name: 'snapshot',
      required: true,
      describe: 'A snapshot (start of its id, or latest), with :PATH for a part of it',
    },
  ],
  options: {},
  examples: [
    ['kith where latest', 'disks and friends, and how much each holds'],
    ['kith where latest:/home/anna/taxes.pdf --verbose', 'every piece of one file'],
  ],
  onInterrupt: 'exit',
  run,
};
