import { reachabilityLines } from './reachability-words.ts';
import { shown } from './words.ts';
import type { Standing } from '../lib/vault/friends/friend-network.ts';

/** How this computer stands among its friends, as JSON output gives it; nulls while no daemon listens. */
export function standingJson(standing: Standing | null): Record<string, unknown> {
  return {
    addresses: standing?.addresses ?? [],
    role: standing?.role ?? null,
    reachability: standing?.reachability ?? null,
    never_together: standing?.apart ?? [],
  };
}

/** The same for people; none while no daemon listens. */
export function standingLines(standing: Standing | null): string[] {
  if (standing === null) return [];
  const { addresses, role, reachability, apart } = standing;
  const where = addresses.length === 0 ? [] : [`Friends can dial ${addresses.map(shown).join(', ')}.`];
  const point =
    role === 'meeting-point' ? ['A meeting point: it introduces and relays, and stores nothing.'] : [];
  return [...where, ...point, ...reachabilityLines(reachability).map(shown), ...apart.map(shown)];
}
