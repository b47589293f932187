import { KithError } from '../../base/errors.ts';
import { countOf } from '../../base/units.ts';
import type { RandomSource } from '../../crypto/random.ts';

/** Parts that a vault may be read in, one after the other: a year of days, some times over. */
const partsMax = 4096;

/** How much of what is stored a check reads: a share of it, drawn anew each time, or one of some fixed parts. */
export type ReadPart =
  | { readonly kind: 'percent'; readonly percent: number }
  | { readonly kind: 'part'; readonly part: number; readonly of: number };

/** Reads `5%`, `0.5%` or `3/7`. KithError `usage` for anything else. */
export function parseReadPart(text: string): ReadPart {
  const percent = /^\s*(\d{1,3}(?:\.\d{1,6})?)\s*%\s*$/.exec(text)?.[1];
  if (percent !== undefined && Number(percent) > 0 && Number(percent) <= 100) {
    return { kind: 'percent', percent: Number(percent) };
  }
  const [, part = 0, of = 0] = (/^\s*(\d{1,4})\s*\/\s*(\d{1,4})\s*$/.exec(text) ?? []).map(Number);
  if (part >= 1 && of >= part && of <= partsMax) return { kind: 'part', part, of };
  throw new KithError(
    'usage',
    `"${text}" is not a part of what is stored. Write it like 5% (drawn at random) or 2/7 (the second of seven parts).`,
  );
}

/**
 * Whether each of some packs is to be read. Of a share at least one is, drawn without replacement; the fixed parts 1/n … n/n have every pack
 * in exactly one of them, whatever is added meanwhile.
 */
export function choosePacks(
  packIds: readonly Uint8Array[],
  part: ReadPart,
  random: RandomSource,
): readonly boolean[] {
  if (part.kind === 'part') {
    return packIds.map(
      (id) => (((id[0] ?? 0) << 16) | ((id[1] ?? 0) << 8) | (id[2] ?? 0)) % part.of === part.part - 1,
    );
  }
  const wanted = Math.ceil((packIds.length * part.percent) / 100);
  const chosen = packIds.map(() => false);
  const numbers = packIds.map((_, i) => i);
  for (let i = 0; i < wanted; i++) {
    const rest = numbers.length - i;
    const draw = random(6).reduce((sum, byte) => sum * 256 + byte, 0) % rest;
    const taken = numbers[i + draw] ?? 0;
    numbers[i + draw] = numbers[i] ?? 0;
    chosen[taken] = true;
  }
  return chosen;
}

/** For people: `5 % of what is stored, drawn at random (3 of 60 parts)`. */
export function partInWords(part: ReadPart, read: number, total: number): string {
  const many = `${read.toLocaleString('en-US')} of ${countOf(total, 'pack')}`;
  return part.kind === 'percent'
    ? `${part.percent} %, drawn at random: ${many}`
    : `part ${part.part} of ${part.of}, the same each time: ${many}`;
}
