import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { beaconBytes } from './lan-beacon.ts';
import { knockBytes } from './lan-knock.ts';
import { lanGroup, lanGroup6, lanPlaces, lanPort, loopbackGroup } from './lan-places.ts';
import type { LanPlace } from './lan-places.ts';
import { attempt, closeSocket, groupOf, isBoundTo, networksOf, OnceSockets } from './lan-socket.ts';
import type { LanWire } from './lan-discovery.ts';

export interface LanSocketsOptions {
  /** What we listen on, as `lanPlaces` takes it. */
  readonly host: string;
  /** Of the group; 0 lets the system choose, for tests. */
  readonly port?: number;
  /** The address has its zone, where it is one of a link. */
  readonly onPacket: (bytes: Uint8Array, address: string, port: number) => void;
}

/** The sockets of `LanDiscovery`. */
export interface LanSockets extends LanWire {
  /** Sends to one that was heard, from the address of ours that is in its network. Never throws. */
  reply(packet: Uint8Array, address: string, port: number): void;
  /** The group's port that is listened on; undefined where this network can't be heard. */
  readonly port: number | undefined;
}

/**
 * Joins the group on the addresses that we listen on. Never rejects: where the network can't do it, it sends and hears nothing. On Windows the
 * sockets are bound to addresses of this computer, elsewhere to the group, so that nothing but what is sent to the group arrives.
 */
export async function openLanSockets(options: LanSocketsOptions): Promise<LanSockets> {
  const sockets = new GroupSockets(options);
  await sockets.renewed();
  return sockets;
}

/** A socket that hears one group: of IPv4 on all interfaces, of IPv6 on one, since the group is another one on each. */
interface Ear {
  readonly socket: Socket;
  readonly joined: Set<string>;
}

class GroupSockets implements LanSockets {
  readonly #options: LanSocketsOptions;
  readonly #sending = new OnceSockets();
  /** By the group, with its zone. */
  readonly #ears = new Map<string, Ear>();
  #places: readonly LanPlace[] = [];
  #isNear: (address: string) => boolean = () => false;
  #renewing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(options: LanSocketsOptions) {
    this.#options = options;
  }

  get port(): number | undefined {
    const [ear] = this.#ears.values();
    return ear?.socket.address().port;
  }

  send(make: (address: string) => Uint8Array): void {
    // Made as it is sent: the computer may have come into a network, or left one, since.
    void this.renewed().then(() => {
      if (this.#closing !== undefined) return;
      for (const place of this.#places) {
        const port = this.#ears.get(groupOf(place))?.socket.address().port;
        if (port !== undefined) this.#sending.send(place, make(place.address), port);
      }
    });
  }

  reply(packet: Uint8Array, address: string, port: number): void {
    if (this.#closing !== undefined) return;
    const zone = /%(.*)$/.exec(address)?.[1];
    const near = this.#places.find(
      (place) => (zone === undefined || zone === place.zone) && networksOf([place])(address),
    );
    if (near !== undefined) this.#sending.send(near, packet, port, address);
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#renewing;
      const ears = [...this.#ears.values()];
      this.#ears.clear();
      await Promise.all([...ears.map(({ socket }) => closeSocket(socket)), this.#sending.close()]);
    })();
    return this.#closing;
  }

  /** Resolves when what this computer's networks need now is listened to. Never rejects. */
  renewed(): Promise<void> {
    this.#renewing = this.#renewing.then(() => (this.#closing === undefined ? this.#renew() : undefined));
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    const places = lanPlaces(this.#options.host, networkInterfaces());
    this.#places = places;
    this.#isNear = networksOf(places);
    const wanted = new Set(places.map(groupOf));
    // The port of a test is the system's choice once.
    const port = this.port ?? this.#options.port ?? lanPort;
    for (const [key, { socket }] of this.#ears) {
      if (wanted.has(key)) continue;
      this.#ears.delete(key);
      await closeSocket(socket);
    }
    for (const place of places) {
      const key = groupOf(place);
      const ear = this.#ears.get(key) ?? (await this.#listen(place, port));
      if (ear === undefined) continue;
      this.#ears.set(key, ear);
      join(ear, place);
    }
    for (const [key, { joined }] of this.#ears) keepOnly(joined, key, places);
  }

  async #listen(place: LanPlace, port: number): Promise<Ear | undefined> {
    const isSix = place.family === 'IPv6';
    const socket = createSocket({ type: isSix ? 'udp6' : 'udp4', reuseAddr: true, ipv6Only: isSix });
    socket.on('message', (bytes, { address, port: from }) => {
      const isOurs = bytes.length === beaconBytes || bytes.length === knockBytes;
      if (isOurs && this.#isNear(address)) this.#options.onPacket(bytes, address, from);
    });
    const address = process.platform === 'win32' ? place.address : groupOf(place);
    if (await isBoundTo(socket, address, port)) return { socket, joined: new Set() };
    await closeSocket(socket);
    return undefined;
  }
}

/** The group is joined on addresses that came since. */
function join({ socket, joined }: Ear, place: LanPlace): void {
  const { family, address, zone } = place;
  if (groupOf(place) === loopbackGroup && loopbackGroup !== lanGroup) return;
  const on = family === 'IPv6' ? zone : address;
  if (joined.has(on)) return;
  joined.add(on);
  if (family === 'IPv6') attempt(() => socket.addMembership(lanGroup6, `::%${zone}`));
  else attempt(() => socket.addMembership(lanGroup, address));
}

/** Addresses that went take their membership along: one that comes again is joined again. */
function keepOnly(joined: Set<string>, key: string, places: readonly LanPlace[]): void {
  const here = places.filter((place) => groupOf(place) === key);
  const now = new Set(here.map(({ family, zone, address }) => (family === 'IPv6' ? zone : address)));
  for (const on of joined) if (!now.has(on)) joined.delete(on);
}
