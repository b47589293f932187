import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { BlockList, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { NetworkInterfaceInfo } from 'node:os';
import { beaconBytes } from './lan-beacon.ts';
import { knockBytes } from './lan-knock.ts';
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
  readonly onPacket: (bytes: Uint8Array, address: string, port: number) => void;
}

/** The sockets of `LanDiscovery`. */
export interface LanSockets extends LanWire {
  /** Sends to one that was heard, from the address of ours that is in its network. Never throws. */
  reply(packet: Uint8Array, address: string, port: number): void;
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
  readonly #joined = new Set<string>();
  readonly #sending = new Set<Socket>();
  /** Where packets go to, and the socket that hears them; undefined where it couldn't be bound. */
  #group = '';
  #socket: Socket | undefined;
  #networks = new BlockList();
  #opening: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(options: LanSocketsOptions) {
    this.#options = options;
  }

  get port(): number | undefined {
    return this.#socket?.address().port;
  }

  open(): Promise<void> {
    this.#opening = this.#open(this.#groupNow(), this.#options.port ?? lanPort);
    return this.#opening;
  }

  send(make: (address: string) => Uint8Array): void {
    if (this.#closing !== undefined) return;
    const group = this.#groupNow();
    if (group !== this.#group) {
      // The computer came into a network, or left the last one, since the socket was bound.
      this.#opening = this.#opening
        .then(() =>
          this.#closing === undefined ? this.#open(group, this.#options.port ?? lanPort) : undefined,
        )
        .then(() => this.#sendAll(make));
    } else this.#sendAll(make);
  }

  reply(packet: Uint8Array, address: string, port: number): void {
    if (this.#closing !== undefined) return;
    const near = this.#addresses().find((info) => networksOf([info]).check(address));
    if (near === undefined) return;
    const socket = createSocket('udp4');
    this.#sending.add(socket);
    const done = (): void => {
      if (this.#sending.delete(socket)) attempt(() => socket.close());
    };
    socket.on('error', done);
    socket.bind({ address: near.address, port: 0, exclusive: true }, () => {
      attempt(() => socket.send(packet, port, address, done), done);
    });
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#opening;
      const socket = this.#socket;
      this.#socket = undefined;
      await Promise.all([...(socket === undefined ? [] : [socket]), ...this.#sending].map(closeSocket));
    })();
    return this.#closing;
  }

  #sendAll(make: (address: string) => Uint8Array): void {
    this.#join();
    const { port } = this;
    if (port === undefined || this.#closing !== undefined) return;
    for (const { address } of this.#addresses()) this.#sendFrom(address, port, make(address));
  }

  async #open(group: string, port: number): Promise<void> {
    const before = this.#socket;
    this.#socket = undefined;
    this.#group = group;
    this.#joined.clear();
    if (before !== undefined) await closeSocket(before);
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.on('message', (bytes, { address, port: from }) => {
      const isOurs = bytes.length === beaconBytes || bytes.length === knockBytes;
      if (isOurs && this.#networks.check(address)) this.#options.onPacket(bytes, address, from);
    });
    const [first] = this.#addresses();
    const address = process.platform === 'win32' ? (first?.address ?? '127.0.0.1') : group;
    const isBound = await new Promise<boolean>((resolve) => {
      socket.on('error', () => resolve(false));
      socket.bind({ address, port }, () => resolve(true));
    });
    if (isBound) this.#socket = socket;
    else await closeSocket(socket);
    this.#join();
  }

  #groupNow(): string {
    const addresses = this.#addresses();
    const isLoopback = addresses.length > 0 && addresses.every(({ internal }) => internal);
    return isLoopback ? loopbackGroup : lanGroup;
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
    const socket = this.#socket;
    if (socket === undefined || this.#group !== lanGroup) return;
    for (const address of now) {
      if (this.#joined.has(address)) continue;
      this.#joined.add(address);
      attempt(() => socket.addMembership(lanGroup, address));
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
