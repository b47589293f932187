import { resolve } from 'node:path';
import { KithError } from '../../lib/base/errors.ts';
import { formatSize, parseDuration } from '../../lib/base/units.ts';
import { withVault } from '../context.ts';
import { writeSecretFile } from '../invite-files.ts';
import { openInvite } from '../invite-input.ts';
import { endedLines, inviteJson, inviteTable } from '../invite-table.ts';
import { settleReachability } from '../reachability-question.ts';
import { localTime, shown } from '../words.ts';
import type { InviteMade, InviteOptions, VaultApi } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

function inviteOptions(args: Args): InviteOptions {
  const name = args.text('name');
  const quotaBytes = args.size('quota');
  const expires = args.text('expires');
  return {
    ...(name !== undefined && { name }),
    ...(quotaBytes !== undefined && { quotaBytes }),
    ...(expires !== undefined && { expiresInMs: parseDuration(expires) }),
  };
}

/** Where friends could dial, by the card in the invite. */
async function addressesIn(line: string): Promise<number> {
  const { devicesOf, endpointsOf } = await import('../../lib/trust/card.ts');
  const { card } = await openInvite(line);
  return devicesOf(card).reduce((sum, { deviceId }) => sum + endpointsOf(card, deviceId).length, 0);
}

interface Files {
  readonly out: string | undefined;
  readonly page: string | undefined;
}

/** Writes what was asked for. An invite whose text couldn't be handed over is of no use to anybody. */
async function writeFiles(vault: VaultApi, made: InviteMade, { out, page }: Files): Promise<void> {
  try {
    if (out !== undefined) await writeSecretFile(out, `${made.text}\n`, 'invite');
    if (page === undefined) return;
    const { invitePage } = await import('../invite-page.ts');
    await writeSecretFile(page, invitePage({ ...made, inviter: vault.name }), 'page');
  } catch (error) {
    await vault.inviteWithdraw(made.id).catch(() => undefined);
    throw error;
  }
}

async function show(context: Context, made: InviteMade, files: Files, qr: boolean): Promise<void> {
  const { output } = context;
  const addresses = await addressesIn(made.text);
  const { out = null, page = null } = files;
  output.document({ invite: made.text, file: out, page, addresses, ...inviteJson(made) });
  const code =
    qr && !output.json
      ? (await import('../qr.ts')).qrForTerminal(made.text, 'invite', process.stdout)
      : undefined;
  if (code !== undefined && code.tooWide === undefined) output.print(...code.lines);
  else if (out === null && page === null) output.print(made.text);
  if (code?.tooWide !== undefined && page === null) {
    const instead = out === null ? ' Above is the line instead; it is good as it stands.' : '';
    output.note(`${code.tooWide}; or have the picture on a page: kith invite --page FILE.html.${instead}`);
  }
  for (const path of [out, page]) if (path !== null) output.say(`Your invite is in ${shown(path)}.`);
  if (page !== null)
    output.note(
      'The page tells your friend to ask you for kith itself: send them its folder, or a link to it, as well.',
    );
  output.note(
    `Good for one person, until ${localTime(BigInt(made.expiresMs) * 1_000_000n)}, with ${formatSize(made.quotaBytes)} of room here. ` +
      'Whoever has it can use it: send it by a way that only your friend reads.',
  );
  output.note('Your friend types: kith accept, and the invite behind it.');
  const { invite } = await openInvite(made.text);
  const { meetingPoints, publicDht } = invite.hints;
  if (addresses === 0 && meetingPoints.length === 0 && !publicDht) {
    output.note(
      'It says nowhere where this computer is, since kith is not up here: your friend can accept it, and will find you only through a friend of both. ' +
        `Better make another: kith up --detach, then kith invite; and take this one back: kith invite withdraw ${made.id.slice(0, 8)}`,
    );
    return;
  }
  await noteIfDown(context);
}

