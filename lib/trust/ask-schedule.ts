/** Whom to ask for friends that can't be found, and when: pure, in ms of one monotonic clock. */

/** A friend who isn't there is asked for after this time, or as soon as it was dialled in vain: it may be about to come. */
export const askGraceMs = 500;

/** Between questions for one friend: this, doubled each time, up to the other, less up to half of it at random. */
export const askDelayMs = 2_000;
export const askDelayMsMax: number = 5 * 60_000;

/** Friends that one round asks. */
export const askedAtOnceMax = 8;

/** Rounds at once, and one more in so many ms: friends who come and go by the second don't make more. */
export const roundsRate: { readonly burst: number; readonly refillMs: number } = {
  burst: 16,
  refillMs: 30_000,
};

/** Questions to one friend at once, and one more in so many ms; below what the friend takes. */
export const questionsRate: { readonly burst: number; readonly refillMs: number } = {
  burst: 16,
  refillMs: 20_000,
};

/** How the search for one friend stands since it went, or since it became known. */
export interface AskState {
  readonly asks: number;
  readonly dueAtMs: number;
}

export function freshAsk(nowMs: number): AskState {
  return { asks: 0, dueAtMs: nowMs + askGraceMs };
}

/** It was dialled in vain: the first question needn't wait any longer. */
export function afterTry(state: AskState, nowMs: number): AskState {
  return state.asks === 0 && state.dueAtMs > nowMs ? { ...state, dueAtMs: nowMs } : state;
}

/** It was asked for. `random` is in [0, 1). */
export function afterAsk(state: AskState, nowMs: number, random: number): AskState {
  const full = Math.min(askDelayMsMax, askDelayMs * 2 ** Math.min(state.asks, 16));
  return { asks: state.asks + 1, dueAtMs: nowMs + Math.round(full * (1 - 0.5 * random)) };
}

/** Of those who are missing, at most so many for one question: the longest due first, then the least asked for. Those not due yet go along. */
export function pickMissing<T extends { readonly state: AskState }>(
  missing: readonly T[],
  nowMs: number,
  max: number,
): T[] {
  const isBegun = ({ state }: T): boolean => state.asks > 0 || state.dueAtMs <= nowMs;
  return missing
    .filter(isBegun)
    .sort((a, b) => a.state.dueAtMs - b.state.dueAtMs || a.state.asks - b.state.asks)
    .slice(0, max);
}

/** Of those who are here, whom to ask now: the longest unasked first, never asked ones before all. */
export function pickAsked<T extends { readonly askedAtMs: number | undefined }>(here: readonly T[]): T[] {
  return [...here]
    .sort((a, b) => (a.askedAtMs ?? -Infinity) - (b.askedAtMs ?? -Infinity))
    .slice(0, askedAtOnceMax);
}
