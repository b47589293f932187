import { setTimeout } from 'node:timers/promises';
import { beaconBytes } from '../../lib/net/lan/lan-beacon.ts';
import { openLanSockets } from '../../lib/net/lan/lan-sockets.ts';

/** Where a system has neither multicast nor broadcast on loopback there is nothing to be tested. */
export async function hasLan(): Promise<boolean> {
  let heard: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const probe = await openLanSockets({ host: '127.0.0.1', port: 0, onPacket: () => heard() });
  probe.send(() => new Uint8Array(beaconBytes));
  const over = new AbortController();
  const found = await Promise.race([
    arrived.then(() => true),
    setTimeout(2_000, false, { signal: over.signal }).catch(() => false),
  ]);
  over.abort();
  await probe.close();
  return found;
}