/** KithError `failed` where no daemon runs: nobody could come while we wait. */
async function requireUp(home: string): Promise<void> {
  const { findSocket } = await import('../../lib/api/socket-path.ts');
  if ((await findSocket(home)) !== undefined) return;
  throw new KithError(
    'failed',
    'nobody can reach this computer while kith is not up, so there is nothing to wait for. Start it first: kith up --detach',
  );
}

/** Told before an invite goes out: only this computer answers it. */
async function noteIfDown({ home, output }: Context): Promise<void> {
  const { findSocket } = await import('../../lib/api/socket-path.ts');
  if ((await findSocket(home)) === undefined)
    output.note(
      'kith is not up here: nobody can use the invite before it is. Start it with: kith up --detach',
    );
}

async function make(context: Context, args: Args): Promise<void> {
  const { output, signal } = context;
  const [out, page] = ['out', 'page'].map((option) => {
    const path = args.text(option);
    return path === undefined ? undefined : resolve(path);
  });
  const options = inviteOptions(args);
  if (args.flag('wait')) await requireUp(context.home);
  await withVault(context, async (vault) => {
    await settleReachability(context, args, vault);
    const made = await vault.invite(options);
    await writeFiles(vault, made, { out, page });
    await show(context, made, { out, page }, args.flag('qr'));
    if (!args.flag('wait')) return;
    output.note('Waiting until somebody has accepted. Ctrl-C ends the waiting; the invite stays good.');
    const ended = await vault.inviteWait(made.id, { signal });
    output.document(inviteJson(ended));
    output.print(...endedLines(ended));
  });
}

async function list(context: Context): Promise<void> {
  const { output } = context;
  const invites = await withVault(context, (vault) => vault.inviteList());
  output.document(invites.map(inviteJson));
  if (invites.length === 0) output.print('No invites yet. Make one with: kith invite');
  else output.print(...inviteTable(invites));
}

async function withdraw(context: Context, id: string | undefined): Promise<void> {
  if (id === undefined) throw new KithError('usage', 'withdraw needs the id of an invite: kith invite list');
  const { output } = context;
  const invite = await withVault(context, (vault) => vault.inviteWithdraw(id));
  output.document(inviteJson(invite));
  output.say(`The invite ${invite.id.slice(0, 16)} is ${invite.state}: nobody can use it any more.`);
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const action = args.text('action');
  const id = args.text('id');
  if (action === undefined) await make(context, args);
  else if (action === 'list' && id === undefined) await list(context);
  else if (action === 'withdraw') await withdraw(context, id);
  else throw new KithError('usage', `invite takes "list" or "withdraw ID", not "${action}".`);
  return undefined;
}

export const inviteCommand: Command = {
  name: 'invite',
  describe: 'Invite a friend: one line or page, good once, that makes both of you friends',
  positionals: [
    { name: 'action', required: false, describe: 'list, to see invites; withdraw, to take one back' },
    { name: 'id', required: false, describe: 'The start of an id, for withdraw' },
  ],
  options: {
    out: { type: 'text', value: 'FILE', describe: 'Write it to a file instead' },
    page: {
      type: 'text',
      value: 'FILE.html',
      describe: 'Write a page with all steps, for somebody who has never used a terminal',
    },
    qr: { type: 'flag', describe: 'Show it as a QR code' },
    expires: { type: 'text', value: 'TIME', describe: 'How long it is good, such as 12h (7d)' },
    quota: {
      type: 'text',
      alias: 'give',
      value: 'SIZE',
      describe: 'Room that you give to whoever accepts (50GB)',
    },
    name: { type: 'text', value: 'NAME', describe: 'What you will call them; else as they call themselves' },
    yes: { type: 'flag', describe: 'Ask nothing' },
    wait: { type: 'flag', describe: 'Wait until it is accepted, and show the safety words' },
  },
  examples: [
    ['kith invite', 'one line to paste into a message'],
    ['kith invite --page for-ben.html --name ben --wait', 'a page to send; wait until ben is there'],
    ['kith invite list', 'which are open, and who used the others'],
    ['kith invite withdraw 3f9a1c', 'nobody can use it any more'],
  ],
  onInterrupt: 'stop',
  run,
};
