/** How often everything is looked at although nothing has happened. */
export const hourMs = 3_600_000;

/** No shorter wait between two looks, however short the grace. */
const shortestMs = 1000;

/** After a friend comes back others often do as well (a power cut, a router): they are taken together. */
const settleMs = 1000;

/** First and longest wait after a repair that failed. */
const retryMsMin = 60_000;

interface Absence {
  /** When a repair is due because of it. */
  readonly dueMs: number;
  /** How long after that one the next. */
  readonly againMs: number;
}

/** A holder that flaps makes no more repairs due than one in so long. */
const betweenMsMin: number = 60 * 1000;

/**
 * When the daemon repairs by itself. Pure policy: it is told what happens and when, in ms of a monotonic clock, and says when the
 * next repair is due. What a repair then does is for the vault to judge.
 *
 * With a grace of a given length a repair is due as long after a holder went away, and again, ever more seldom, while it stays
 * away; whenever one comes back; whenever something waits for holders; and every hour in any case. With the grace left
 * to kith (undefined) only the last three.
 */
export class RepairSchedule {
  #graceMs: number | undefined;
  #dueMs: number;
  #failures = 0;
  /** Since when each holder that isn't here has been away. */
  readonly #since = new Map<string, number>();
  readonly #absences = new Map<string, Absence>();
  readonly #here = new Set<string>();
  #endedMs = Number.NEGATIVE_INFINITY;

  constructor(graceMs: number | undefined, nowMs: number) {
    this.#graceMs = graceMs;
    this.#dueMs = nowMs + hourMs;
  }

  /** How often holders that tell nothing by themselves (disks) should be looked at. */
  get pollMs(): number {
    if (this.#graceMs === undefined) return hourMs;
    return Math.min(hourMs, Math.max(shortestMs, this.#graceMs / 4));
  }

  /** Between a repair and the next that a holder's coming makes due. */
  get #betweenMs(): number {
    return Math.min(betweenMsMin, this.pollMs);
  }

  /** The setting has changed: absences are counted by it from their beginning. */
  setGrace(graceMs: number | undefined): void {
    if (graceMs === this.#graceMs) return;
    this.#graceMs = graceMs;
    this.#absences.clear();
    for (const [id, since] of this.#since) this.#expect(id, since);
  }

  #expect(id: string, since: number): void {
    if (this.#graceMs === undefined) return;
    this.#absences.set(id, { dueMs: since + this.#graceMs, againMs: this.pollMs });
  }

  /** A holder was met, or was found to be away. Says whether that is news. */
  seen(id: string, here: boolean, nowMs: number): boolean {
    if (here) {
      if (this.#here.has(id)) return false;
      this.#here.add(id);
      this.#since.delete(id);
      this.#absences.delete(id);
      // One that comes and goes costs a repair now and then, not one each time.
      const earliest = Math.max(nowMs + settleMs, this.#endedMs + this.#betweenMs);
      this.#dueMs = Math.min(this.#dueMs, earliest);
      return true;
    }
    if (this.#since.has(id)) return false;
    this.#here.delete(id);
    this.#since.set(id, nowMs);
    this.#expect(id, nowMs);
    return true;
  }

  /** A holder is none any more. */
  gone(id: string): void {
    this.#here.delete(id);
    this.#since.delete(id);
    this.#absences.delete(id);
  }

  /** Something waits for holders, or a repair had to give way: one more is due soon. */
  request(nowMs: number): void {
    this.#dueMs = Math.min(this.#dueMs, nowMs + settleMs);
  }

  /** Ms until the next repair, 0 when it is due. */
  waitMs(nowMs: number): number {
    const due = Math.min(this.#dueMs, ...[...this.#absences.values()].map((absence) => absence.dueMs));
    return Math.max(0, due - nowMs);
  }

  /** A repair has ended; what made it due has been looked after, or is tried again later. */
  ended(ok: boolean, nowMs: number): void {
    this.#failures = ok ? 0 : this.#failures + 1;
    this.#endedMs = nowMs;
    const retryMs = Math.min(
      hourMs,
      Math.min(retryMsMin, this.pollMs) * 2 ** Math.min(this.#failures - 1, 20),
    );
    this.#dueMs = nowMs + (ok ? hourMs : retryMs);
    for (const [id, { dueMs, againMs }] of this.#absences) {
      // At first soon: the vault may have met the holder a little later than we did, and waits that much longer.
      if (dueMs <= nowMs)
        this.#absences.set(id, { dueMs: nowMs + againMs, againMs: Math.min(hourMs, againMs * 2) });
    }
  }
}
