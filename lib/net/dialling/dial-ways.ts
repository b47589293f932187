import { isKithError, KithError } from '../../base/errors.ts';
import type { Timers } from '../timers.ts';

/** How long a way is tried before the next is tried as well. */
export const headStartMs = 500;

/** One way. */
export interface Way {
  /** Tries it; undefined if there is a session now. */
  readonly run: () => Promise<KithError | undefined>;
  /** It led there just now: it is tried at once. */
  readonly isProven?: boolean;
  /** Resolves when it is worth another try after one that failed, or the signal fires. */
  readonly more?: (until: AbortSignal) => Promise<void>;
}

/** Tries of one way beyond the first, while others are under way. */
const moreCountMax = 8;

/**
 * Tries ways in their order, each half a second after the one before it, or when all before it have failed: who can be reached one way only
 * isn't kept waiting for what doesn't answer, nor who was reached that way just now. A way isn't tried any more where one before it has made a session. While others are under way,
 * one that has failed is tried again when there is more to it. Undefined if one made a session; else the errors in the order of the ways.
 */
export async function tryWays(ways: readonly Way[], timers: Timers): Promise<KithError[] | undefined> {
  const tries: Promise<KithError | undefined>[] = [];
  for (const way of ways) tries.push(afterHeadStart([...tries], way, timers));
  const over = new AbortController();
  let left = ways.filter(({ more }) => more === undefined).length;
  if (left === 0) over.abort();
  const whole = ways.map(async (way, index) => {
    const error = await tries[index];
    if (way.more !== undefined) return await tryMore(way, error, over.signal);
    left--;
    if (left === 0 || error === undefined) over.abort();
    return error;
  });
  const errors = (await Promise.all(whole)).filter((error) => error !== undefined);
  return errors.length < ways.length ? undefined : errors;
}

/** Tries a way that has failed again, whenever there is more to it, as long as others are under way. */
async function tryMore(
  way: Way,
  first: KithError | undefined,
  over: AbortSignal,
): Promise<KithError | undefined> {
  let error = first;
  for (let count = 0; count < moreCountMax && error !== undefined; count++) {
    if (over.aborted) break;
    await way.more?.(over);
    if (over.aborted) break;
    error = await way.run();
  }
  return error;
}

async function afterHeadStart(
  before: readonly Promise<KithError | undefined>[],
  way: Way,
  timers: Timers,
): Promise<KithError | undefined> {
  if (before.length === 0 || way.isProven === true) return way.run();
  let callOff = (): void => {};
  const isOver = new Promise<'over'>((resolve) => {
    callOff = timers.after(before.length * headStartMs, () => resolve('over'));
  });
  const result = await Promise.race([Promise.all(before), isOver]);
  callOff();
  return result !== 'over' && result.includes(undefined) ? undefined : way.run();
}

/** Of several errors the one that says most: that somebody answered and refused us, else that of the best way. */
export function mostTelling(errors: readonly KithError[]): KithError {
  return (
    errors.find((error) => isKithError(error, 'peer-refused')) ??
    errors[0] ??
    new KithError('peer-unreachable', 'there is no transport that could reach it')
  );
}

/** It in words; what friends who relay said is worth hearing as well. */
export function wordsOf(errors: readonly KithError[]): string {
  const told = mostTelling(errors);
  const relays = errors.find((error) => error !== told && error.details['relays'] !== undefined);
  return relays === undefined ? told.message : `${told.message}; ${relays.message}`;
}
