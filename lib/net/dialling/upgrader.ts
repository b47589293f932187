import { idKey } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { freshMsMin } from './dial-schedule.ts';
import type { WantedPeer } from '../directory.ts';
import type { Timers } from '../timers.ts';

/** A better way is tried so long after a relayed session opened, … */
export const upgradeDelayMs = 1_000;

/** … by the side that goes second so long: holes that both sides punch at the same moment get in each other's way. */
export const secondDelayMs = 4_000;

/** … then after twice as long each time, up to this: a router that lets nobody in today may do so tomorrow. */
export const upgradeDelayMsMax: number = 5 * 60_000;

/** A better way that was lost sooner counts as a try that failed. */
export const betterLastsMs: number = 5 * 60_000;

/** Tries under way at a time. */
const triesAtOnce = 2;

interface Relayed {
  readonly deviceId: Uint8Array;
  attempts: number;
  dueAtMs: number;
  trying: AbortController | undefined;
  /** Its addresses when they were last looked at. */
  endpoints: string | undefined;
  /** When it was last tried as if new. */
  freshAtMs: number;
}

export interface UpgraderOptions {
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  /** True on one of the two sides. */
  readonly goesFirst: (deviceId: Uint8Array) => boolean;
  /** Tries the ways that are better than a relay; rejects or not, the session that there is then counts. */
  readonly dial: (deviceId: Uint8Array, attempts: number, signal: AbortSignal) => Promise<void>;
}

/** Goes on trying better ways to devices that are connected through a relay, ever more rarely. */
export class Upgrader {
  readonly #options: UpgraderOptions;
  readonly #relayed = new Map<string, Relayed>();
  /** Devices that a better way was found to: after how many tries, and when. */
  readonly #left = new Map<string, { readonly attempts: number; readonly atMs: number }>();
  readonly #running = new Set<Promise<void>>();
  #callOff: () => void = () => {};
  #closed = false;

  constructor(options: UpgraderOptions) {
    this.#options = options;
  }

  /** There is a session with the device, by a relay or not. */
  opened(deviceId: Uint8Array, isRelayed: boolean): void {
    const key = idKey(deviceId);
    const before = this.#relayed.get(key);
    const nowMs = this.#options.timers.nowMs();
    this.#forget(deviceId);
    if (this.#closed) return;
    if (!isRelayed) {
      if (before !== undefined) this.#left.set(key, { attempts: before.attempts, atMs: nowMs });
      return;
    }
    const left = this.#left.get(key);
    this.#left.delete(key);
    // A better way that didn't last is no reason to try it again at once.
    const attempts = left !== undefined && nowMs - left.atMs < betterLastsMs ? left.attempts + 1 : 0;
    const firstMs = this.#options.goesFirst(deviceId) ? upgradeDelayMs : secondDelayMs;
    const dueAtMs = nowMs + (attempts === 0 ? firstMs : this.#delayMs(attempts));
    const fresh = { attempts, dueAtMs, trying: undefined, endpoints: undefined, freshAtMs: nowMs };
    this.#relayed.set(key, { deviceId, ...fresh });
    this.#plan();
  }

  /** The session is over. */
  ended(deviceId: Uint8Array): void {
    this.#left.delete(idKey(deviceId));
    this.#forget(deviceId);
    this.#plan();
  }

  /** Whose addresses are others than before is tried soon, as if it were new. */
  update(wanted: readonly WantedPeer[]): void {
    const nowMs = this.#options.timers.nowMs();
    for (const { deviceId, endpoints } of wanted) {
      const relayed = this.#relayed.get(idKey(deviceId));
      const written = JSON.stringify(endpoints);
      if (relayed === undefined || relayed.endpoints === written) continue;
      const isFirst = relayed.endpoints === undefined;
      relayed.endpoints = written;
      // Addresses could change for ever.
      if (isFirst || nowMs - relayed.freshAtMs < freshMsMin) continue;
      relayed.freshAtMs = nowMs;
      relayed.attempts = 0;
      relayed.dueAtMs = Math.min(relayed.dueAtMs, nowMs + upgradeDelayMs);
    }
    this.#plan();
  }

  /** Calls off all tries and waits for them to end. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#callOff();
    for (const { deviceId } of this.#relayed.values()) this.#forget(deviceId);
    await Promise.all(this.#running);
  }

  #forget(deviceId: Uint8Array): void {
    const key = idKey(deviceId);
    this.#relayed.get(key)?.trying?.abort(new KithError('interrupted', 'the dial is no longer wanted'));
    this.#relayed.delete(key);
  }

  #plan(): void {
    this.#callOff();
    if (this.#closed) return;
    const { timers } = this.#options;
    const nowMs = timers.nowMs();
    const waiting = [...this.#relayed.values()].filter(({ trying }) => trying === undefined);
    waiting.sort((a, b) => a.dueAtMs - b.dueAtMs);
    for (const relayed of waiting) {
      if (relayed.dueAtMs > nowMs || this.#running.size >= triesAtOnce) break;
      this.#try(relayed);
    }
    const next = waiting.find(({ trying }) => trying === undefined);
    // With all tries under way the end of one plans anew.
    if (next === undefined || this.#running.size >= triesAtOnce) return;
    this.#callOff = timers.after(Math.max(0, next.dueAtMs - nowMs), () => this.#plan());
  }

  #delayMs(attempts: number): number {
    const full = Math.min(upgradeDelayMsMax, 2 * upgradeDelayMs * 2 ** Math.min(attempts, 16));
    return Math.round(full * (0.5 + 0.5 * this.#options.random()));
  }

  #try(relayed: Relayed): void {
    const { timers, dial } = this.#options;
    const trying = new AbortController();
    relayed.trying = trying;
    const { attempts } = relayed;
    const running = dial(relayed.deviceId, attempts, trying.signal)
      .catch(() => {})
      .finally(() => {
        relayed.attempts++;
        relayed.dueAtMs = timers.nowMs() + this.#delayMs(relayed.attempts);
        relayed.trying = undefined;
        this.#running.delete(running);
        this.#plan();
      });
    this.#running.add(running);
  }
}
