import { parseRates } from '../../lib/base/rate.ts';
import { resolve } from 'node:path';
import { countOf } from '../../lib/base/units.ts';
import { readCard } from '../card-input.ts';
import { keyOptions, withOperation } from '../context.ts';
import { readPhrase } from '../phrase-input.ts';
import { shown } from '../words.ts';
import type { RecoverSummary } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

function namesOf(names: readonly string[]): string {
  return names.map(shown).join(', ') || 'none';
}

/** Who was there, and how far their word can be relied on. */
function foundLines(summary: RecoverSummary): string[] {
  const { friendsFound, friendsAway, drivesFound, drivesAway, witnesses, agreed } = summary;
  const lines: string[] = [];
  if (friendsFound.length > 0) lines.push(`Friends reached: ${namesOf(friendsFound)}.`);
  if (drivesFound.length > 0 || friendsFound.length === 0)
    lines.push(`Disks found: ${namesOf(drivesFound)}.`);
  if (friendsAway.length > 0) {
    lines.push(`Not reached now: ${namesOf(friendsAway)}. kith up goes on trying.`);
  }
  if (drivesAway.length > 0) {
    lines.push(`Not here now: ${namesOf(drivesAway)}. When one is back: kith drive add PATH`);
  }
  const who = friendsFound.length === 0 ? 'disk' : drivesFound.length === 0 ? 'friend' : 'friend or disk';
  const many = who === 'friend or disk' ? 'friends and disks' : `${who}s`;
  if (witnesses === 1) {
    lines.push(`Only one ${who} could be asked: another may know of newer backups.`);
  } else if (agreed === witnesses) {
    lines.push(`${witnesses} ${many} were asked, and all had the same newest state.`);
  } else {
    lines.push(
      `${witnesses} ${many} were asked; ${agreed === 0 ? 'none' : agreed} of them had the newest state by ${agreed === 1 ? 'itself' : 'themselves'}. The others were behind and have been brought up to date.`,
    );
  }
  return lines;
}

/** What was lost is trusted until somebody says otherwise. */
function lostLines(devices: RecoverSummary['otherDevices']): string[] {
  const [only] = devices;
  if (only === undefined) return [];
  const one = devices.length === 1;
  const names = devices.map(({ id, name }) => `"${shown(name)}" (${id.slice(0, 8)})`).join(', ');
  // By its id: the new computer may well be called as the lost one is.
  const which = one ? only.id.slice(0, 8) : 'ID';
  return [
    `${names} still ${one ? 'counts' : 'count'} as yours. If ${one ? 'that' : 'one of them'} is the computer you lost: kith device revoke ${which} --phrase-file FILE`,
    'Until then whoever has it reads what you back up from now on, and can write in your name.',
  ];
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const cards: string[] = [];
  for (const given of args.list('card')) cards.push(await readCard(given));
  const phrase = await readPhrase(args.required('phrase-file'));
  if (cards.length === 0 && args.list('drive').length === 0) {
    output.note('No card and no disk was named: looking for friends in the local network only.');
  }
  const { recoverVault } = await import('../../lib/vault/index.ts');
  const { recoveryNetworkAt } = await import('../../lib/daemon/recovery-node.ts');
  const summary = await withOperation(context, (operation) =>
    recoverVault({
      ...keyOptions(context),
      ...operation,
      phrase,
      drives: args.list('drive').map((path) => resolve(path)),
      cards,
      friends: recoveryNetworkAt(parseRates(context.limits)),
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
    friends_found: summary.friendsFound,
    friends_away: summary.friendsAway,
    other_devices: summary.otherDevices,
  });
  output.print(
    `Welcome back, "${shown(summary.name)}". Your identity is here again, with ${countOf(summary.snapshots, 'snapshot')}.`,
  );
  output.say(...foundLines(summary));
  if (summary.latest !== null) output.say('Next: kith restore latest --target DIR');
  output.say(...lostLines(summary.otherDevices));
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
    card: { type: 'list', value: 'FILE', describe: "A friend's card: a file with it, or the line itself" },
  },
  examples: [
    [
      'kith recover --phrase-file phrase.txt --drive /media/usb',
      'from one disk; the others are found by their old places',
    ],
    ['kith recover --phrase-file phrase.txt --card ben.card', 'from one friend who is online'],
    ['kith recover --phrase-file phrase.txt', 'from a friend in the same local network'],
    ['kith recover --phrase-file - --drive /media/usb', 'type or paste the words, then Ctrl-D'],
  ],
  onInterrupt: 'stop',
  run,
};
