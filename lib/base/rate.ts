import { KithError } from './errors.ts';
import { parseSize } from './units.ts';

/** The least rate that can be asked for: at less, one call's largest upload (9 MiB) would take most of an hour. */
export const rateMin = 10_000;

/** Bytes a second; `auto` yields to others on the line, Infinity is none. */
export type RateSetting = number | 'auto';

/** `2MB`, `500KiB/s`, `none` or `auto`. KithError `usage` for anything else, and for less than rateMin. */
export function parseRate(text: string): RateSetting {
  const word = text.trim().toLowerCase();
  if (word === 'auto') return 'auto';
  if (word === 'none') return Number.POSITIVE_INFINITY;
  const size = word.endsWith('/s') ? word.slice(0, -2) : word;
  if (!/^\d/.test(size) || !/^[\d.]+\s*[kmgt]?i?b?$/.test(size)) {
    throw new KithError('usage', `"${text}" is not a rate. Write it like 2MB, 500KB/s, none or auto.`);
  }
  const rate = parseSize(size);
  if (rate < rateMin) {
    throw new KithError(
      'usage',
      `"${text}" is too little: the least is 10KB a second, and none is no limit.`,
    );
  }
  return rate;
}

/** Rates as they were typed with a command; each is left out where none was. */
export interface TypedRates {
  readonly upload?: string;
  readonly download?: string;
}

/** The same, read. */
export interface GivenRates {
  readonly upload?: RateSetting;
  readonly download?: RateSetting;
}

/** KithError `usage` as parseRate. */
export function parseRates({ upload, download }: TypedRates): GivenRates {
  return {
    ...(upload !== undefined && { upload: parseRate(upload) }),
    ...(download !== undefined && { download: parseRate(download) }),
  };
}
