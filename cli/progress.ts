import { countOf, formatCount, formatDuration, formatSize } from '../lib/base/units.ts';
import { columnsOf, shown } from './words.ts';
import type { Clock } from '../lib/base/clock.ts';
import type { Progress } from '../lib/vault/types.ts';

/** A live line is drawn at most this often, a JSON status printed at most that often. */
const drawEveryMs = 100;
const statusEveryMs = 500;

/** Seconds over which the rate is smoothed: long enough to be calm, short enough to show that a disk is slow. */
const rateSmoothingMs = 5000;

const phaseWords: Readonly<Record<Progress['phase'], string>> = {
  scan: 'looking at',
  read: 'reading',
  place: 'storing',
  publish: 'finishing',
  restore: 'restoring',
  check: 'checking',
  repair: 'repairing',
  recover: 'recovering',
  wait: 'waiting',
};

/** What a phase counts as its files. */
const nounsOf: Partial<Readonly<Record<Progress['phase'], string>>> = { repair: 'pack', check: 'pack' };

/** Progress with what only the passing of time tells: rate and time left. */
export interface Measured {
  readonly progress: Progress;
  /** 0–1, or undefined while the total isn't known. */
  readonly share: number | undefined;
  readonly bytesPerSecond: number;
  readonly elapsedMs: number;
  readonly leftMs: number | undefined;
}

/** Turns progress into rates. Time comes by argument. */
export class ProgressMeter {
  readonly #startMs: number;
  #lastMs: number;
  #lastBytes = 0;
  #rate: number | undefined;
  #phase: Progress['phase'] | undefined;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
    this.#lastMs = nowMs;
  }

  measure(progress: Progress, nowMs: number): Measured {
    const spanMs = nowMs - this.#lastMs;
    if (progress.phase !== this.#phase || progress.bytesDone < this.#lastBytes) {
      // Another phase counts other bytes: its rate starts afresh.
      this.#phase = progress.phase;
      this.#rate = undefined;
      this.#lastMs = nowMs;
      this.#lastBytes = progress.bytesDone;
    } else if (spanMs > 0) {
      const now = ((progress.bytesDone - this.#lastBytes) / spanMs) * 1000;
      const weight = this.#rate === undefined ? 1 : 1 - Math.exp(-spanMs / rateSmoothingMs);
      this.#rate = (this.#rate ?? 0) * (1 - weight) + now * weight;
      this.#lastMs = nowMs;
      this.#lastBytes = progress.bytesDone;
    }
    const total = progress.bytesTotal;
    const share = total === undefined || total <= 0 ? undefined : Math.min(1, progress.bytesDone / total);
    const rate = this.#rate ?? 0;
    const left = total === undefined || rate < 1 ? undefined : ((total - progress.bytesDone) / rate) * 1000;
    return {
      progress,
      share,
      bytesPerSecond: rate,
      elapsedMs: nowMs - this.#startMs,
      leftMs: left === undefined ? undefined : Math.max(0, left),
    };
  }
}

/** One line for a terminal of that many columns: never longer, and nothing in it drives the terminal. */
export function progressLine(measured: Measured, columns: number): string {
  const { progress, share } = measured;
  const parts = [phaseWords[progress.phase]];
  if (share !== undefined) parts.unshift(`${Math.floor(share * 100)}%`.padStart(4));
  const { filesDone, filesTotal } = progress;
  const noun = nounsOf[progress.phase] ?? 'file';
  if (filesTotal !== undefined && filesDone < filesTotal) {
    parts.push(`${formatCount(filesDone)} of ${countOf(filesTotal, noun)}`);
  } else if (filesDone > 0) {
    parts.push(countOf(filesDone, noun));
  }
  const total = progress.bytesTotal === undefined ? '' : ` of ${formatSize(progress.bytesTotal)}`;
  parts.push(`${formatSize(progress.bytesDone)}${total}`);
  if (measured.bytesPerSecond >= 1) parts.push(`${formatSize(measured.bytesPerSecond)}/s`);
  if (measured.leftMs !== undefined) parts.push(`${formatDuration(measured.leftMs)} left`);
  if (progress.current !== undefined) parts.push(shown(progress.current));
  return fit(parts.join('  '), columns - 1);
}

function fit(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    used += columnsOf(character);
    if (used > columns - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/** The fields of a JSON `status` object. */
export function statusFields(measured: Measured): Record<string, unknown> {
  const { progress } = measured;
  const seconds = (ms: number): number => Math.round(ms) / 1000;
  return {
    phase: progress.phase,
    percent_done: measured.share ?? null,
    files_done: progress.filesDone,
    total_files: progress.filesTotal ?? null,
    bytes_done: progress.bytesDone,
    total_bytes: progress.bytesTotal ?? null,
    bytes_per_second: Math.round(measured.bytesPerSecond),
    seconds_elapsed: seconds(measured.elapsedMs),
    seconds_remaining: measured.leftMs === undefined ? null : seconds(measured.leftMs),
    current: progress.current ?? null,
  };
}

/** Where progress is shown. */
export interface ProgressTarget {
  /** Writes raw text to the terminal; undefined where there is none. */
  readonly draw: ((text: string) => void) | undefined;
  readonly columns: () => number;
  /** Prints a JSON status; undefined outside JSON mode. */
  readonly status: ((fields: Record<string, unknown>) => void) | undefined;
  readonly clock: Clock;
}

/** Shows an operation's progress as a live line or as JSON, never more often than an eye or a program can use. */
export class ProgressView {
  readonly #target: ProgressTarget;
  readonly #meter: ProgressMeter;
  #shownMs: number | undefined;
  #drawn = false;

  constructor(target: ProgressTarget) {
    this.#target = target;
    this.#meter = new ProgressMeter(target.clock.monotonicMs());
  }

  update(progress: Progress): void {
    const { draw, status, clock } = this.#target;
    if (draw === undefined && status === undefined) return;
    const nowMs = clock.monotonicMs();
    const everyMs = draw === undefined ? statusEveryMs : drawEveryMs;
    if (this.#shownMs !== undefined && nowMs - this.#shownMs < everyMs) return;
    this.#shownMs = nowMs;
    const measured = this.#meter.measure(progress, nowMs);
    status?.(statusFields(measured));
    if (draw !== undefined) {
      draw(`\r${progressLine(measured, this.#target.columns())}\x1b[K`);
      this.#drawn = true;
    }
  }

  /** Takes the line away, so that something else can be printed; the next update draws it again. */
  clear(): void {
    if (!this.#drawn) return;
    this.#target.draw?.('\r\x1b[K');
    this.#drawn = false;
  }
}
