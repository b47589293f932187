import type { Clock } from '../base/clock.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import type { Log } from './log-file.ts';
import { hourMs, RepairSchedule } from './schedule.ts';
import type { WriterQueue } from './operations.ts';

/** Sets timers; tests put their own in. */
export interface Timers {
  /** Calls once after so many ms; the function returned takes that back. */
  readonly after: (ms: number, work: () => void) => () => void;
}

/** The machine's. A timer alone keeps no process alive. */
export const systemTimers: Timers = {
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** First wait after an exchange of logs that failed. */
const exchangeRetryMs = 30_000;

export interface SchedulerOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly queue: WriterQueue;
  readonly log: Log;
  /** The setting `repair.grace` in ms, undefined for `auto`. */
  readonly grace: () => Promise<number | undefined>;
  /** Holders that don't tell when they come and go: the disks. */
  readonly look: () => Promise<readonly { readonly id: string; readonly here: boolean }[]>;
  /** A quick repair; says in words what it did, or undefined where nothing was to do. */
  readonly repair: (signal: AbortSignal) => Promise<string | undefined>;
  readonly exchangeWith: (friendId: string, signal: AbortSignal) => Promise<void>;
}

/** What the daemon does by itself: logs to friends that come online, repairs. Never beside a user's writer. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #ending = new AbortController();
  readonly #under = new Set<Promise<void>>();
  /** Friends online, and how often in a row their exchange has failed. */
  readonly #online = new Map<string, number>();
  /** Friends with whom logs are to be exchanged, in the order in which they came: one of them has a turn among the writers at a time. */
  readonly #line = new Set<string>();
  #isExchanging = false;
  readonly #retries = new Map<string, () => void>();
  #schedule: RepairSchedule | undefined;
  #disarm: (() => void) | undefined;
  #lookedMs: number | undefined;
  #looked: ReadonlySet<string> = new Set();
  #ticking = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  #now(): number {
    return this.#options.clock.monotonicMs();
  }

  /** Begins; friends that came online before are taken up. */
  async start(): Promise<void> {
    this.#schedule = new RepairSchedule(await this.#options.grace(), this.#now());
    for (const id of this.#online.keys()) this.#exchange(id);
    this.#spawn(() => this.#tick());
  }

  /** The setting has been changed, or holders were added or removed. */
  changed(): void {
    this.#spawn(async () => {
      this.#schedule?.setGrace(await this.#options.grace());
      this.#lookedMs = undefined;
      await this.#tick();
    });
  }

  /** Something was left waiting for holders. */
  request(): void {
    this.#schedule?.request(this.#now());
    this.#arm();
  }

  presence(friendId: string, online: boolean): void {
    if (online === this.#online.has(friendId)) return;
    this.#retries.get(friendId)?.();
    this.#retries.delete(friendId);
    if (online) {
      this.#online.set(friendId, 0);
      this.#exchange(friendId);
    } else {
      this.#online.delete(friendId);
      this.#line.delete(friendId);
      this.#schedule?.seen(friendId, false, this.#now());
      this.#arm();
    }
  }

  /** A friend is none any more: its absence is no loss to be repaired by the clock. */
  friendRemoved(friendId: string): void {
    this.#online.delete(friendId);
    this.#line.delete(friendId);
    this.#schedule?.gone(friendId);
  }

  /** Ends what is under way, and resolves when it has ended. */
  async close(): Promise<void> {
    this.#ending.abort(new KithError('interrupted', 'the daemon is ending'));
    this.#disarm?.();
    for (const cancel of this.#retries.values()) cancel();
    await Promise.all(this.#under);
  }

  #spawn(work: () => Promise<void>): void {
    if (this.#ending.signal.aborted) return;
    const under = work()
      .catch((error: unknown) => {
        if (!this.#ending.signal.aborted) this.#options.log('error', 'schedule-failed', messageOf(error));
      })
      .finally(() => this.#under.delete(under));
    this.#under.add(under);
  }

  #exchange(id: string): void {
    if (this.#schedule === undefined) return;
    this.#line.add(id);
    if (this.#isExchanging) return;
    this.#isExchanging = true;
    this.#spawn(async () => {
      try {
        for (const next of this.#line) {
          this.#line.delete(next);
          await this.#exchangeNow(next);
        }
      } finally {
        this.#isExchanging = false;
      }
    });
  }

  async #exchangeNow(id: string): Promise<void> {
    const { queue, log, exchangeWith, timers } = this.#options;
    const { signal } = this.#ending;
    if (!this.#online.has(id) || signal.aborted) return;
    // Also true where it was never begun.
    let gaveWay = true;
    try {
      const turn = { name: 'the exchange of logs with a friend', signal, background: true };
      await queue.run(turn, async (stop) => {
        await exchangeWith(id, stop).finally(() => {
          gaveWay = stop.aborted;
        });
      });
      this.#online.set(id, 0);
      this.#schedule?.seen(id, true, this.#now());
      this.#arm();
    } catch (error) {
      if (!this.#online.has(id)) return;
      // It gave way: once more, after the others, since it may be the one that takes for ever.
      if (gaveWay && isKithError(error, 'interrupted')) {
        this.#line.add(id);
        return;
      }
      const failures = (this.#online.get(id) ?? 0) + 1;
      this.#online.set(id, failures);
      log(
        'warn',
        'exchange-failed',
        `logs could not be exchanged with ${id.slice(0, 16)}: ${messageOf(error)}`,
      );
      // It went and came meanwhile, and is in the line again.
      if (this.#line.has(id)) return;
      const waitMs = Math.min(hourMs, exchangeRetryMs * 2 ** Math.min(failures - 1, 16));
      this.#retries.set(
        id,
        timers.after(waitMs, () => this.#exchange(id)),
      );
    }
  }

  /** Looks, repairs if that is due, and sets the timer for the next time. */
  async #tick(): Promise<void> {
    const schedule = this.#schedule;
    if (schedule === undefined || this.#ticking) return;
    this.#ticking = true;
    try {
      if (this.#lookedMs === undefined || this.#now() - this.#lookedMs >= schedule.pollMs) {
        await this.#look(schedule);
      }
      if (schedule.waitMs(this.#now()) === 0) await this.#repair(schedule);
    } finally {
      this.#ticking = false;
      this.#arm();
    }
  }

  async #look(schedule: RepairSchedule): Promise<void> {
    this.#lookedMs = this.#now();
    const holders = await this.#options.look();
    for (const { id, here } of holders) schedule.seen(id, here, this.#now());
    const ids = new Set(holders.map(({ id }) => id));
    for (const id of this.#looked) {
      if (!ids.has(id)) schedule.gone(id);
    }
    this.#looked = ids;
  }

  async #repair(schedule: RepairSchedule): Promise<void> {
    const { queue, log, repair } = this.#options;
    const { signal } = this.#ending;
    const turn = { name: 'the repair that kith does by itself', signal, background: true };
    // Also true where it was never begun.
    let gaveWay = true;
    try {
      const did = await queue.run(turn, (stop) =>
        repair(stop).finally(() => {
          gaveWay = stop.aborted;
        }),
      );
      if (did !== undefined) log('info', 'repaired', did);
      schedule.ended(true, this.#now());
    } catch (error) {
      gaveWay &&= isKithError(error, 'interrupted');
      schedule.ended(gaveWay, this.#now());
      if (signal.aborted) return;
      if (gaveWay) {
        log('info', 'repair-gave-way', 'a repair was left for later: a command wanted to work');
        schedule.request(this.#now());
      } else if (isKithError(error, 'no-holders', 'device-revoked')) {
        schedule.ended(true, this.#now());
      } else {
        const code = isKithError(error) ? error.code : 'internal';
        log('warn', 'repair-failed', `a repair failed (${code}) and is tried again later`);
        log('debug', 'repair-failed', messageOf(error));
      }
    }
  }

  #arm(): void {
    const schedule = this.#schedule;
    this.#disarm?.();
    this.#disarm = undefined;
    if (schedule === undefined || this.#ticking || this.#ending.signal.aborted) return;
    const lookMs = this.#lookedMs === undefined ? 0 : this.#lookedMs + schedule.pollMs - this.#now();
    const waitMs = Math.max(0, Math.min(lookMs, schedule.waitMs(this.#now())));
    this.#disarm = this.#options.timers.after(waitMs, () => this.#spawn(() => this.#tick()));
  }
}
