import { isIPv4 } from 'node:net';
import { idKey } from '../../base/bytes.ts';
import type { WantedPeer } from '../directory.ts';

/** Nodes of the DHT that one identity's devices may name: its cards decide whom we ask, and every search asks all. */
export const entriesPerIdentityMax = 2;

/** A node of the DHT. */
export interface CardEntry {
  readonly host: string;
  readonly port: number;
}

/** IPv4 addresses only: of a name nobody knows beforehand whom it leads to. */
function entriesOf(peers: readonly WantedPeer[]): CardEntry[] {
  const found = new Map<string, CardEntry>();
  for (const { host, port, dht } of peers.flatMap(({ endpoints }) => endpoints)) {
    if (dht && isIPv4(host)) found.set(`${host}:${port}`, { host, port });
  }
  return [...found.values()].slice(0, entriesPerIdentityMax);
}

/** Where the DHT of friends may be entered, by their cards: the first of each friend, then the second of each. */
export function cardEntries(peers: readonly WantedPeer[]): CardEntry[] {
  const byIdentity = new Map<string, WantedPeer[]>();
  for (const peer of peers) {
    const key = idKey(peer.identity);
    byIdentity.set(key, [...(byIdentity.get(key) ?? []), peer]);
  }
  const entries = [...byIdentity.values()].map(entriesOf);
  return Array.from({ length: entriesPerIdentityMax }, (_, round) =>
    entries.flatMap((ofOne) => ofOne.slice(round, round + 1)),
  ).flat();
}
