import { KithError } from '../base/errors.ts';
import type { Holder } from '../holders/holder.ts';

/**
 * What a friend answers, or KithError `holder-unavailable` once it took longer than that, however much it keeps trickling in. A drive has
 * as long as it takes. What comes too late is dropped.
 */
export async function inTime<T>(holder: Holder, msMax: number, ask: () => Promise<T>): Promise<T> {
  if (holder.kind === 'drive') return await ask();
  const answer = ask();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const details = { holder: holder.id, foreign: false };
      reject(new KithError('holder-unavailable', `${holder.name} took too long to answer`, { details }));
    }, msMax);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
