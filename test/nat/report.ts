import { readFile, writeFile } from 'node:fs/promises';
import type { Outcome } from './cell.ts';
import type { Outage } from './outages.ts';
import { kinds } from './places.ts';
import type { Kind } from './places.ts';

function secondsOf(ms: number): string {
  return ms < 9_950 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

/** What became of a pair, in a cell of a table. */
function wordsOf(outcome: Outcome | undefined): string {
  if (outcome === undefined) return '';
  if (outcome.ways.length === 0) return '–';
  return outcome.ways.map(({ via, ms }) => `${via} ${secondsOf(ms)}`).join(', then ');
}

/** Padded as prettier would. */
function markdown(rows: readonly (readonly string[])[]): string {
  const [head = [], ...rest] = rows;
  const widths = head.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = widths.map((width) => '-'.repeat(width));
  return [head, rule, ...rest].map(line).join('\n');
}

/** All pairs, with or without a common friend; each pair once. */
export function matrixTable(outcomes: readonly Outcome[], friend: boolean): string {
  const find = (a: Kind, b: Kind): Outcome | undefined =>
    outcomes.find(({ cell }) => cell.friend === friend && cell.a === a && cell.b === b);
  const rows = kinds.map((a) => [`**${a}**`, ...kinds.map((b) => wordsOf(find(a, b)))]);
  return markdown([['', ...kinds], ...rows]);
}

/** Seconds until a pair could speak again, by what happened and the way that they were connected. */
export function outageTable(outages: readonly Outage[]): string {
  const ways = [...new Set(outages.map(({ way }) => way))].toSorted();
  const whats = [...new Set(outages.map(({ what }) => what))];
  const rows = whats.map((what) => [
    what,
    ...ways.map((way) => {
      const found = outages.find((outage) => outage.way === way && outage.what === what);
      if (found === undefined) return '';
      return found.seconds === undefined ? 'never' : `${found.seconds.toFixed(1)} s`;
    }),
  ]);
  return markdown([['', ...ways], ...rows]);
}

const begin = '<!-- figures: written by npm run test:nat -- --write -->';
const end = '<!-- end of figures -->';

/** Puts the figures into the docs page, in the place of those that were there. */
export async function writeFigures(page: string, figures: string): Promise<void> {
  const text = await readFile(page, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page} has no place for figures`);
  await writeFile(page, `${text.slice(0, from)}${begin}\n\n${figures}\n\n${text.slice(to)}`);
}
