import { formatSize } from '../../lib/base/units.ts';
import { readCard } from '../card-input.ts';
import { withVault } from '../context.ts';
import { friendOptions, friendOptionSpecs } from '../friend-options.ts';
import { friendJson } from '../json.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const options = friendOptions(args);
  const card = await readCard(args.required('card'));
  const friend = await withVault(context, (vault) => vault.friendAdd(card, options));
  output.document(friendJson(friend));
  output.say(
    `"${shown(friend.name)}" is your friend now (identity ${friend.id.slice(0, 16)}), with room for ${formatSize(friend.quotaGiven)} here.`,
    'They have to add you as well: give them your card (kith card).',
  );
  return undefined;
}

export const friendAddCommand: Command = {
  name: 'friend add',
  describe: 'Add a friend by their card: your half of it, they do the same with yours',
  positionals: [
    { name: 'card', required: true, describe: "The friend's card: its line kith:card:… or a file with it" },
  ],
  options: friendOptionSpecs,
  examples: [
    ['kith friend add ben.card', 'the card came as a file'],
    ['kith friend add kith:card:… --name ben --give 100GB', 'pasted; you keep up to 100 GB for ben'],
    ['kith friend add ben.card --household mill-lane', 'friends under one roof share a household'],
  ],
  onInterrupt: 'stop',
  run,
};
