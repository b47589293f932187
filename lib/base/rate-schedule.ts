import { KithError, messageOf } from './errors.ts';
import { parseRate, type RateSetting } from './rate.ts';

/** Rules of one schedule: a week has few hours that differ. */
export const scheduleRuleCountMax = 64;

const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const dayMinutes = 24 * 60;

/** Minutes of a day; one that ends at or before its beginning goes on into the next day. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** What holds on some days at some times. */
export interface ScheduleRule {
  /** 0 is Sunday. The day on which a span begins. */
  readonly days: ReadonlySet<number>;
  readonly spans: readonly Span[];
  readonly upload: RateSetting | undefined;
  readonly download: RateSetting | undefined;
}

/** A moment as clocks on the wall show it. */
export interface LocalTime {
  /** 0 is Sunday. */
  readonly day: number;
  /** 0 … 1439. */
  readonly minute: number;
}

export interface Rates {
  readonly upload: RateSetting;
  readonly download: RateSetting;
}

/** By the machine's time zone. */
export function localTimeOf(date: Date): LocalTime {
  return { day: date.getDay(), minute: date.getHours() * 60 + date.getMinutes() };
}

/**
 * Reads `mon-fri 08:00-18:00 upload=500KB; sat,sun upload=none` (docs/guide/cli.md); nothing is a schedule without rules. KithError `usage`
 * names the part that is wrong.
 */
export function parseSchedule(text: string): ScheduleRule[] {
  const parts = text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length > scheduleRuleCountMax)
    throw new KithError(
      'usage',
      `a schedule has at most ${scheduleRuleCountMax} rules, not ${parts.length}.`,
    );
  return parts.map(parseRule);
}

function parseRule(text: string): ScheduleRule {
  const words = text.toLowerCase().split(/\s+/);
  const fail = (what: string): never => {
    throw new KithError('usage', `in "${text}": ${what}`);
  };
  let days: Set<number> | undefined;
  let spans: Span[] | undefined;
  const rates: { upload?: RateSetting; download?: RateSetting } = {};
  for (const word of words) {
    const [, name, value = ''] = /^(\w+)=(.*)$/.exec(word) ?? [];
    if (name !== undefined) {
      if (name !== 'upload' && name !== 'download')
        fail(`"${name}" is no limit; there are upload= and download=.`);
      const known = name as keyof typeof rates;
      if (rates[known] !== undefined) fail(`${known}= is there twice.`);
      try {
        rates[known] = parseRate(value);
      } catch (error) {
        fail(messageOf(error));
      }
    } else if (/^\d/.test(word)) {
      if (spans !== undefined) fail(`"${word}": times are written with commas between, once.`);
      spans = word
        .split(',')
        .map((span) => parseSpan(span) ?? fail(`"${span}" is no time like 08:00-18:00.`));
    } else {
      if (days !== undefined) fail(`"${word}": days are written with commas between, once.`);
      days = new Set(
        word
          .split(',')
          .flatMap((range) => parseDays(range) ?? fail(`"${range}" is no day like mon, or mon-fri.`)),
      );
    }
  }
  if (rates.upload === undefined && rates.download === undefined)
    fail('no limit is named: write upload=2MB, download=none, or both.');
  return {
    days: days ?? new Set(dayNames.keys()),
    spans: spans ?? [{ from: 0, to: dayMinutes }],
    upload: rates.upload,
    download: rates.download,
  };
}

function parseDays(text: string): number[] | undefined {
  const [from = '', to = from, more] = text.split('-');
  const first = dayNames.findIndex((name) => name === from);
  const last = dayNames.findIndex((name) => name === to);
  if (first < 0 || last < 0 || more !== undefined) return undefined;
  const days = [first];
  for (let day = first; day !== last;) days.push((day = (day + 1) % 7));
  return days;
}

function parseSpan(text: string): Span | undefined {
  const [, fromHour, fromMinute, toHour, toMinute] = /^(\d\d?):(\d\d)-(\d\d?):(\d\d)$/.exec(text) ?? [];
  if (toMinute === undefined) return undefined;
  const from = Number(fromHour) * 60 + Number(fromMinute);
  const to = Number(toHour) * 60 + Number(toMinute);
  const isTime = Number(fromMinute) < 60 && Number(toMinute) < 60 && from < dayMinutes && to <= dayMinutes;
  return isTime && from !== to ? { from, to } : undefined;
}

function holds({ days, spans }: ScheduleRule, { day, minute }: LocalTime): boolean {
  return spans.some(({ from, to }) => {
    if (from < to) return days.has(day) && minute >= from && minute < to;
    if (minute >= from) return days.has(day);
    return minute < to && days.has((day + 6) % 7);
  });
}

/** What holds now: of the rules that hold the first that names a direction, else what holds otherwise. */
export function ratesAt(rules: readonly ScheduleRule[], now: LocalTime, otherwise: Rates): Rates {
  const current = rules.filter((rule) => holds(rule, now));
  const upload = current.find((rule) => rule.upload !== undefined)?.upload ?? otherwise.upload;
  const download = current.find((rule) => rule.download !== undefined)?.download ?? otherwise.download;
  return { upload, download };
}
