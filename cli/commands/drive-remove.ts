import { withVault } from '../context.ts';
import { driveJson } from '../json.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const force = args.flag('force');
  const drive = await withVault(context, (vault) => vault.driveRemove(args.required('disk'), { force }));
  output.document(driveJson(drive));
  output.say(
    `Disk "${shown(drive.name)}" is no longer used. ${
      drive.available
        ? `What kith wrote to ${shown(drive.path)} is still there.`
        : 'It is not here now; what kith wrote to it stays on it.'
    }`,
    'Next: kith repair   (puts what it held onto your other disks)',
  );
  return undefined;
}

export const driveRemoveCommand: Command = {
  name: 'drive remove',
  describe: 'Stop using a disk',
  positionals: [{ name: 'disk', required: true, describe: 'Its name or id' }],
  options: {
    force: { type: 'flag', describe: 'Also when some snapshots could then not be restored' },
  },
  examples: [['kith drive remove usb-red && kith repair', 'the other disks take over what it held']],
  onInterrupt: 'stop',
  run,
};
