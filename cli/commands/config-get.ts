import { withVault } from '../context.ts';
import { shown, table } from '../words.ts';
import type { ConfigEntry } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

const originWords: Readonly<Record<ConfigEntry['origin'], string>> = {
  default: 'default',
  settings: 'set',
  'kith.toml': 'kith.toml',
};

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const key = args.text('key');
  const entries = await withVault(context, (vault) => vault.configGet(key));
  const [only] = entries;
  if (key !== undefined && only !== undefined) {
    output.document(only);
    output.print(shown(only.value));
    if (only.origin === 'kith.toml') output.note(`(from kith.toml, which wins over "kith config set")`);
    return undefined;
  }
  output.document(entries);
  const rows = entries.map((entry) => [entry.key, shown(entry.value), originWords[entry.origin], entry.help]);
  output.print(...table(['setting', 'value', 'from', 'what it does'], rows));
  return undefined;
}

export const configGetCommand: Command = {
  name: 'config get',
  describe: 'Show settings',
  positionals: [{ name: 'key', required: false, describe: 'One setting; without it, all' }],
  options: {},
  examples: [
    ['kith config get', 'all settings, and where each value comes from'],
    ['kith config get spread', 'one value'],
  ],
  onInterrupt: 'exit',
  run,
};
