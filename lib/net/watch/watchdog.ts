/** Which sessions to ask whether they still live, and which to give up: pure, in ms of one monotonic clock (docs/watchdog.md). */

/** The watchdog looks this often: what is overdue is seen soon. */
export const watchStepMs = 400;

/** While all is well one session is asked this often, however many there are. */
export const askEveryMs = 800;

/** A session from which something came so lately isn't asked: an only one, and one of several, who share the questions. */
export const restMs = 2_400;
export const restOfSeveralMs = 1_600;

/** An answer that takes longer than this, and twice what they take as a rule, has a session doubted: that costs a dial. */
export const doubtMsMin = 800;

/** How long an answer may take at least until it counts against a session. One whose answers take longer as a rule gets three times that, up to the second number. */
export const answerMsMin = 1_200;
export const answerMsMax = 6_000;

/**
 * Nobody is given up sooner after the first question, unless something says that the line is cut: lines stand still for three seconds,
 * and their delay jumps.
 */
export const silentMsMin = 4_000;

/** Waits for an answer beyond the second are this long where patience is due: the other side has work to do, or is gone. */
const patientMs = 4_000;

/** Questions without an answer until a session is given up: where everybody is silent … */
export const asksOfAll = 2;

/** … where it is the only one, and nothing else says that the line is cut … */
export const asksAlone = 3;

/** … where others do answer, or a call is under way: 1.2 + 1.2 + 4 + 4 s, for a side that is only busy. */
export const asksPatient = 4;

/** For so long after a disturbance everybody's silence needs no second witness. */
const hintMs = 10_000;

/** A session as the watchdog sees it, read at each look. */
export interface Watched {
  /** Grows whenever a byte came in, or the other side made room for more. */
  readonly moved: number;
  /** True while a call is under way. */
  readonly busy: boolean;
  /** Its other end is in a network of our own: that it lives says nothing of the line that leads out. */
  readonly isNear: boolean;
  /** True for ever once it is over: it is forgotten at the next look. */
  readonly ended: boolean;
}

interface Ward<S> {
  readonly session: S;
  readonly sinceMs: number;
  readonly isNear: boolean;
  moved: number;
  heardMs: number;
  /** Whether a call was under way when it was last heard of: one that began since says nothing of what keeps it busy. */
  wasBusy: boolean;
  /** When the first question was put that has had no answer, and the last. */
  firstAskMs: number | undefined;
  lastAskMs: number;
  asks: number;
  /** An answer is overdue, and nothing was heard of it since. */
  isDoubted: boolean;
  /** What its answers take. */
  usualMs: number;
  /** The same, as it is taken to be until it is known: halved by two answers. */
  graceMs: number;
}

/** How a session was until now. */
export interface Lived {
  /** From its opening until something came in last. */
  readonly heardForMs: number;
  /** What its answers take; 0 if there was none. */
  readonly usualMs: number;
}

/** What a look came to. */
export interface Look<S> {
  /** To be asked now. */
  readonly ask: readonly S[];
  /** An answer of theirs has just become overdue. */
  readonly doubted: readonly S[];
  /** To be given up now. */
  readonly lost: readonly S[];
}

/** Watches over open sessions. It puts no questions itself: whoever asks tells it of answers. */
export class Watchdog<S extends Watched> {
  readonly #wards = new Map<S, Ward<S>>();
  #hintedMs = Number.NEGATIVE_INFINITY;
  /** When a session was last given up with everybody else silent. */
  #lostMs = Number.NEGATIVE_INFINITY;
  #askedNextMs = Number.NEGATIVE_INFINITY;

  get count(): number {
    return this.#wards.size;
  }

  /** `usualMs`: what answers of its device took before; `graceMs`: what they are taken to take until it is known. */
  add(session: S, nowMs: number, usualMs = 0, graceMs = 0): void {
    const { moved, isNear, busy } = session;
    const times = { sinceMs: nowMs, heardMs: nowMs, firstAskMs: undefined, lastAskMs: nowMs };
    const ward = {
      session,
      moved,
      isNear,
      wasBusy: busy,
      ...times,
      asks: 0,
      isDoubted: false,
      usualMs,
      graceMs,
    };
    this.#wards.set(session, ward);
  }

