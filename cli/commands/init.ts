import { hostname, userInfo } from 'node:os';
import { shown } from '../words.ts';
import { keyOptions } from '../context.ts';
import { phraseGrid, reservePhraseFile } from '../phrase-file.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';
import type { Args } from '../args.ts';

function defaultName(): string {
  let user: string | undefined;
  try {
    user = userInfo().username;
  } catch {
    // A user id without an entry in the system's user list.
  }
  return user === undefined || user === '' ? hostname() : `${user}@${hostname()}`;
}

/** Shows the identity, and the phrase unless it is in a file. */
function show(
  { output, home }: Context,
  { id, name, phrase }: { readonly id: string; readonly name: string; readonly phrase: string },
  phraseFile: string | undefined,
): void {
  output.document({
    id,
    name,
    home,
    ...(phraseFile === undefined ? { phrase } : { phrase_file: phraseFile }),
  });
  output.print(`You are "${shown(name)}" now. Identity: ${id.slice(0, 16)}. Home: ${shown(home)}`, '');
  if (phraseFile === undefined) {
    output.print('Your recovery phrase, shown this once:', '', ...phraseGrid(phrase), '');
    output.print('Write it on paper, in this order, and keep the paper away from this computer.');
  } else {
    output.print(
      `Your recovery phrase of 24 words is in ${shown(phraseFile)}.`,
      'Write it on paper, keep the paper away from this computer, and delete the file.',
    );
  }
  output.print(
    'Whoever has these words can read everything you back up.',
    'Without them and without this computer nothing can be restored, by anyone.',
  );
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const { initVault } = await import('../../lib/vault/index.ts');
  const phraseOut = args.text('phrase-out');
  const file = phraseOut === undefined ? undefined : await reservePhraseFile(phraseOut);
  let fileError: string | undefined;
  try {
    await initVault({
      ...keyOptions(context),
      name: args.text('name') ?? defaultName(),
      onPhrase: async (made) => {
        fileError = await file?.write(made.phrase);
        show(context, made, fileError === undefined ? file?.path : undefined);
      },
    });
  } catch (error) {
    await file?.discard();
    throw error;
  }
  output.say(
    '',
    'Next: give kith all the disks you have for it, or invite a friend; then back up a folder:',
    '  kith drive add /path/to/disk     (once for each disk)',
    '  kith up --detach && kith invite  (the friend: kith accept, and the invite)',
    '  kith backup ~/Documents',
  );
  if (fileError === undefined || file === undefined) return undefined;
  return {
    exit: 1,
    message: `the phrase could not be written to ${file.path} (${fileError}); it is shown above.`,
  };
}

export const initCommand: Command = {
  name: 'init',
  describe: 'Start: a new identity and its recovery phrase',
  positionals: [],
  options: {
    name: { type: 'text', value: 'NAME', describe: 'What others see you as (default: user@computer)' },
    'phrase-out': {
      type: 'text',
      value: 'FILE',
      describe: 'Write the recovery phrase to a new file, readable by you alone, instead of showing it',
    },
  },
  examples: [
    ['kith init', 'shows your 24 words once; write them on paper'],
    ['kith init --name anna --phrase-out phrase.txt', 'for scripts: the words go to a file'],
    ['kith --home /tmp/try init', 'an identity of its own, to try things'],
  ],
  onInterrupt: 'stop',
  run,
};
