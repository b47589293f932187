import { listOf } from '../base/units.ts';

/** A holder as people know it. */
export interface NamedHolder {
  readonly kind: 'drive' | 'friend';
  readonly name: string;
}

/** How many holders there are of each kind. */
export interface HolderCounts {
  readonly drives: number;
  readonly friends: number;
}

/** `disk`, `friend`, or `disk or friend`: what holders are called where there are so many of each. Many: with an s. */
export function holderNoun({ drives, friends }: HolderCounts): {
  readonly one: string;
  readonly many: string;
} {
  if (friends === 0) return { one: 'disk', many: 'disks' };
  if (drives === 0) return { one: 'friend', many: 'friends' };
  return { one: 'disk or friend', many: 'disks or friends' };
}

/** `disks`, `friends`, or `disks and friends`: all of them together. */
export function allHolders({ drives, friends }: HolderCounts): string {
  if (friends === 0) return 'disks';
  return drives === 0 ? 'friends' : 'disks and friends';
}

function namesOf(holders: readonly NamedHolder[], kind: NamedHolder['kind']): string[] {
  const names = new Set(holders.filter((holder) => holder.kind === kind).map(({ name }) => name));
  return [...names].sort();
}

/** What to do about holders that are away: `Connect red, or wait until anna or ben is online`. Empty where there are none. */
export function bringBack(away: readonly NamedHolder[]): string {
  const drives = namesOf(away, 'drive');
  const friends = namesOf(away, 'friend');
  const wait = `wait until ${listOf(friends, 'or')} is online`;
  if (drives.length === 0) return friends.length === 0 ? '' : `W${wait.slice(1)}`;
  const connect = `Connect ${listOf(drives, 'or')}`;
  return friends.length === 0 ? connect : `${connect}, or ${wait}`;
}

/** Until when something has to wait: `red is back`, `anna or ben is online`. Empty where there are none. */
export function untilBack(away: readonly NamedHolder[]): string {
  const drives = namesOf(away, 'drive');
  const friends = namesOf(away, 'friend');
  const parts = [
    ...(drives.length === 0 ? [] : [`${listOf(drives, 'or')} is back`]),
    ...(friends.length === 0 ? [] : [`${listOf(friends, 'or')} is online`]),
  ];
  return listOf(parts, 'or');
}
