import { KithError } from '../../lib/base/errors.ts';
import { parseHostPort } from '../../lib/daemon/host-port.ts';
import { askYesOrNo, canAsk } from '../ask.ts';
import { withVault } from '../context.ts';
import { deviceJson } from '../device-table.ts';
import { readPhrase } from '../phrase-input.ts';
import { shown } from '../words.ts';
import type { DeviceInfo, VaultApi } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

/** Shows the link and waits; undefined where the words don't match. */
async function link(
  context: Context,
  vault: VaultApi,
  args: Args,
  phrase: string,
): Promise<DeviceInfo | undefined> {
  const { output, signal } = context;
  const listen = args.text('listen');
  const begun = await vault.deviceLinkBegin({
    phrase,
    ...(listen !== undefined && { listen: parseHostPort(listen) }),
  });
  try {
    const expires = new Date(Number(begun.expiresNs / 1_000_000n)).toISOString();
    output.event('link', { link: begun.link, expires });
    output.print(begun.link);
    output.say(
      'On the new computer: kith device join LINK   (this line; keep it to yourself. It is good for 15 minutes, once)',
    );
    const came = await vault.deviceLinkWait(begun.id, { signal });
    output.event('device', { id: came.deviceId, name: came.name, words: came.words });
    output.print(`"${shown(came.name)}" has come. Both screens must show: ${came.words}`);
    if (!args.flag('yes') && !(await askYesOrNo('Do they match?', signal))) return undefined;
    return await vault.deviceLinkFinish(begun.id, { phrase });
  } finally {
    await vault.deviceLinkCancel(begun.id);
  }
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const phraseFile = args.required('phrase-file');
  if (!args.flag('yes') && (phraseFile === '-' || !canAsk())) {
    throw new KithError(
      'usage',
      'nobody can be asked here whether the words match. Run it on a terminal, with the phrase in a file; or give --yes, if nobody else can have seen the link.',
    );
  }
  const phrase = await readPhrase(phraseFile);
  const device = await withVault(context, (vault) => link(context, vault, args, phrase));
  if (device === undefined) {
    return {
      exit: 1,
      message: 'the words did not match: nobody was taken in. Make a new link and try again.',
    };
  }
  output.event('summary', { device: deviceJson(device) });
  output.print(
    `"${shown(device.name)}" is a computer of yours now. It backs up into the same place, and sees all snapshots.`,
  );
  return undefined;
}

export const deviceLinkCommand: Command = {
  name: 'device link',
  describe: 'Let a further computer of yours in',
  positionals: [],
  options: {
    'phrase-file': {
      type: 'text',
      value: 'FILE',
      required: true,
      describe: 'File with the 24 words, or - to read them from standard input (needs --yes)',
    },
    listen: {
      type: 'text',
      value: 'HOST:PORT',
      describe: 'Where to wait for it; all addresses of this computer unless given',
    },
    yes: { type: 'flag', describe: 'Take in whoever comes with the link, without comparing words' },
  },
  examples: [
    ['kith device link --phrase-file phrase.txt', 'prints a link, and waits for the other computer'],
  ],
  onInterrupt: 'stop',
  run,
};
