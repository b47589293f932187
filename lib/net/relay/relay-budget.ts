import { pipeMessageBytes } from './relay-codec.ts';
import type { Timers } from '../timers.ts';

/** For how long a budget is given. */
export const budgetMs: number = 24 * 3600_000;

interface Use {
  readonly sinceMs: number;
  bytes: number;
}

/**
 * Bytes that are relayed for each friend in a day, which begins with the first of them. Kept in memory: a process that starts anew
 * begins anew.
 */
export class RelayBudget {
  readonly #timers: Timers;
  readonly #bytesPerDay: () => number;
  /** By identity in hex. Friends are bounded in number; of those whose day is over nothing is kept. */
  readonly #uses = new Map<string, Use>();

  /** `bytesPerDay` is asked anew each time; Infinity for no limit. */
  constructor(timers: Timers, bytesPerDay: () => number) {
    this.#timers = timers;
    this.#bytesPerDay = bytesPerDay;
  }

  usedBytes(identityHex: string): number {
    return this.#use(identityHex)?.bytes ?? 0;
  }

  /** True if not even one more message fits into the friend's day. */
  isUsedUp(identityHex: string): boolean {
    return this.usedBytes(identityHex) + pipeMessageBytes > this.#bytesPerDay();
  }

  /** Counts bytes for both ends of a pipe, once for an identity that is both; nothing is counted where either has too few left. */
  take(identities: readonly string[], bytes: number): boolean {
    const each = new Set(identities);
    const max = this.#bytesPerDay();
    for (const identityHex of each) if (this.usedBytes(identityHex) + bytes > max) return false;
    for (const identityHex of each) this.#count(identityHex, bytes);
    return true;
  }

  #use(identityHex: string): Use | undefined {
    const use = this.#uses.get(identityHex);
    if (use === undefined || this.#timers.nowMs() - use.sinceMs < budgetMs) return use;
    this.#uses.delete(identityHex);
    return undefined;
  }

  #count(identityHex: string, bytes: number): void {
    const use = this.#use(identityHex);
    if (use !== undefined) {
      use.bytes += bytes;
      return;
    }
    for (const other of this.#uses.keys()) this.#use(other);
    this.#uses.set(identityHex, { sinceMs: this.#timers.nowMs(), bytes });
  }
}
