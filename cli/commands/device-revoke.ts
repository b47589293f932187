import { withVault } from '../context.ts';
import { deviceJson } from '../device-table.ts';
import { readPhrase } from '../phrase-input.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const phrase = await readPhrase(args.required('phrase-file'));
  const { device, already, told, away } = await withVault(context, (vault) =>
    vault.deviceRevoke(args.required('device'), { phrase }),
  );
  output.document({ device: deviceJson(device), already, told, away });
  const name = shown(device.name);
  output.print(
    already
      ? `"${name}" was revoked before.`
      : `"${name}" is revoked. It reads nothing that is backed up from now on, and nothing that it writes counts any more.`,
  );
  if (told.length > 0) output.say(`Told: ${told.map(shown).join(', ')}.`);
  if (away.length > 0)
    output.say(`Will be told when they are back: ${away.map(shown).join(', ')}. kith up sees to it.`);
  output.say('What was backed up before, it may have read already. Change passwords that were in there.');
  return undefined;
}

export const deviceRevokeCommand: Command = {
  name: 'device revoke',
  describe: 'A computer was lost, stolen or given away: trust it no more',
  positionals: [{ name: 'device', describe: 'Its name, or the first digits of its id', required: true }],
  options: {
    'phrase-file': {
      type: 'text',
      value: 'FILE',
      required: true,
      describe: 'File with the 24 words, or - to read them from standard input',
    },
  },
  examples: [['kith device revoke laptop --phrase-file phrase.txt', 'the laptop is gone']],
  onInterrupt: 'stop',
  run,
};
