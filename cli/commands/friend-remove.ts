import { withVault } from '../context.ts';
import { friendJson } from '../json.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const force = args.flag('force');
  const friend = await withVault(context, (vault) => vault.friendRemove(args.required('friend'), { force }));
  output.document(friendJson(friend));
  output.say(
    `"${shown(friend.name)}" is no longer your friend here: nothing of yours is counted on there.`,
    'Next: kith repair   (puts what they held with your other friends and disks)',
  );
  return undefined;
}

export const friendRemoveCommand: Command = {
  name: 'friend remove',
  describe: 'End a friendship on this side',
  positionals: [{ name: 'friend', required: true, describe: 'Their name, or the start of their identity' }],
  options: {
    force: { type: 'flag', describe: 'Also when some snapshots could then not be restored' },
  },
  examples: [['kith friend remove ben && kith repair', 'others take over what ben held']],
  onInterrupt: 'stop',
  run,
};
