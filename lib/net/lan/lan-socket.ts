import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { BlockList } from 'node:net';
import { bareAddress, lanGroup, lanGroup6, loopbackGroup } from './lan-places.ts';
import type { LanPlace } from './lan-places.ts';

/** Where packets from a place go that are for all. */
export function groupOf({ family, zone, internal }: LanPlace): string {
  if (family === 'IPv6') return `${lanGroup6}%${zone}`;
  return internal ? loopbackGroup : lanGroup;
}

/** A socket bound to a place of ours: the address that a packet comes from is under the check of what is in it. */
export function socketAt(place: LanPlace): Socket {
  return createSocket(place.family === 'IPv6' ? 'udp6' : 'udp4');
}

/** Has a bound socket send to all in the place's network, and no further. Throws where the network doesn't allow it. */
export function aimAtGroup(socket: Socket, { family, address, zone, internal }: LanPlace): void {
  if (family === 'IPv4' && internal) socket.setBroadcast(true);
  if (family === 'IPv4' && internal && loopbackGroup !== lanGroup) return;
  socket.setMulticastInterface(family === 'IPv6' ? `::%${zone}` : address);
  socket.setMulticastTTL(1);
  socket.setMulticastLoopback(true);
}

/** The networks of places. */
export function networksOf(places: readonly LanPlace[]): (address: string) => boolean {
  const networks = new BlockList();
  for (const { cidr, family } of places) {
    const [network = '', bits = ''] = cidr.split('/');
    if (network !== '' && bits !== '')
      networks.addSubnet(network, Number(bits), family === 'IPv6' ? 'ipv6' : 'ipv4');
  }
  return (address) => networks.check(bareAddress(address), address.includes(':') ? 'ipv6' : 'ipv4');
}

/** Sockets that send one packet each and are closed then. What the network doesn't allow is no error. */
export class OnceSockets {
  readonly #open = new Set<Socket>();

  /** To everybody, or to one. */
  send(place: LanPlace, packet: Uint8Array, port: number, to?: string): void {
    const socket = socketAt(place);
    this.#open.add(socket);
    const done = (): void => {
      if (this.#open.delete(socket)) attempt(() => socket.close());
    };
    socket.on('error', done);
    socket.bind({ address: place.address, port: 0, exclusive: true }, () => {
      attempt(() => {
        if (to === undefined) aimAtGroup(socket, place);
        socket.send(packet, port, to ?? groupOf(place), done);
      }, done);
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map(closeSocket));
  }
}

/** Resolves when the socket is bound; false where it can't be. Its later errors are heard as well. */
export function isBoundTo(socket: Socket, address: string, port: number): Promise<boolean> {
  return new Promise<boolean>((resolve) => {
    socket.on('error', () => resolve(false));
    socket.bind({ address, port }, () => resolve(true));
  });
}

/** What a network doesn't allow is no error here. */
export function attempt(work: () => void, failed: () => void = () => {}): void {
  try {
    work();
  } catch {
    failed();
  }
}

export function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', resolve);
    attempt(() => socket.close(), resolve);
  });
}
