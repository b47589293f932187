import { withVault } from '../context.ts';
import { deviceJson, deviceTable } from '../device-table.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context): Promise<Outcome | undefined> {
  const devices = await withVault(context, (vault) => vault.deviceList());
  context.output.document(devices.map(deviceJson));
  context.output.print(...deviceTable(devices));
  return undefined;
}

export const deviceListCommand: Command = {
  name: 'device list',
  describe: 'Your computers that share this identity and its backups',
  positionals: [],
  options: {},
  examples: [
    ['kith device list', 'a table'],
    ['kith device list --json', 'for programs'],
  ],
  onInterrupt: 'exit',
  run,
};
