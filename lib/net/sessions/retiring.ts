import type { Session } from './session.ts';
import type { Timers } from '../timers.ts';

/** How often a session that retires is looked at. */
export const retireLookMs = 1_000;

/** So many looks in a row with nothing under way: what the other side began before it knew has come by then. */
const idleLooks = 2;

/** Calls that take longer than this are cut off; who made them makes them again over the other link. */
export const retireMsMax = 120_000;

/**
 * A session whose place another link takes: calls under way on it go on to their end, new ones go over the other link. It ends when
 * nothing has been under way for two seconds, or as soon as it is doubted while the other link lives.
 */
export class Retiring {
  readonly session: Session;
  readonly #timers: Timers;
  #callOff: (() => void) | undefined;
  #idle = 0;
  #sinceMs = 0;

  constructor(session: Session, timers: Timers) {
    this.session = session;
    this.#timers = timers;
  }

  /** The other link can be used: from now on the session may end. */
  begin(): void {
    if (this.#callOff !== undefined) return;
    this.#sinceMs = this.#timers.nowMs();
    this.#wait();
  }

  /** It stays, or has ended. */
  callOff(): void {
    this.#callOff?.();
    this.#callOff = undefined;
  }

  #wait(): void {
    this.#callOff = this.#timers.after(retireLookMs, () => this.#look());
  }

  #look(): void {
    this.#idle = this.session.busy ? 0 : this.#idle + 1;
    const late = this.#timers.nowMs() - this.#sinceMs >= retireMsMax;
    if (this.#idle < idleLooks && !late) this.#wait();
    else this.session.end('superseded', 'another session took its place');
  }
}
