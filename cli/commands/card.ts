import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { KithError, messageOf, systemCode } from '../../lib/base/errors.ts';
import { cardFileBytesMax, isCardText } from '../card-input.ts';
import { withVault } from '../context.ts';
import { reachabilityLines } from '../reachability-words.ts';
import { shown } from '../words.ts';
import type { Args } from '../args.ts';
import type { QrOnTerminal } from '../qr.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

/** Where friends could dial, by the card. */
async function addressesOf(line: string): Promise<number> {
  const { decodeCardText } = await import('../../lib/format/card-text.ts');
  const { decodeCard } = await import('../../lib/format/card.ts');
  const { devicesOf, endpointsOf } = await import('../../lib/trust/card.ts');
  const card = decodeCard(decodeCardText(line));
  const counts = devicesOf(card).map(({ deviceId }) => endpointsOf(card, deviceId).length);
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Writes the line to a file, which may be an older card and nothing else. KithError `failed`. */
async function writeCard(path: string, line: string): Promise<void> {
  try {
    await writeFile(path, `${line}\n`, { mode: 0o644, flag: 'wx' });
    return;
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') throw cannotWrite(path, messageOf(cause), cause);
  }
  try {
    const before = await readFile(path);
    if (before.length > cardFileBytesMax || !isCardText(before.toString())) {
      throw cannotWrite(path, 'something that is no card is there already');
    }
    await writeFile(path, `${line}\n`);
  } catch (cause) {
    throw cause instanceof KithError ? cause : cannotWrite(path, messageOf(cause), cause);
  }
}

function cannotWrite(path: string, why: string, cause?: unknown): KithError {
  return new KithError('failed', `the card can't be written to ${path}: ${why}.`, { cause });
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { output } = context;
  const out = args.text('out');
  const path = out === undefined ? undefined : resolve(out);
  const { line, reachability } = await withVault(context, async (vault) => ({
    line: await vault.card(),
    reachability: await vault.reachability(),
  }));
  const addresses = await addressesOf(line);
  if (path !== undefined) await writeCard(path, line);
  let qr: QrOnTerminal | undefined;
  if (args.flag('qr') && !output.json) {
    const { qrForTerminal } = await import('../qr.ts');
    qr = qrForTerminal(line, 'card', process.stdout);
  }
  output.document({ card: line, file: path ?? null, addresses });
  if (qr?.tooWide !== undefined)
    output.note(`${qr.tooWide}. Here is the line instead; your friend can paste it.`);
  if (qr !== undefined && qr.tooWide === undefined) output.print(...qr.lines);
  else if (path === undefined) output.print(line);
  if (path !== undefined)
    output.say(`Your card is in ${shown(path)}. Give it to your friends: it is no secret.`);
  if (addresses === 0) {
    output.note(
      'No address is in it yet: friends can add you, but you have to dial them. Start listening with: kith up',
    );
  }
  // What matters to whoever gets the card: asked before it goes out, until something was chosen.
  if (reachability.choices.length > 0) {
    for (const each of reachabilityLines(reachability)) output.note(each);
  }
  return undefined;
}

export const cardCommand: Command = {
  name: 'card',
  describe: 'Your card, to give to friends: who you are and where you can be reached',
  positionals: [],
  options: {
    out: { type: 'text', value: 'FILE', describe: 'Write it to a file instead' },
    qr: { type: 'flag', describe: 'Show it as a QR code' },
  },
  examples: [
    ['kith card', 'one line to paste into a message'],
    ['kith card --out anna.card', 'a file that a friend gives to: kith friend add anna.card'],
  ],
  onInterrupt: 'exit',
  run,
};
