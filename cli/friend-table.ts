import { formatSize } from '../lib/base/units.ts';
import { adviceLines, stepLine } from './step-words.ts';
import { shown, table } from './words.ts';
import type { FriendInfo } from '../lib/vault/types.ts';

function roomWords(used: number | null, quota: number | null): string {
  if (quota === null) return '-';
  return `${used === null ? '?' : formatSize(used)} of ${formatSize(quota)}`;
}

function rateWords(bytesPerSecond: number | null): string | null {
  return bytesPerSecond === null ? null : `${formatSize(bytesPerSecond)}/s`;
}

const viaWords: Readonly<Record<NonNullable<FriendInfo['via']>, string>> = {
  direct: 'online, direct',
  punched: 'online, punched',
  relay: 'online, relayed',
};

const visibilityWords: Readonly<Record<FriendInfo['visibility'], string>> = {
  yes: 'also through our common friends',
  introduce: 'only directly; may tell common friends where I am',
  no: 'only directly',
};

function stateWords(friend: FriendInfo): string {
  if (!friend.online) return 'away';
  const words = friend.via === null ? 'online' : viaWords[friend.via];
  return friend.metered ? `${words}; metered: paused` : words;
}

/** Friends as a table for people, and under it why some are away; empty where there are none. */
export function friendTable(friends: readonly FriendInfo[]): string[] {
  if (friends.length === 0) return [];
  const rows = friends.map((friend) => [
    shown(friend.name),
    stateWords(friend),
    roomWords(friend.usedByThem, friend.quotaGiven),
    roomWords(friend.usedByMe, friend.quotaReceived),
    friend.household === null ? '-' : shown(friend.household),
  ]);
  const away = friends.filter((friend) => !friend.online && friend.reason !== null);
  const reasons = away.map((friend) => `${shown(friend.name)} is away: ${shown(friend.reason ?? '')}`);
  return table(['friend', 'state', 'room I give', 'room I get', 'home'], rows).concat(reasons);
}

/** All about one friend, a fact a line. */
export function friendLines(friend: FriendInfo): string[] {
  const facts: readonly (readonly [string, string | null])[] = [
    ['friend', shown(friend.name)],
    ['identity', friend.id],
    [
      'state',
      friend.address === null ? stateWords(friend) : `${stateWords(friend)} (${shown(friend.address)})`,
    ],
    ['why', friend.reason === null ? null : shown(friend.reason)],
    ['home', friend.household === null ? null : shown(friend.household)],
    ['invite', friend.invite],
    ['safety words', friend.safetyWords],
    ['may use', friend.allow.map(shown).join(', ') || 'nothing'],
    ['finds me', visibilityWords[friend.visibility]],
    ['room I give', roomWords(friend.usedByThem, friend.quotaGiven)],
    ['reserved', friend.reservedByThem === null ? null : formatSize(friend.reservedByThem)],
    ['in trash', friend.trashOfThem === null ? null : formatSize(friend.trashOfThem)],
    ['room I get', roomWords(friend.usedByMe, friend.quotaReceived)],
    [
      'devices',
      friend.devices.map(({ id, name }) => `${shown(name)} (${id.slice(0, 16)})`).join(', ') || null,
    ],
    ['sent at most', rateWords(friend.uploadLimit)],
    ['taken at most', rateWords(friend.downloadLimit)],
    ['addresses', friend.addresses.map(shown).join(', ') || 'none known'],
  ];
  const tried = friend.steps.map((step) => `tried ${stepLine(step)}`);
  const rows = facts.flatMap(([name, value]) => (value === null ? [] : [[name, value]]));
  const [head = [], ...rest] = rows;
  return [...table(head, rest), ...tried, ...adviceLines(friend.steps)];
}
