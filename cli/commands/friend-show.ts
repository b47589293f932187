import { withVault } from '../context.ts';
import { friendLines } from '../friend-table.ts';
import { friendJson } from '../json.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const friend = await withVault(context, (vault) => vault.friendShow(args.required('friend')));
  output.document(friendJson(friend));
  output.print(...friendLines(friend));
  return undefined;
}

export const friendShowCommand: Command = {
  name: 'friend show',
  describe: 'All that is known of one friend',
  positionals: [{ name: 'friend', required: true, describe: 'Their name, or the start of their identity' }],
  options: {},
  examples: [
    ['kith friend show ben', 'room, services, devices, addresses'],
    ['kith friend show ben --json', 'for programs'],
  ],
  onInterrupt: 'exit',
  run,
};
