import type { RateSetting } from '../../base/rate.ts';
import { AutoRate } from './auto-rate.ts';
import { RateTurns } from './rate-turns.ts';
import type { RateLane } from './rate-turns.ts';
import type { Timers } from '../timers.ts';

/** Bytes a second each way; `auto` for sending yields to others on the line, for receiving it is no limit: there the sender yields. */
export interface RateLimits {
  readonly upload: RateSetting;
  readonly download: RateSetting;
}

/** No limit but the line itself. */
export const noLimits: RateLimits = {
  upload: Number.POSITIVE_INFINITY,
  download: Number.POSITIVE_INFINITY,
};

/** What is limited for one friend, with all devices, while there is a session with one of them. */
export class FriendLanes {
  readonly out: RateLane;
  readonly in: RateLane;
  readonly auto: AutoRate = new AutoRate();
  sessions = 0;

  constructor(out: RateLane, inward: RateLane) {
    this.out = out;
    this.in = inward;
  }
}

function rateOf(setting: RateSetting | undefined): number {
  return typeof setting === 'number' ? setting : Number.POSITIVE_INFINITY;
}

/** All bulk of this process: in all, and for each friend (docs/net.md, "Bandwidth"). */
export class Shaper {
  readonly #out: RateTurns;
  readonly #in: RateTurns;
  readonly #lanes = new Map<string, FriendLanes>();
  #limits: RateLimits = noLimits;
  #limitsOf: (identityHex: string) => Partial<RateLimits> = () => ({});

  constructor(timers: Timers) {
    this.#out = new RateTurns(timers);
    this.#in = new RateTurns(timers);
  }

  /** In force at once, for what waits as well. `of` says what holds for one friend beside that. */
  setLimits(limits: RateLimits, of: (identityHex: string) => Partial<RateLimits> = this.#limitsOf): void {
    this.#limits = limits;
    this.#limitsOf = of;
    this.#out.setRate(rateOf(limits.upload));
    this.#in.setRate(rateOf(limits.download));
    for (const [identityHex, lanes] of this.#lanes) this.#apply(identityHex, lanes);
  }

  /** True where what is sent yields when the line gets slow. */
  get yields(): boolean {
    return this.#limits.upload === 'auto';
  }

  /** A friend's lanes, shared by sessions with all devices of the friend; `leave` when one ends. */
  join(identityHex: string): FriendLanes {
    let lanes = this.#lanes.get(identityHex);
    if (lanes === undefined) {
      lanes = new FriendLanes(this.#out.newLane(), this.#in.newLane());
      this.#lanes.set(identityHex, lanes);
      this.#apply(identityHex, lanes);
    }
    lanes.sessions++;
    return lanes;
  }

  leave(identityHex: string): void {
    const lanes = this.#lanes.get(identityHex);
    if (lanes !== undefined && --lanes.sessions === 0) this.#lanes.delete(identityHex);
  }

  /** What a friend's line was found to bear has changed. */
  adjust(identityHex: string): void {
    const lanes = this.#lanes.get(identityHex);
    if (lanes !== undefined) this.#apply(identityHex, lanes);
  }

  /** Nothing waits any longer. */
  close(): void {
    this.#out.close();
    this.#in.close();
  }

  #apply(identityHex: string, { out, in: inward, auto }: FriendLanes): void {
    const own = this.#limitsOf(identityHex);
    out.setRate(Math.min(rateOf(own.upload), this.yields ? auto.rate : Number.POSITIVE_INFINITY));
    inward.setRate(rateOf(own.download));
  }
}
