import { throwIfAborted } from '../../base/concurrency.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';

/**
 * Exchanges logs with every holder that is here: before something is appended, so that a home that was put back doesn't go on with a
 * log that others have more of, and after, so that it isn't the only place that knows.
 */
export async function exchangeWithAll(session: Session): Promise<void> {
  const { here } = await session.reachable();
  await session.exchangeLogs(here.map(({ holder }) => holder));
  session.takeNews();
}

/**
 * The same with one holder: a friend who has just come online. Safe beside operations that read, and beside one that writes, though
 * this then waits for its exchanges. True if the holder has all the logs now; what goes wrong is told as a problem. KithError `too-new`,
 * and `interrupted` when the signal fires.
 */
export async function exchangeWith(
  session: Session,
  keeper: Pick<KnownHolder, 'holder'>,
  signal?: AbortSignal,
): Promise<boolean> {
  throwIfAborted(signal);
  const { reached } = await session.exchangeLogs([keeper.holder], { signal });
  session.takeNews();
  return reached > 0;
}
