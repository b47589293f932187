import { withVault } from '../context.ts';
import { friendJson, stepJson } from '../json.ts';
import { adviceLines, stepLine } from '../step-words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output, signal } = context;
  const { friend, steps } = await withVault(context, (vault) =>
    vault.friendPing(args.required('friend'), { signal }),
  );
  const ok = steps.some((step) => step.ok);
  output.document({
    friend: friendJson(friend),
    ok,
    steps: steps.map(stepJson),
  });
  output.print(...steps.map((step) => stepLine(step, friend)));
  if (ok) return undefined;
  // The steps have said it, unless it is about the invite.
  const why =
    friend.reason === null || (steps.length > 0 && friend.invite === null) ? '.' : `: ${friend.reason}`;
  return {
    exit: 1,
    message: [`"${friend.name}" can't be reached now${why}`, ...adviceLines(steps)].join('\n'),
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