  /** Undefined if it isn't watched. */
  lived(session: S): Lived | undefined {
    const ward = this.#wards.get(session);
    return ward && { heardForMs: ward.heardMs - ward.sinceMs, usualMs: ward.usualMs };
  }

  remove(session: S): void {
    this.#wards.delete(session);
  }

  /** True from when an answer is overdue until something comes in. */
  doubts(session: S): boolean {
    const ward = this.#wards.get(session);
    return ward !== undefined && ward.isDoubted && ward.moved === session.moved;
  }

  /** True if it is doubted, and `next` was heard of since it was asked: what it says nothing of isn't the line. */
  isOutlived(session: S, next: S): boolean {
    const heardMs = this.#wards.get(next)?.heardMs ?? Number.NEGATIVE_INFINITY;
    const { firstAskMs = heardMs } = this.#wards.get(session) ?? {};
    return this.doubts(session) && heardMs >= firstAskMs;
  }

  /** True if it is to be asked now, beyond those that a look names: something else speaks of its end. */
  suspect(session: S, nowMs: number): boolean {
    const ward = this.#wards.get(session);
    if (ward === undefined) return false;
    // What came before it was asked is no answer.
    if (session.moved !== ward.moved) this.#heard(ward, nowMs);
    if (ward.firstAskMs !== undefined) return false;
    askOf(ward, nowMs);
    return true;
  }

  /** It has answered a question that took so long. */
  answered(session: S, nowMs: number, tookMs: number): void {
    const ward = this.#wards.get(session);
    if (ward === undefined) return;
    // One slow answer counts at once, quick ones bit by bit: a line that is full at times isn't cut at times. What a short cut held up is
    // forgotten in a quarter of a minute.
    ward.usualMs = Math.max(tookMs, ward.usualMs * 0.7);
    ward.graceMs *= 0.7;
    this.#heard(ward, nowMs);
  }

  /** The line may be cut: all are to be asked at once, and given up sooner. */
  alarm(nowMs: number): S[] {
    this.#hintedMs = nowMs;
    this.#sample(nowMs);
    return this.#askAll(nowMs);
  }

  /** This process itself did nothing for a while: who was asked gets the time again. */
  excuse(nowMs: number): void {
    for (const ward of this.#wards.values()) {
      if (ward.firstAskMs === undefined) continue;
      ward.firstAskMs = nowMs;
      ward.lastAskMs = nowMs;
      ward.asks = 1;
      ward.isDoubted = false;
    }
  }

