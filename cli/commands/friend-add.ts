import { KithError, isKithError } from '../../lib/base/errors.ts';
import { formatSize } from '../../lib/base/units.ts';
import { readCard } from '../card-input.ts';
import { withVault } from '../context.ts';
import { friendOptions, friendOptionSpecs } from '../friend-options.ts';
import { friendJson } from '../json.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

/** Says of a card whose text is in order and whose contents aren't what that means, and what to do. */
function explained(error: unknown): unknown {
  if (!isKithError(error, 'malformed', 'not-authentic') || error.details['what'] === 'card') return error;
  return new KithError(
    error.code,
    `this card was damaged or changed on its way (${error.message}). Ask your friend for it again; they get it with: kith card`,
    { details: error.details, cause: error },
  );
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const options = friendOptions(args);
  const card = await readCard(args.required('card'));
  const friend = await withVault(context, (vault) => vault.friendAdd(card, options)).catch(
    (error: unknown) => {
      throw explained(error);
    },
  );
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
