import { formatSize } from '../lib/base/units.ts';
import { localTime, rfc3339, rfc3339OrNull, shown, table } from './words.ts';
import type { InviteInfo } from '../lib/vault/types.ts';

function nsOf(ms: number): bigint {
  return BigInt(ms) * 1_000_000n;
}

/** An invite as JSON output gives it. */
export function inviteJson(invite: InviteInfo): Record<string, unknown> {
  return {
    id: invite.id,
    state: invite.state,
    made: rfc3339(nsOf(invite.madeMs)),
    expires: rfc3339(nsOf(invite.expiresMs)),
    quota: invite.quotaBytes,
    name: invite.name,
    used_by: invite.usedBy,
    friend: invite.friend,
    closed: rfc3339OrNull(invite.closedNs),
    answered_here: invite.answeredHere,
    safety_words: invite.safetyWords,
  };
}

function whoWords(invite: InviteInfo): string {
  if (invite.usedBy !== null) return invite.friend ?? `${invite.usedBy.slice(0, 16)} (no friend any more)`;
  return invite.name === null ? '-' : `meant for ${invite.name}`;
}

/** Invites for people, a line each. */
export function inviteTable(invites: readonly InviteInfo[]): string[] {
  const rows = invites.map((invite) => [
    invite.id.slice(0, 16),
    invite.answeredHere || invite.state !== 'open' ? invite.state : 'open, at another computer of yours',
    localTime(nsOf(invite.expiresMs)),
    formatSize(invite.quotaBytes),
    shown(whoWords(invite)),
  ]);
  return table(['invite', 'state', 'good until', 'room', 'who'], rows);
}

/** What is said of an invite that is no longer waited for. */
export function endedLines(invite: InviteInfo): string[] {
  if (invite.state !== 'used') return [`Nobody has used the invite: it is ${invite.state}.`];
  const name = shown(invite.friend ?? 'somebody');
  return [
    `"${name}" has accepted: you are friends now.`,
    `Safety words: ${invite.safetyWords ?? ''}`,
    `Ask ${name}, by telephone say, whether they see the same six. If they don't, the invite fell into wrong hands: kith friend remove ${name}`,
  ];
}
