import { setTimeout } from 'node:timers/promises';

/** Between two questions to another process: long enough to leave it the processor. */
const pauseMs = 20;

/**
 * Asks other processes again and again until the answer is neither undefined nor false. Fails after the limit, with what was waited
 * for and the last that `told` said.
 */
export async function poll<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  options: { readonly limitMs?: number; readonly told?: () => string } = {},
): Promise<T> {
  const { limitMs = 60_000, told = () => '' } = options;
  const end = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`${what} did not come about within ${limitMs} ms ${told()}`);
    await setTimeout(pauseMs);
  }
}
