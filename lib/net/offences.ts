import { idKey } from '../base/bytes.ts';

/** How long nobody listens to a key with which a rule was broken: at first, and at most. */
export const offenceMsMin = 5_000;
export const offenceMsMax: number = 5 * 60_000;

/** So long after the end of that it is as good as forgotten. */
export const forgottenMs: number = 60 * 60_000;

/** Keys that are remembered: only those that are admitted can offend. Of more the oldest go. */
const keysMax = 2048;

interface Offence {
  readonly count: number;
  readonly untilMs: number;
}

/**
 * Who sent what no honest kith sends isn't listened to for a while, twice as long each time: else it would dial, be heard, and be let go
 * again without end. By the key that the link was made with, which the handshake has proved. Times are of one monotonic clock.
 */
export class Offences {
  readonly #offences = new Map<string, Offence>();

  /** How long the key isn't listened to from now on; undefined where that had begun already: what comes in a crowd counts once. */
  note(key: Uint8Array, nowMs: number): number | undefined {
    const id = idKey(key);
    const before = this.#offences.get(id);
    if (before !== undefined && nowMs < before.untilMs) return undefined;
    const isForgotten = before === undefined || nowMs - before.untilMs >= forgottenMs;
    const count = isForgotten ? 0 : before.count + 1;
    const waitMs = Math.min(offenceMsMax, offenceMsMin * 2 ** Math.min(count, 16));
    this.#offences.delete(id);
    this.#offences.set(id, { count, untilMs: nowMs + waitMs });
    for (const oldest of this.#offences.keys()) {
      if (this.#offences.size <= keysMax) break;
      this.#offences.delete(oldest);
    }
    return waitMs;
  }

  /** For how long the key still isn't listened to; 0 for one that is. */
  leftMs(key: Uint8Array, nowMs: number): number {
    const { untilMs } = this.#offences.get(idKey(key)) ?? { untilMs: nowMs };
    return Math.max(0, untilMs - nowMs);
  }
}
