import { withVault } from '../context.ts';
import { friendTable } from '../friend-table.ts';
import { friendJson } from '../json.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context): Promise<Outcome | undefined> {
  const { output } = context;
  const friends = await withVault(context, (vault) => vault.friendList());
  output.document(friends.map(friendJson));
  if (friends.length === 0) output.print('No friends yet. Invite one: kith up --detach, then kith invite');
  else output.print(...friendTable(friends));
  return undefined;
}

export const friendListCommand: Command = {
  name: 'friend list',
  describe: 'Your friends: who is online, the room you give and get',
  positionals: [],
  options: {},
  examples: [
    ['kith friend list', 'a table'],
    ['kith friend list --json', 'for programs'],
  ],
  onInterrupt: 'exit',
  run,
};
