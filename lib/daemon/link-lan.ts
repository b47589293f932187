import { systemClock } from '../base/clock.ts';
import { systemRandom } from '../crypto/random.ts';
import { LanDiscovery } from '../net/lan/lan-discovery.ts';
import { openLanSockets } from '../net/lan/lan-sockets.ts';
import type { KeyPair } from '../net/links/link.ts';
import { systemTimers } from '../net/timers.ts';
import type { HostPort } from './home-port.ts';

export interface LinkLanOptions {
  /** Our end's pair of the link, and the other end's key. */
  readonly keyPair: KeyPair;
  readonly otherKey: Uint8Array;
  /** Where we can be dialled; 0: nowhere, the other end is asked. */
  readonly port: number;
  /** From which addresses, as in `lanPlaces`. */
  readonly hosts: readonly string[];
  /** The other end is there, or isn't needed any longer: nothing more is sent. */
  readonly isMet: () => boolean;
  /** Where the other end says it is; who answers there proves it in the handshake. */
  readonly onFound: (place: HostPort) => void;
}

/**
 * The two ends of a device link look for each other in the local network, by the beacons that friends use: the keys are those of the link, so
 * that nobody else can tell whose they are. Where there is no such network it does nothing. Never rejects; close it.
 */
export async function openLinkLan(options: LinkLanOptions): Promise<{ close(): Promise<void> }> {
  const { keyPair, otherKey, port, hosts, isMet, onFound } = options;
  const discovery = new LanDiscovery({
    device: keyPair,
    port,
    peers: () => [otherKey],
    connected: isMet,
    onFound: (_, host, theirPort) => onFound({ host, port: theirPort }),
    timers: systemTimers,
    random: systemRandom,
    nowMs: () => Number(systemClock.nowNs() / 1_000_000n),
  });
  const onPacket = (bytes: Uint8Array, address: string): void => discovery.hear(bytes, address);
  const wires = await Promise.all(hosts.map((host) => openLanSockets({ host, onPacket })));
  discovery.start({
    send: (make) => {
      for (const wire of wires) wire.send(make);
    },
    close: async () => void (await Promise.all(wires.map((wire) => wire.close()))),
  });
  return discovery;
}
