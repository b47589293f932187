import { answerMsMax } from './watchdog.ts';

/** Devices that are remembered: of more, those whose sessions ended longest ago are forgotten. */
export const rememberedMax = 1_024;

/** Nothing is remembered for longer. */
export const rememberedMs: number = 60 * 60_000;

/** A device's last session, once it is over. */
export interface EndedSession {
  /** What its answers took. */
  readonly usualMs: number;
  /** Something was heard of it for long enough to call it a session. */
  readonly isLasting: boolean;
  /** It was given up for its silence. */
  readonly isGivenUp: boolean;
}

interface Entry extends EndedSession {
  readonly atMs: number;
  /** Sessions in a row that were given up and weren't lasting. */
  readonly mutes: number;
}

/** What was learned of devices' answers, beyond their sessions: pure, in ms of one monotonic clock (docs/watchdog.md). */
export class AnswerMemory {
  /** By the device's key; who ended least lately comes first. */
  readonly #entries = new Map<string, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** A session is over; says how many in a row were given up without having lasted, this one included. */
  ended(key: string, nowMs: number, session: EndedSession): number {
    const before = this.#of(key, nowMs)?.mutes ?? 0;
    const mutes = session.isGivenUp && !session.isLasting ? before + 1 : session.isLasting ? 0 : before;
    this.#entries.delete(key);
    this.#entries.set(key, { ...session, atMs: nowMs, mutes });
    for (const [old, { atMs }] of this.#entries) {
      if (this.#entries.size <= rememberedMax && nowMs - atMs < rememberedMs) break;
      this.#entries.delete(old);
    }
    return mutes;
  }

  /** What its answers took; 0 if that isn't known. */
  usualMs(key: string, nowMs: number): number {
    return this.#of(key, nowMs)?.usualMs ?? 0;
  }

  /** What its next session's answers are to be taken to take until it is known: who was given up may only be slow. */
  graceMs(key: string, nowMs: number): number {
    return this.#of(key, nowMs)?.isGivenUp === true ? answerMsMax / 3 : 0;
  }

  /** How many of its last sessions in a row were given up without having lasted. */
  mutes(key: string, nowMs: number): number {
    return this.#of(key, nowMs)?.mutes ?? 0;
  }

  #of(key: string, nowMs: number): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && nowMs - entry.atMs < rememberedMs ? entry : undefined;
  }
}
