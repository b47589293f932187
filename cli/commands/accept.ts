import { statfs } from 'node:fs/promises';
import { KithError } from '../../lib/base/errors.ts';
import { formatSize } from '../../lib/base/units.ts';
import { requireVault, withOperation, withVault } from '../context.ts';
import { openInvite, readInvite } from '../invite-input.ts';
import { friendJson } from '../json.ts';
import { shown } from '../words.ts';
import type { Invite } from '../../lib/format/invite.ts';
import type { FriendInfo, FriendOptions } from '../../lib/vault/types.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

/** How long the command waits for the one who invites; after that the daemon goes on. */
const waitMs = 10_000;

/** What is kept for a friend of whom nothing else is said, as `friend add` has it. */
const quotaDefaultBytes = 50e9;

const refusals: Readonly<Record<string, 'invite-used' | 'invite-expired' | 'invite-refused'>> = {
  used: 'invite-used',
  expired: 'invite-expired',
  refused: 'invite-refused',
};

function acceptOptions(args: Args): FriendOptions {
  const name = args.text('name');
  const household = args.text('household');
  const quotaBytes = args.size('quota');
  return {
    ...(name !== undefined && { name }),
    ...(quotaBytes !== undefined && { quotaBytes }),
    ...(household !== undefined && { household }),
  };
}

/** Bytes that are free where this identity lives; null where the system doesn't say. */
async function freeBytes(home: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(home);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** Accepts, and waits a little. */
async function acceptAndWait(
  context: Context,
  line: string,
  options: FriendOptions,
  onAccepted: () => void,
): Promise<FriendInfo> {
  return await withVault(context, (vault) =>
    withOperation(context, async ({ onProgress, signal }) => {
      const friend = await vault.accept(line, options);
      onAccepted();
      // One document and nothing else for programs; people see that something is waited for.
      if (!context.output.json) {
        onProgress?.({
          phase: 'wait',
          filesDone: 0,
          filesTotal: undefined,
          bytesDone: 0,
          bytesTotal: undefined,
          current: `looking for ${friend.name}`,
        });
      }
      return await vault.acceptWait(friend.id, waitMs, signal === undefined ? {} : { signal });
    }),
  );
}

/** True of an invite that leads nowhere: without an address, a meeting point, or the public DHT. */
function leadsNowhere({ hints: { meetingPoints, publicDht } }: Invite, friend: FriendInfo): boolean {
  return friend.addresses.length === 0 && meetingPoints.length === 0 && !publicDht;
}

function resultLines(friend: FriendInfo, isStranded: boolean): string[] {
  const name = shown(friend.name);
  const words =
    friend.safetyWords === null
      ? []
      : [
          `Safety words: ${friend.safetyWords}`,
          `Ask ${name}, by telephone say, whether they see the same six. If they don't, somebody sits between you: kith friend remove ${name}`,
        ];
  if (friend.invite === null)
    return [`You and "${name}" are friends now.`, ...words, 'Next: kith backup PATH'];
  if (isStranded) {
    return [
      `"${name}" can't be found: the invite is accepted and pending, and says nowhere where their computer is, since kith was not up there when it was made. It completes only through a friend whom you both have.`,
      `Ask ${name} to type kith up --detach, then kith invite; and accept that one.`,
      ...words,
    ];
  }
  return [
    `"${name}" can't be reached now: the invite is accepted and pending. It completes by itself when they are online, as long as kith is up here (kith up --detach).`,
    ...words,
  ];
}

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const { home, output } = context;
  const line = await readInvite(args.required('invite'));
  const options = acceptOptions(args);
  const { invite, card } = await openInvite(line);
  await requireVault(home);
  const { cleanName, nameOfCard } = await import('../../lib/trust/card.ts');
  const { toHex } = await import('../../lib/base/bytes.ts');
  const free = await freeBytes(home);
  const asked = options.quotaBytes ?? quotaDefaultBytes;
  // Nothing of it before it is known that the invite is one for us, and good.
  const onAccepted = (): void =>
    output.say(
      `"${shown(cleanName(nameOfCard(card)) || 'somebody without a name')}" invites you (identity ${toHex(card.identity).slice(0, 16)}).`,
    );
  const friend = await acceptAndWait(context, line, options, onAccepted);
  const refusal = friend.invite === null ? undefined : refusals[friend.invite];
  if (refusal !== undefined) {
    throw new KithError(
      refusal,
      `"${friend.name}" did not take you in: ${friend.reason ?? `${refusal}; ask them for a new one`}. To forget about it: kith friend remove ${shown(friend.name)}`,
    );
  }
  output.say(
    `They offer ${formatSize(invite.quotaBytes)} of room for your backup.`,
    `You give them ${formatSize(asked)}${free === null ? '' : ` of the ${formatSize(free)} that are free here`} (--quota changes it).`,
  );
  output.document({
    state: friend.invite === null ? 'friends' : 'pending',
    quota_offered: invite.quotaBytes,
    free_bytes: free,
    ...friendJson(friend),
  });
  output.print(...resultLines(friend, leadsNowhere(invite, friend)));
  return undefined;
}

export const acceptCommand: Command = {
  name: 'accept',
  describe: "Accept a friend's invite: both are friends then, in one step",
  positionals: [
    {
      name: 'invite',
      required: true,
      describe: 'The invite: its line kith:invite:…, or a file or page with it',
    },
  ],
  options: {
    name: { type: 'text', value: 'NAME', describe: 'What you call this friend' },
    quota: {
      type: 'text',
      alias: 'give',
      value: 'SIZE',
      describe: 'Room that you give: what you keep for this friend at most (50GB)',
    },
    household: {
      type: 'text',
      value: 'HOME',
      describe: 'Under which roof their computer is: what is in one house can be lost together',
    },
  },
  examples: [
    ['kith accept kith:invite:…', 'pasted as it came'],
    ['kith accept invite.html --give 100GB', 'from the page that they sent; you keep up to 100 GB for them'],
  ],
  onInterrupt: 'stop',
  run,
};
