import type { Reachability } from '../lib/vault/friends/friend-network.ts';

/** The words and, where there is something to choose, a line for each choice. */
export function reachabilityLines({ words, choices }: Reachability): string[] {
  if (choices.length === 0) return [words];
  const lines = choices.map(
    ({ words: what, command }) => `  - ${what}${command === null ? '' : `: ${command}`}`,
  );
  return [`${words} Choose:`, ...lines];
}
