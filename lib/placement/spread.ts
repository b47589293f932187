import { KithError } from '../base/errors.ts';
import { rowCountMax, spareRowsDefault } from '../base/limits.ts';

/** Any k of n shards give a pack back. */
export interface Spread {
  readonly k: number;
  readonly n: number;
}

/** Data shards of a pack at most: beyond it a pack of the smallest class already holds 2 MiB. */
export const dataShardsMax = 32;

/** A spread written `3/5`. KithError `usage` for anything else or out of bounds. */
export function parseSpread(text: string): Spread {
  const match = /^\s*(\d{1,3})\s*\/\s*(\d{1,3})\s*$/.exec(text);
  const k = Number(match?.[1]);
  const n = Number(match?.[2]);
  if (match === null || k < 1 || n < k || k > dataShardsMax || n > rowCountMax - spareRowsDefault) {
    const bounds = `K from 1 to ${dataShardsMax}, N from K to ${rowCountMax - spareRowsDefault}`;
    throw new KithError(
      'usage',
      `"${text}" is not a spread. Write K/N, such as 3/5: any 3 of 5 restore it (${bounds}).`,
    );
  }
  return { k, n };
}

/** `3/5`. */
export function formatSpread(spread: Spread): string {
  return `${spread.k}/${spread.n}`;
}

/**
 * The spread for a number of holders when the user names none (docs/decisions/0006-automatic-spread.md): copies while
 * they are few, then codes that leave one holder spare for repair.
 */
export function automaticSpread(holderCount: number): Spread {
  if (holderCount <= 1) return { k: 1, n: 1 };
  if (holderCount === 2) return { k: 1, n: 2 };
  if (holderCount === 3) return { k: 1, n: 3 };
  if (holderCount === 4) return { k: 2, n: 4 };
  if (holderCount <= 6) return { k: 2, n: 5 };
  if (holderCount <= 8) return { k: 3, n: 6 };
  return { k: 4, n: 8 };
}
