/** When to dial whom: pure, in ms of one monotonic clock. */

/** Dials under way at a time, over all peers. */
export const dialCountMax = 8;

/** Of them, to devices of one identity: it can have many, and name any address for them. */
export const identityDialCountMax = 2;

/** New addresses are worth as many tries as a new peer this often: they could change for ever. */
export const freshMsMin = 60_000;

/** At first a peer is dialled about this often (a quarter more or less), for this long: it may just be starting. */
export const eagerDelayMs = 2_000;
export const eagerMs = 60_000;

/** A session that ended is dialled anew within this, not by all who lost it in the same moment. */
export const lostSpreadMs = 500;

/** Then ever more rarely, up to this. */
export const dialDelayMsMax: number = 5 * 60_000;

/** A session that ended sooner than this counts as a dial that failed: two that throw each other out don't spin. */
export const lastingMs = 10_000;

/** How one peer's dials have gone since its last session, or since it became known. */
export interface DialState {
  readonly sinceMs: number;
  readonly attempts: number;
  /** Of them, those after the eager time. */
  readonly lateAttempts: number;
  readonly dueAtMs: number;
}

/** A peer that is to be dialled at once. */
export function freshDial(nowMs: number): DialState {
  return { sinceMs: nowMs, attempts: 0, lateAttempts: 0, dueAtMs: nowMs };
}

/** After a dial that failed. `random` is in [0, 1): peers that were lost together don't come back together. */
export function afterFailure(state: DialState, nowMs: number, random: number): DialState {
  const attempts = state.attempts + 1;
  if (nowMs - state.sinceMs < eagerMs) {
    const delayMs = Math.round(eagerDelayMs * (0.75 + 0.5 * random));
    return { ...state, attempts, dueAtMs: nowMs + delayMs };
  }
  const full = Math.min(dialDelayMsMax, eagerDelayMs * 2 ** Math.min(state.lateAttempts + 1, 16));
  const delayMs = Math.round(full * (0.5 + 0.5 * random));
  return { ...state, attempts, lateAttempts: state.lateAttempts + 1, dueAtMs: nowMs + delayMs };
}

/** After a session ended: within a moment, if it had lasted. */
export function afterSession(state: DialState, openedAtMs: number, nowMs: number, random: number): DialState {
  if (nowMs - openedAtMs < lastingMs) return afterFailure(state, nowMs, random);
  return { ...freshDial(nowMs), dueAtMs: nowMs + Math.round(lostSpreadMs * random) };
}

/** When the line seems to be there again: one try soon, then as after the eager time. */
export function afterOutage(state: DialState, nowMs: number, delayMs: number): DialState {
  return { ...state, lateAttempts: 0, dueAtMs: Math.min(state.dueAtMs, nowMs + delayMs) };
}

/**
 * For a dial beside a session that has come to be doubted: at once, if the dials before are long ago. Many who doubt one device do so each in a
 * moment of its own, as it is asked.
 */
export function besideDial(before: DialState | undefined, nowMs: number): DialState {
  return before === undefined || nowMs - before.dueAtMs >= eagerMs ? freshDial(nowMs) : before;
}

/** After the peer named other addresses: worth a try at once. */
export function afterMove(state: DialState, nowMs: number): DialState {
  return nowMs - state.sinceMs >= freshMsMin ? freshDial(nowMs) : { ...state, dueAtMs: nowMs };
}

/**
 * How long one dial over one transport may take: the first round is quick, so that those who are here are soon found. So are most to
 * a peer that fell silent: a dial that was begun while the line is cut may hang beyond its end. Where its answers are known to take
 * `usualMs`, there is time for several.
 */
export function dialLimitMs(attempts: number, fellSilent = false, usualMs = 0): number {
  if (attempts === 0 || (fellSilent && attempts % 4 !== 3))
    return Math.min(10_000, Math.max(2_500, 4 * usualMs));
  return attempts === 1 ? 5_000 : 10_000;
}

/**
 * Of those who wait, whom to dial now: as many as are free, the least tried first, then the longest due. `underWay` has
 * the identity of each dial that is.
 */
export function pickDue<T extends { readonly state: DialState; readonly identity: string }>(
  waiting: readonly T[],
  nowMs: number,
  underWay: readonly string[],
): T[] {
  const due = waiting.filter(({ state }) => state.dueAtMs <= nowMs);
  due.sort((a, b) => a.state.attempts - b.state.attempts || a.state.dueAtMs - b.state.dueAtMs);
  const dials = [...underWay];
  return due.filter(({ identity }) => {
    if (dials.length >= dialCountMax) return false;
    if (dials.filter((other) => other === identity).length >= identityDialCountMax) return false;
    dials.push(identity);
    return true;
  });
}

/** How long until somebody is due who isn't yet; undefined if nobody waits. */
export function nextDueMs(
  waiting: readonly { readonly state: DialState }[],
  nowMs: number,
): number | undefined {
  const later = waiting.map(({ state }) => state.dueAtMs).filter((dueAtMs) => dueAtMs > nowMs);
  return later.length === 0 ? undefined : Math.min(...later) - nowMs;
}
