import { beaconBytes } from '../../lib/net/lan/lan-beacon.ts';
import { openLanSockets } from '../../lib/net/lan/lan-sockets.ts';
import { poll } from './poll.ts';

let found: Promise<boolean> | undefined;

/**
 * Whether this system brings packets of the local network round on loopback: without that there is nothing to be tested.
 * Linux does, and a packet that isn't heard there fails the tests. Elsewhere one is sent until it is heard, for a minute.
 */
export async function hasLan(): Promise<boolean> {
  return await (found ??= process.platform === 'linux' ? Promise.resolve(true) : isHeard());
}

async function isHeard(): Promise<boolean> {
  let heard = false;
  const onPacket = (): void => {
    heard = true;
  };
  const probe = await openLanSockets({ host: '127.0.0.1', port: 0, onPacket });
  try {
    return await poll('a packet on loopback', () => {
      probe.send(() => new Uint8Array(beaconBytes));
      return Promise.resolve(heard);
    });
  } catch {
    return false;
  } finally {
    await probe.close();
  }
}
