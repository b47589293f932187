import type { Endpoint } from '../links/link.ts';

/** Addresses tried of one device: it has a few; a card that names hundreds would have us scan for it. */
export const triedCountMax = 8;

/** The first of them, in their order: so many that were heard in the local network, and so many of the card, which those don't crowd out. */
export function triedEndpoints(endpoints: readonly Endpoint[]): Endpoint[] {
  const [heard, named] = [true, false].map((isHeard) =>
    endpoints.filter(({ lan = false }) => lan === isHeard).slice(0, triedCountMax),
  );
  const tried = new Set([...(heard ?? []), ...(named ?? [])]);
  return endpoints.filter((endpoint) => tried.has(endpoint));
}
