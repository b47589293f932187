import { withVault } from '../context.ts';
import { friendJson } from '../json.ts';
import { shown } from '../words.ts';
import type { PingStep } from '../../lib/vault/friend-network.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

const wayWords: Readonly<Record<PingStep['way'], string>> = {
  session: 'the open connection',
  direct: 'directly',
  dht: 'by their key',
  relay: 'through a friend who relays',
};

function stepLine({ way, address, ok, ms, message }: PingStep): string {
  const where = address === null ? '' : ` ${shown(address)}`;
  const end = ok
    ? `answered in ${ms.toFixed(1)} ms`
    : message === null
      ? 'no answer'
      : shown(address === null ? message : message.replace(`${address} `, ''));
  return `${wayWords[way]}${where}: ${end}`;
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output, signal } = context;
  const { friend, steps } = await withVault(context, (vault) =>
    vault.friendPing(args.required('friend'), { signal }),
  );
  const ok = steps.some((step) => step.ok);
  output.document({
    friend: friendJson(friend),
    ok,
    steps: steps.map((step) => ({
      way: step.way,
      address: step.address,
      ok: step.ok,
      ms: Math.round(step.ms * 10) / 10,
      message: step.message,
    })),
  });
  output.print(...steps.map(stepLine));
  if (ok) return undefined;
  const why = friend.reason === null ? '' : `: ${friend.reason}`;
  return {
    exit: 1,
    message: `"${friend.name}" can't be reached now${why}\nIs their computer on, with kith up? Have they added your card (kith card)? Their card may be an old one: ask for a new one.`,
  };
}

export const friendPingCommand: Command = {
  name: 'friend ping',
  describe: 'Can this friend be reached, and how',
  positionals: [{ name: 'friend', required: true, describe: 'Their name, or the start of their identity' }],
  options: {},
  examples: [['kith friend ping ben', 'every way that was tried, and how long it took']],
  onInterrupt: 'stop',
  run,
};
