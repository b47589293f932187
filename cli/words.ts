import { countOf } from '../lib/base/units.ts';
import { allHolders, holderNoun, type HolderCounts } from '../lib/placement/words.ts';
import type { KnownHolders } from './known-holders.ts';
import type { ListedEntry, Spread } from '../lib/vault/types.ts';

// Control characters (C0, DEL, C1), line separators, direction overrides and lone surrogates: what could move the
// cursor, colour or retitle a terminal, or make a name read as another one.
const driving = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/gu;

function escapeOne(character: string): string {
  if (character === '\n') return '\\n';
  if (character === '\t') return '\\t';
  const code = character.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** Text that a terminal shows and never obeys: every controlling character is written out as `\x1b`, `\u{202e}`. */
export function shown(text: string): string {
  return text.replaceAll(driving, escapeOne);
}

/** Like `shown`, but line breaks stay: for our own messages, which may have names in them. */
export function shownLines(text: string): string {
  return text.split('\n').map(shown).join('\n');
}

/** Columns that a text takes on a terminal, near enough: East Asian wide characters and emoji count two. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) {
    if (/\p{Mark}/u.test(character)) continue;
    const code = character.codePointAt(0) ?? 0;
    const wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf);
    const wideToo =
      (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xff00 && code <= 0xff60) || code >= 0x1f300;
    columns += wide || wideToo ? 2 : 1;
  }
  return columns;
}

/** Rows under a head, columns aligned by two spaces; the last column is never padded. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => columnsOf(row[column] ?? ''))));
  return all.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - columnsOf(cell) + 2),
      )
      .join('')
      .trimEnd(),
  );
}

/** RFC 3339 in UTC; nanoseconds where there are any beyond the second. */
export function rfc3339(timeNs: bigint): string {
  const second = 1_000_000_000n;
  const fraction = ((timeNs % second) + second) % second;
  const date = new Date(Number((timeNs - fraction) / 1_000_000n));
  if (Number.isNaN(date.getTime())) return rfc3339(0n);
  const whole = date.toISOString().replace(/\.\d+Z$/, '');
  return fraction === 0n ? `${whole}Z` : `${whole}.${fraction.toString().padStart(9, '0')}Z`;
}

/** RFC 3339, or null for a time that there isn't. */
export function rfc3339OrNull(timeNs: bigint | null): string | null {
  return timeNs === null ? null : rfc3339(timeNs);
}

/** `2026-11-22 10:28` in the local time zone. */
export function localTime(timeNs: bigint): string {
  const date = new Date(Number(timeNs / 1_000_000n));
  if (Number.isNaN(date.getTime())) return 'at no known time';
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `just now`, `3 minutes ago`, `2 days ago`. */
export function ago(timeNs: bigint, nowNs: bigint): string {
  const seconds = Number((nowNs - timeNs) / 1_000_000_000n);
  if (seconds < 60) return 'just now';
  if (seconds < 3600) return `${countOf(Math.floor(seconds / 60), 'minute')} ago`;
  if (seconds < 2 * 86400) return `${countOf(Math.floor(seconds / 3600), 'hour')} ago`;
  return `${countOf(Math.floor(seconds / 86400), 'day')} ago`;
}

const typeLetters: Readonly<Record<ListedEntry['type'], string>> = {
  file: '-',
  folder: 'd',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  'block-device': 'b',
  'character-device': 'c',
  unreadable: '?',
};

/** Type and permissions as `ls -l` writes them: `drwxr-xr-x`. */
export function modeText(type: ListedEntry['type'], mode: number): string {
  const bits = [0o400, 0o200, 0o100, 0o040, 0o020, 0o010, 0o004, 0o002, 0o001];
  const letters = bits.map((bit, index) => ((mode & bit) === 0 ? '-' : ('rwx'[index % 3] ?? '-')));
  const special: readonly [number, number, string][] = [
    [0o4000, 2, 's'],
    [0o2000, 5, 's'],
    [0o1000, 8, 't'],
  ];
  for (const [bit, at, letter] of special) {
    if ((mode & bit) !== 0) letters[at] = letters[at] === 'x' ? letter : letter.toUpperCase();
  }
  return typeLetters[type] + letters.join('');
}

const onlyDisks: HolderCounts = { drives: 1, friends: 0 };

/** `any 3 of 5 disks restore it; 2 may be lost`. */
export function spreadWords(spread: Spread, counts: HolderCounts = onlyDisks): string {
  const spare = spread.n - spread.k;
  const restores = spread.k === 1 ? 'restores' : 'restore';
  const { one } = holderNoun(counts);
  return `any ${spread.k} of ${countOf(spread.n, one, allHolders(counts))} ${restores} it; ${spare === 0 ? 'none' : spare} may be lost`;
}

/**
 * What may be lost, as the middle of a sentence: `any 2 of your 6 disks may be lost`.
 * `tolerates` counts households, so disks and friends that share one are spoken of as places.
 */
export function toleranceWords(tolerates: number | null, { drives, friends }: KnownHolders): string {
  const counts = { drives: drives.length, friends: friends.length };
  if (tolerates === null) {
    const here = counts.friends === 0 ? 'are here' : 'can be reached';
    return `it can not be restored now: too few ${allHolders(counts)} ${here}`;
  }
  const all = [...drives, ...friends];
  const homes = new Set(all.map((holder) => holder.household ?? holder.id));
  const shared = homes.size < all.length;
  const one = shared ? 'place' : holderNoun(counts).one;
  if (tolerates === 0) return `no ${one} may be lost`;
  const many = shared ? 'places' : allHolders(counts);
  return `any ${tolerates} of your ${countOf(shared ? homes.size : all.length, one, many)} may be lost`;
}

/** The text with a capital at its start. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
