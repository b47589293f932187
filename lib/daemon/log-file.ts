import { appendFileSync, chmodSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { systemCode } from '../base/errors.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** A log file is put aside at this size, and the one put aside before is dropped. */
export const logBytesMax: number = 4 * 1024 * 1024;

/** Characters of one line's text: a friend's words may be in it. */
const textLengthMax = 4096;

/** One line of the log. */
export interface LogEntry {
  /** RFC 3339. */
  readonly time: string;
  readonly level: LogLevel;
  /** What kind of thing happened, for programs. */
  readonly event: string;
  readonly text: string;
}

/** Where the daemon writes down what it does, for people: never keys, and names of the user's files only at level debug. */
export type Log = (level: LogLevel, event: string, text: string) => void;

/** The log of a home, newest file first. */
export function logPaths(home: string): readonly [current: string, old: string] {
  const path = join(home, 'daemon.log');
  return [path, `${path}.1`];
}

/**
 * A log in a home's `daemon.log`, mode 0600, one JSON object a line. Written at once, so that it tells of the end as well; a full
 * disk loses lines and nothing else. Levels below `least` are not written.
 */
export function openLog(home: string, clock: Clock, least: LogLevel, bytesMax: number = logBytesMax): Log {
  const [path, old] = logPaths(home);
  const from = logLevels.indexOf(least);
  return (level, event, text) => {
    if (logLevels.indexOf(level) < from) return;
    const time = new Date(Number(clock.nowNs() / 1_000_000n)).toISOString();
    const entry: LogEntry = { time, level, event, text: text.slice(0, textLengthMax) };
    try {
      if (sizeOf(path) > bytesMax) renameSync(path, old);
      appendFileSync(path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
    } catch {
      // There is no better place to say so.
    }
  };
}

function sizeOf(path: string): number {
  try {
    const { size, mode } = statSync(path);
    // Whoever made it: a log is for its owner alone.
    if ((mode & 0o077) !== 0) chmodSync(path, 0o600);
    return size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** A line of the log, or undefined where it isn't one: what the process itself printed as it died may be among them. */
export function parseLogLine(line: string): LogEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== 'object') return undefined;
  const { time, level, event, text } = value as Partial<Record<keyof LogEntry, unknown>>;
  const known = logLevels.find((each) => each === level);
  if (typeof time !== 'string' || typeof event !== 'string' || typeof text !== 'string') return undefined;
  return known === undefined ? undefined : { time, level: known, event, text };
}
