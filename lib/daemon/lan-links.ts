import type { Clock } from '../base/clock.ts';
import type { RandomSource } from '../crypto/random.ts';
import { LanDiscovery } from '../net/lan-discovery.ts';
import type { LanDiscoveryOptions } from '../net/lan-discovery.ts';
import { openLanSockets } from '../net/lan-sockets.ts';
import type { KeyPair } from '../net/link.ts';
import { systemTimers } from '../net/timers.ts';
import type { HostPort } from './home-port.ts';

export interface LanLinksOptions extends Pick<LanDiscoveryOptions, 'peers' | 'connected' | 'onFound'> {
  readonly device: KeyPair;
  /** Where friends can dial us: beacons are sent from the addresses that it stands for, and from no other. */
  readonly listening: HostPort;
  readonly random: RandomSource;
  readonly clock: Clock;
}

/** Looks for friends in the local network from now on, until it is closed. Where there is none it finds nobody, and says nothing. */
export async function openLan({ listening, clock, ...rest }: LanLinksOptions): Promise<LanDiscovery> {
  const discovery = new LanDiscovery({
    ...rest,
    port: listening.port,
    timers: systemTimers,
    nowMs: () => Number(clock.nowNs() / 1_000_000n),
  });
  const wire = await openLanSockets({
    host: listening.host,
    onPacket: (bytes, address) => discovery.hear(bytes, address),
  });
  discovery.start(wire);
  return discovery;
}
