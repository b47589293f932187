import { withVault } from '../context.ts';
import { driveTable } from '../drive-table.ts';
import { driveJson } from '../json.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context): Promise<Outcome | undefined> {
  const { output } = context;
  const drives = await withVault(context, (vault) => vault.driveList());
  output.document(drives.map(driveJson));
  if (drives.length === 0) output.print('No disks yet. Add one with: kith drive add PATH');
  else output.print(...driveTable(drives));
  return undefined;
}

export const driveListCommand: Command = {
  name: 'drive list',
  describe: 'Your disks: which are here, how full they are',
  positionals: [],
  options: {},
  examples: [
    ['kith drive list', 'a table'],
    ['kith drive list --json', 'for programs'],
  ],
  onInterrupt: 'exit',
  run,
};
