import { resolve } from 'node:path';
import { formatSize } from '../../lib/base/units.ts';
import { withVault } from '../context.ts';
import { driveJson } from '../json.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const quotaBytes = args.size('quota');
  const name = args.text('name');
  const household = args.text('household');
  const { drive, count } = await withVault(context, async (vault) => {
    const added = await vault.driveAdd({
      path: resolve(args.required('path')),
      whole: args.flag('whole'),
      ...(name !== undefined && { name }),
      ...(quotaBytes !== undefined && { quotaBytes }),
      ...(household !== undefined && { household }),
    });
    return { drive: added, count: (await vault.driveList({ brief: true })).length };
  });
  output.document(driveJson(drive));
  const free = drive.freeBytes === null ? '' : `, ${formatSize(drive.freeBytes)} free`;
  const room = drive.quotaBytes === null ? '' : `, room for ${formatSize(drive.quotaBytes)}`;
  output.say(`Disk "${shown(drive.name)}" at ${shown(drive.path)} is yours to use${free}${room}.`);
  if (count === 1) output.say('With more disks you may lose some of them: add at least two more.');
  return undefined;
}

export const driveAddCommand: Command = {
  name: 'drive add',
  describe: 'Use a folder, USB disk or NAS mount as a place for backups',
  positionals: [
    { name: 'path', required: true, describe: 'A folder on the disk; it is made if it is not there' },
  ],
  options: {
    name: { type: 'text', value: 'NAME', describe: 'What you call it (default: from the path)' },
    quota: {
      type: 'text',
      alias: 'give',
      value: 'SIZE',
      describe: 'Use at most this much of it, such as 50GB',
    },
    household: {
      type: 'text',
      value: 'HOME',
      describe: 'Where it is kept: disks in the same place can be lost together',
    },
    whole: { type: 'flag', describe: 'Also keep enough here to restore everything from this disk alone' },
  },
  examples: [
    ['kith drive add /media/usb-red/kith', 'a folder on a USB disk'],
    ['kith drive add /mnt/nas/kith --name nas --quota 500GB', 'a NAS, of which kith uses at most 500 GB'],
    ['kith drive add /media/office --household office', 'a disk that is kept somewhere else'],
  ],
  onInterrupt: 'stop',
  run,
};
