import type { Clock } from '../base/clock.ts';
import type { RandomSource } from '../crypto/random.ts';
import { knockBytes, LanDoorsteps } from '../net/lan-knock.ts';
import { LanDiscovery } from '../net/lan-discovery.ts';
import type { LanDiscoveryOptions } from '../net/lan-discovery.ts';
import { openLanSockets } from '../net/lan-sockets.ts';
import type { KeyPair } from '../net/link.ts';
import { systemTimers } from '../net/timers.ts';
import type { HostPort } from './home-port.ts';

export interface LanLinksOptions extends Pick<LanDiscoveryOptions, 'peers' | 'connected' | 'onFound'> {
  readonly device: KeyPair;
  /** Where friends can dial us: beacons are sent from the addresses that it stands for, and from no other. Port 0: nowhere; they are asked where they are. */
  readonly listening: HostPort;
  /** Doorstep keys of friends: to whom of them knocks here a card of this device is given. */
  readonly doorsteps: () => readonly Uint8Array[];
  /** Our own card with this device alone, encoded. */
  readonly card: () => Uint8Array;
  readonly random: RandomSource;
  readonly clock: Clock;
}

/** Looks for friends in the local network from now on, until it is closed. Where there is none it finds nobody, and says nothing. */
export async function openLan(options: LanLinksOptions): Promise<LanDiscovery> {
  const { listening, clock, doorsteps, card, ...rest } = options;
  const nowMs = (): number => Number(clock.nowNs() / 1_000_000n);
  const discovery = new LanDiscovery({ ...rest, port: listening.port, timers: systemTimers, nowMs });
  // Who can't be dialled is no help to a recovery.
  const known = listening.port === 0 ? (): readonly Uint8Array[] => [] : doorsteps;
  const doorstep = new LanDoorsteps({ doorsteps: known, card, timers: systemTimers, nowMs });
  const wire = await openLanSockets({
    host: listening.host,
    onPacket: (bytes, address, port) => {
      if (bytes.length !== knockBytes) discovery.hear(bytes, address);
      else {
        const answer = doorstep.answerTo(bytes, address);
        if (answer !== undefined) wire.reply(answer, address, port);
      }
    },
  });
  discovery.start(wire);
  return discovery;
}
