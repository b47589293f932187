import { countOf } from '../../lib/base/units.ts';
import { keyOptions } from '../context.ts';
import { readLink } from '../link-input.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output, signal } = context;
  const link = await readLink(args.required('link'));
  const { joinVault } = await import('../../lib/vault/index.ts');
  const { dialLink } = await import('../../lib/daemon/join-link.ts');
  const summary = await joinVault({
    ...keyOptions(context),
    link,
    name: args.text('name'),
    signal,
    dial: dialLink,
    onWords: (words) => {
      output.event('words', { words });
      output.print(`Both screens must show: ${words}`);
      output.say('Answer on the other computer.');
    },
  });
  output.event('summary', {
    id: summary.id,
    name: summary.name,
    device: summary.deviceId,
    device_name: summary.deviceName,
    home: context.home,
    snapshots: summary.snapshots,
  });
  output.print(
    `This computer is "${shown(summary.deviceName)}" of "${shown(summary.name)}" now, with ${countOf(summary.snapshots, 'snapshot')}.`,
  );
  output.say('Next: kith up, so that it meets your other computers and friends; kith backup PATH');
  return undefined;
}

export const deviceJoinCommand: Command = {
  name: 'device join',
  describe: 'On a further computer: become one of yours, with a link',
  positionals: [
    { name: 'link', describe: 'The line that kith device link printed, or a file with it', required: true },
  ],
  options: {
    name: {
      type: 'text',
      value: 'N',
      describe: "What your other computers call this one; the host's name unless given",
    },
  },
  examples: [['kith device join kith:link:…', 'the line from the other screen']],
  onInterrupt: 'stop',
  run,
};
