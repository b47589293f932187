import { withVault } from '../context.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const key = args.required('key');
  const value = args.required('value');
  const entry = await withVault(context, (vault) => vault.configSet(key, value));
  output.document(entry);
  output.say(`${entry.key} = ${shown(entry.value)}`);
  return undefined;
}

export const configSetCommand: Command = {
  name: 'config set',
  describe: 'Change a setting',
  positionals: [
    { name: 'key', required: true, describe: 'The setting' },
    { name: 'value', required: true, describe: 'Its new value' },
  ],
  options: {},
  examples: [
    ['kith config set spread 3/5', 'any 3 of 5 disks restore what is backed up from now on'],
    ['kith config set shard.queue 20GB', 'how much may wait on this computer for disks'],
  ],
  onInterrupt: 'stop',
  run,
};