  /** To be called every watchStepMs. */
  look(nowMs: number): Look<S> {
    this.#sample(nowMs);
    const silent = [...this.#wards.values()].filter((ward) => this.#isOverdue(ward, nowMs));
    const asked = silent.filter((ward) => ward.asks >= this.#asksFor(ward, nowMs));
    const lost = asked.filter(
      (ward) => this.#isHinted(nowMs) || nowMs - (ward.firstAskMs ?? nowMs) >= silentMsMin,
    );
    // What one shows of the line holds for all who are silent as well: they needn't be silent for as long.
    if (lost.some((ward) => !this.#othersLive(ward)))
      lost.push(...silent.filter((ward) => this.#isLike(ward, lost, nowMs)));
    const again = silent.filter((ward) => !lost.includes(ward) && !asked.includes(ward));
    // What is left is judged as one of many, though it may be the last.
    if (lost.some((ward) => !this.#othersLive(ward))) this.#lostMs = nowMs;
    for (const ward of again) askOf(ward, nowMs);
    const doubted = [...this.#wards.values()].filter(
      (ward) => this.#isDoubtful(ward, nowMs) && !lost.includes(ward),
    );
    for (const ward of doubted) ward.isDoubted = true;
    const ask = again.map(({ session }) => session);
    // Nobody else has said anything since: is it the line?
    if ([...doubted, ...again].some((ward) => !this.#othersLive(ward))) ask.push(...this.#askAll(nowMs));
    if (silent.length === 0) ask.push(...this.#askNext(nowMs));
    const sessionsOf = (wards: readonly Ward<S>[]): S[] => wards.map(({ session }) => session);
    return { ask, doubted: sessionsOf(doubted), lost: sessionsOf(lost) };
  }

  #sample(nowMs: number): void {
    for (const ward of this.#wards.values()) {
      if (ward.session.ended) this.#wards.delete(ward.session);
      else if (ward.session.moved !== ward.moved) this.#heard(ward, nowMs);
    }
  }

  #heard(ward: Ward<S>, nowMs: number): void {
    ward.moved = ward.session.moved;
    ward.heardMs = nowMs;
    ward.wasBusy = ward.session.busy;
    ward.firstAskMs = undefined;
    ward.asks = 0;
    ward.isDoubted = false;
  }

  #askAll(nowMs: number): S[] {
    const wards = [...this.#wards.values()].filter(({ firstAskMs }) => firstAskMs === undefined);
    for (const ward of wards) askOf(ward, nowMs);
    return wards.map(({ session }) => session);
  }

  /** The one that was silent for longest, if it wasn't heard of lately. */
  #askNext(nowMs: number): S[] {
    if (nowMs - this.#askedNextMs < askEveryMs) return [];
    const quietMs = this.#wards.size > 1 ? restOfSeveralMs : restMs;
    let next: Ward<S> | undefined;
    for (const ward of this.#wards.values()) {
      if (ward.firstAskMs !== undefined) return [];
      if (next === undefined || ward.heardMs < next.heardMs) next = ward;
    }
    if (next === undefined || nowMs - next.heardMs < quietMs) return [];
    this.#askedNextMs = nowMs;
    askOf(next, nowMs);
    return [next.session];
  }

  /** Silent with those that are lost to the line, asked more than once, and nothing is under way on it. */
  #isLike(ward: Ward<S>, lost: readonly Ward<S>[], nowMs: number): boolean {
    const isAsked = ward.asks >= asksOfAll || this.#isHinted(nowMs);
    return isAsked && !lost.includes(ward) && !isBusy(ward) && !this.#othersLive(ward);
  }

  /**
   * True if another session was heard of since this one was first asked. One that began after this one was last heard of shows that there is
   * a line, and not that what was there before goes on: with another address outside only new ones live.
   */
  #othersLive(ward: Ward<S>): boolean {
    const since = ward.firstAskMs ?? Number.POSITIVE_INFINITY;
    return this.#hasBeside(ward, ({ heardMs, sinceMs }) => heardMs > since && sinceMs <= ward.heardMs);
  }

  /** True if another session that shares the line with it is so. */
  #hasBeside(ward: Ward<S>, isSo: (other: Ward<S>) => boolean): boolean {
    for (const other of this.#wards.values()) {
      if (other !== ward && (ward.isNear || !other.isNear) && isSo(other)) return true;
    }
    return false;
  }

  #asksFor(ward: Ward<S>, nowMs: number): number {
    if (this.#othersLive(ward)) return asksPatient;
    if (this.#isOneOfMany(ward, nowMs)) return isBusy(ward) ? asksAlone : asksOfAll;
    return isBusy(ward) ? asksPatient : asksAlone;
  }

  #isHinted(nowMs: number): boolean {
    return nowMs - this.#hintedMs < hintMs;
  }

  #isOneOfMany(ward: Ward<S>, nowMs: number): boolean {
    return this.#isHinted(nowMs) || nowMs - this.#lostMs < hintMs || this.#hasBeside(ward, () => true);
  }

  #isDoubtful(ward: Ward<S>, nowMs: number): boolean {
    if (ward.isDoubted || ward.firstAskMs === undefined) return false;
    return nowMs - ward.firstAskMs >= Math.min(answerMsMax, Math.max(doubtMsMin, 2 * ward.usualMs));
  }

  #isOverdue(ward: Ward<S>, nowMs: number): boolean {
    if (ward.firstAskMs === undefined) return false;
    const usual = Math.min(answerMsMax, Math.max(answerMsMin, 3 * Math.max(ward.usualMs, ward.graceMs)));
    const waitedMs = nowMs - ward.lastAskMs;
    if (waitedMs < usual || ward.asks <= 2) return waitedMs >= usual;
    return waitedMs >= patientMs || !(isBusy(ward) || this.#othersLive(ward));
  }
}

function isBusy({ wasBusy, session }: Ward<Watched>): boolean {
  return wasBusy && session.busy;
}

function askOf(ward: Ward<unknown>, nowMs: number): void {
  ward.firstAskMs ??= nowMs;
  ward.lastAskMs = nowMs;
  ward.asks++;
}
