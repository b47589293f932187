import { KithError } from '../../lib/base/errors.ts';
import { withVault } from '../context.ts';
import { friendOptions, friendOptionSpecs } from '../friend-options.ts';
import { friendLines } from '../friend-table.ts';
import { friendJson } from '../json.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const options = { ...friendOptions(args), ...(args.flag('words-match') && { wordsMatch: true }) };
  if (Object.keys(options).length === 0) {
    throw new KithError('usage', 'friend set needs something to change, such as --give 100GB.');
  }
  const friend = await withVault(context, (vault) => vault.friendSet(args.required('friend'), options));
  output.document(friendJson(friend));
  output.say(...friendLines(friend));
  return undefined;
}

export const friendSetCommand: Command = {
  name: 'friend set',
  describe: 'Change what you give a friend, what they may use, or what you call them',
  positionals: [{ name: 'friend', required: true, describe: 'Their name, or the start of their identity' }],
  options: {
    ...friendOptionSpecs,
    'words-match': {
      type: 'flag',
      describe: 'You have compared the safety words: kith status no longer asks you to',
    },
  },
  examples: [
    ['kith friend set ben --give 200GB', 'you keep up to 200 GB for ben from now on'],
    [
      'kith friend set ben --quota 0',
      'ben can store nothing more here; what is here stays, and he can fetch it',
    ],
    ['kith friend set ben --visibility no', 'ben can no longer find you through your other friends'],
    ['kith friend set ben --deny store', 'ben can neither store nor fetch here; what is here stays'],
  ],
  onInterrupt: 'stop',
  run,
};
