import { resolve } from 'node:path';
import { KithError } from '../../lib/base/errors.ts';
import { countOf } from '../../lib/base/units.ts';
import { keyOptions, readSmallFile, withOperation } from '../context.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

async function readStandardInput(): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of process.stdin as AsyncIterable<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > 65536) throw new KithError('usage', 'what came in is too long for a recovery phrase.');
  }
  return text;
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  if (args.list('card').length > 0) {
    throw new KithError('usage', '--card is not in this version yet: recover from a disk with --drive PATH.');
  }
  const phraseFile = args.required('phrase-file');
  const phrase =
    phraseFile === '-' ? await readStandardInput() : await readSmallFile(phraseFile, 'phrase file');
  const { recoverVault } = await import('../../lib/vault/index.ts');
  const summary = await withOperation(context, (operation) =>
    recoverVault({
      ...keyOptions(context),
      ...operation,
      phrase,
      drives: args.list('drive').map((path) => resolve(path)),
    }),
  );
  output.event('summary', {
    id: summary.id,
    name: summary.name,
    home: context.home,
    snapshots: summary.snapshots,
    latest: summary.latest,
    witnesses: summary.witnesses,
    agreed: summary.agreed,
    drives_found: summary.drivesFound,
    drives_away: summary.drivesAway,
  });
  output.print(
    `Welcome back, "${shown(summary.name)}". Your identity is here again, with ${countOf(summary.snapshots, 'snapshot')}.`,
  );
  output.say(`Disks found: ${summary.drivesFound.map(shown).join(', ') || 'none'}.`);
  if (summary.drivesAway.length > 0) {
    output.say(
      `Not here now: ${summary.drivesAway.map(shown).join(', ')}. When one is back: kith drive add PATH`,
    );
  }
  if (summary.witnesses === 1) {
    output.say('Only one disk could be asked: another may know of newer backups.');
  } else if (summary.agreed === summary.witnesses) {
    output.say(`${summary.witnesses} disks were asked, and all had the same newest state.`);
  } else {
    output.say(
      `${summary.witnesses} disks were asked; ${summary.agreed === 0 ? 'none' : summary.agreed} of them had the newest state by ${summary.agreed === 1 ? 'itself' : 'themselves'}. The others were behind and have been brought up to date.`,
    );
  }
  if (summary.latest !== null) output.say('Next: kith restore latest --target DIR');
  return undefined;
}

export const recoverCommand: Command = {
  name: 'recover',
  describe: 'On a bare computer: get the identity back from its phrase',
  positionals: [],
  options: {
    'phrase-file': {
      type: 'text',
      value: 'FILE',
      required: true,
      describe: 'File with the 24 words, or - to read them from standard input',
    },
    drive: { type: 'list', value: 'PATH', describe: 'A disk of yours' },
    card: { type: 'list', value: 'FILE', describe: "A friend's card (not in this version yet)" },
  },
  examples: [
    [
      'kith recover --phrase-file phrase.txt --drive /media/usb',
      'from one disk; the others are found by their old places',
    ],
    ['kith recover --phrase-file - --drive /media/usb', 'type or paste the words, then Ctrl-D'],
  ],
  onInterrupt: 'stop',
  run,
};
