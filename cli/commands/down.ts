import { requireVault } from '../context.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context): Promise<Outcome | undefined> {
  const { output, home } = context;
  await requireVault(home);
  const { connectDaemon } = await import('../../lib/api/client.ts');
  // Of whatever version it is: the way from one to the next is down and up.
  const found = await connectDaemon(home, undefined);
  if (found === undefined) {
    output.document({ stopped: false, pid: null });
    output.say('kith is not up in this home; nothing to do.');
    return undefined;
  }
  const { pid } = found.about;
  output.note(`Stopping kith (process ${pid}) …`);
  await found.client.down();
  output.document({ stopped: true, pid });
  output.say('kith is down.');
  return undefined;
}

export const downCommand: Command = {
  name: 'down',
  describe: 'Stop the kith that runs in this home, and wait until it has stopped',
  positionals: [],
  options: {},
  examples: [['kith down', 'commands under way are ended in good order; none running is fine as well']],
  onInterrupt: 'exit',
  run,
};
