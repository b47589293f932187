import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { BlockList, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { NetworkInterfaceInfo } from 'node:os';
import { beaconBytes } from './lan-beacon.ts';
import type { LanWire } from './lan-discovery.ts';

/** Where beacons go: a group of the site-local range (RFC 2365). */
export const lanGroup = '239.255.75.84';

/**
 * On loopback, where the system can: a socket on it is one on an address of this computer, as was asked for. Elsewhere than on Linux loopback
 * has no broadcast.
 */
export const loopbackGroup: string = process.platform === 'linux' ? '127.255.255.255' : lanGroup;

/** Below the ports that systems give away by themselves. */
export const lanPort = 27548;

/** Addresses of this computer from which beacons are sent: a few cables, radios and tunnels. */
const addressCountMax = 8;

export interface LanSocketsOptions {
  /** What we listen on: `0.0.0.0` or `::` for every address of this computer, else that one and no other. */
  readonly host: string;
  /** Of the group; 0 lets the system choose, for tests. */
  readonly port?: number;
  readonly onPacket: (bytes: Uint8Array, address: string) => void;
}

/** The sockets of `LanDiscovery`. */
export interface LanSockets extends LanWire {
  /** The group's port that is listened on; undefined where this network can't be heard. */
  readonly port: number | undefined;
}

/** The IPv4 addresses that beacons are sent from, and their networks. Those of loopback only if there is nothing else, or it was asked for. */
export function lanAddresses(
  host: string,
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): NetworkInterfaceInfo[] {
  const all = Object.values(interfaces)
    .flatMap((infos) => infos ?? [])
    .filter(({ family }) => family === 'IPv4');
  const everywhere = /^[0.:]+$/.test(host);
  const outside = all.filter(({ internal }) => !internal);
  const usable = everywhere ? (outside.length > 0 ? outside : all) : all.filter((info) => covers(info, host));
  return usable.slice(0, addressCountMax);
}

/** All of 127.0.0.0/8 is this computer's, though only one of it is listed. */
function covers(info: NetworkInterfaceInfo, host: string): boolean {
  return info.address === host || (info.internal && host.startsWith('127.'));
}

function networksOf(infos: readonly NetworkInterfaceInfo[]): BlockList {
  const networks = new BlockList();
  for (const { cidr } of infos) {
    const [network, bits] = cidr?.split('/') ?? [];
    if (network !== undefined && bits !== undefined) networks.addSubnet(network, Number(bits));
  }
  return networks;
}

/**
 * Joins the group on the addresses that we listen on. Never rejects: where the network can't do it, it sends and hears nothing. On Windows the
 * socket is bound to an address of this computer, elsewhere to the group, so that nothing but what is sent to the group arrives.
 */
export async function openLanSockets(options: LanSocketsOptions): Promise<LanSockets> {
  const sockets = new GroupSockets(options);
  await sockets.open();
  return sockets;
}

class GroupSockets implements LanSockets {
  readonly #options: LanSocketsOptions;
  readonly #socket: Socket;
  readonly #joined = new Set<string>();
  readonly #sending = new Set<Socket>();
  #networks = new BlockList();
  /** Where packets go to. */
  readonly #group: string;
  #isOpen = false;
  #closing: Promise<void> | undefined;

  constructor(options: LanSocketsOptions) {
    this.#options = options;
    const addresses = this.#addresses();
    const isLoopback = addresses.length > 0 && addresses.every(({ internal }) => internal);
    this.#group = isLoopback ? loopbackGroup : lanGroup;
    this.#socket = createSocket({ type: 'udp4', reuseAddr: true });
    this.#socket.on('error', () => {});
    this.#socket.on('message', (bytes, { address }) => {
      if (bytes.length === beaconBytes && this.#networks.check(address)) options.onPacket(bytes, address);
    });
  }

  get port(): number | undefined {
    return this.#isOpen ? this.#socket.address().port : undefined;
  }

  async open(): Promise<void> {
    const { port = lanPort } = this.#options;
    const [first] = this.#addresses();
    const address = process.platform === 'win32' ? (first?.address ?? '127.0.0.1') : this.#group;
    this.#isOpen = await new Promise<boolean>((resolve) => {
      this.#socket.once('error', () => resolve(false));
      this.#socket.bind({ address, port }, () => resolve(true));
    });
    this.#join();
  }

  send(make: (address: string) => Uint8Array): void {
    if (this.#closing !== undefined) return;
    this.#join();
    const { port } = this;
    if (port === undefined) return;
    for (const { address } of this.#addresses()) this.#sendFrom(address, port, make(address));
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.all([this.#socket, ...this.#sending].map(closeSocket));
      this.#isOpen = false;
    })();
    return this.#closing;
  }

  #addresses(): NetworkInterfaceInfo[] {
    const { host } = this.#options;
    return isIPv4(host) || host === '::' ? lanAddresses(host, networkInterfaces()) : [];
  }

  /** The group is joined on addresses that came since; those that went take their membership along. */
  #join(): void {
    const addresses = this.#addresses();
    this.#networks = networksOf(addresses);
    const now = new Set(addresses.map(({ address }) => address));
    for (const address of this.#joined) if (!now.has(address)) this.#joined.delete(address);
    if (!this.#isOpen) return;
    for (const address of now) {
      if (this.#joined.has(address)) continue;
      this.#joined.add(address);
      if (this.#group === lanGroup) attempt(() => this.#socket.addMembership(lanGroup, address));
    }
  }

  /** By a socket of its own: the address that the packet comes from is under the check of each entry. */
  #sendFrom(address: string, port: number, packet: Uint8Array): void {
    const socket = createSocket('udp4');
    this.#sending.add(socket);
    const done = (): void => {
      if (this.#sending.delete(socket)) attempt(() => socket.close());
    };
    socket.on('error', done);
    socket.bind({ address, port: 0, exclusive: true }, () => {
      attempt(() => {
        if (this.#group === lanGroup) {
          socket.setMulticastInterface(address);
          socket.setMulticastTTL(1);
          socket.setMulticastLoopback(true);
        } else socket.setBroadcast(true);
        socket.send(packet, port, this.#group, done);
      }, done);
    });
  }
}

/** What a network doesn't allow is no error here. */
function attempt(work: () => void, failed: () => void = () => {}): void {
  try {
    work();
  } catch {
    failed();
  }
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', resolve);
    attempt(() => socket.close(), resolve);
  });
}
