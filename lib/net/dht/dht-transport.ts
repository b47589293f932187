import { lookup } from 'node:dns/promises';
import { isIPv4, isIPv6 } from 'node:net';
import Hyperswarm from 'hyperswarm';
import type { DhtConnection, HostPort } from 'hyperdht';
import { equalBytes, toHex } from '../../base/bytes.ts';
import { KithError, messageOf } from '../../base/errors.ts';
import { orAborted, withDeadline } from '../deadline.ts';
import { DhtDials, dialCountMax } from './dht-dials.ts';
import { greetAndWait, waitAndGreet } from './dht-greeting.ts';
import { DhtNodes } from './dht-nodes.ts';
import { LinkSet } from '../links/link-set.ts';
import { triedEndpoints } from '../dialling/tried-endpoints.ts';
import type { DialTarget, Endpoint, Link, Transport, TransportOptions } from '../links/link.ts';
import { hostPort, streamLink } from '../links/stream-link.ts';

export interface DhtTransportOptions extends TransportOptions {
  /** An IPv4 address of this computer; every UDP socket is bound to it. */
  readonly host: string;
  /** Exactly this UDP port; 0 for the system's choice. */
  readonly port: number;
  /** Entries of our own choice. May be empty: then we are the first, or learn of entries by dialling. */
  readonly bootstrap: readonly HostPort[];
  /** Entries by friends' cards, as in `setEntries`. */
  readonly entries?: readonly HostPort[];
  /** Whether cards may lead to public servers; false unless given. */
  readonly publicDht?: boolean;
  /** Whether friends can begin with us: for a device that can be reached at `host:port` as it stands. */
  readonly entry: boolean;
  /** False: nobody can dial us, and nothing is announced. */
  readonly accept: boolean;
  /** IPv4 address under which everybody reaches us on the same port, as where a router passes it on. */
  readonly announceHost?: string;
}

/** Hyperswarm on a DHT of friends (docs/net.md). */
export interface DhtTransport extends Transport {
  readonly name: 'dht';
  readonly listening: HostPort;
  /** Resolves when friends can find us by key for the first time, or that was given up; never rejects. */
  readonly announced: Promise<void>;
  /** The entries by friends' cards, in the place of those before. */
  setEntries(entries: readonly HostPort[]): void;
  /** After an outage or a change of address: finds the others and is found again within seconds, not minutes. */
  refresh(): void;
  /** Whom its searches begin with. */
  readonly entries: readonly HostPort[];
  /** Whom it knows: those that have answered; not our own nodes. */
  neighbours(): readonly HostPort[];
  /** The IPv4 address that others see us under, where they agree. */
  readonly seenAs: string | null;
}

/** A search, a handshake through a third node, a hole punched. */
const dialMsMax = 12_000;

/** Connections that have not yet greeted. The oldest gives way. */
const ungreetedCountMax = 64;

/** How long hyperdht remembers a handshake, so that a repeated packet doesn't make a second: four tries of a second. */
const handshakeMemoryMs = 5_000;

/** Taking back announcements from friends that don't answer isn't worth more than that at the end. */
const farewellMsMax = 500;

/** KithError `address-taken` if the port can't be had, `usage` for an address that isn't ours or isn't IPv4. */
export async function openDhtTransport(options: DhtTransportOptions): Promise<DhtTransport> {
  if (isIPv6(options.host)) {
    throw new KithError(
      'usage',
      `the DHT speaks IPv4 only, not ${options.host}. Give an IPv4 address, or leave the DHT out: kith up --no-dht`,
    );
  }
  const nodes = await DhtNodes.open(options);
  return new SwarmTransport(options, nodes);
}

class SwarmTransport implements DhtTransport {
  readonly name = 'dht';
  readonly listening: HostPort;
  readonly announced: Promise<void>;
  readonly #options: DhtTransportOptions;
  readonly #nodes: DhtNodes;
  readonly #swarm: Hyperswarm;
  readonly #dials: DhtDials;
  readonly #links = new LinkSet();
  readonly #ungreeted = new Set<DhtConnection>();
  /** Connections whose links are closed here and that wait for the other end's goodbye. */
  readonly #leaving = new Set<DhtConnection>();
  readonly #stop = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: DhtTransportOptions, nodes: DhtNodes) {
    this.#options = options;
    this.#nodes = nodes;
    const { host, port } = nodes.main.io.serverSocket.address();
    const createServer = nodes.main.createServer.bind(nodes.main);
    nodes.main.createServer = (serverOptions, onConnection) =>
      createServer(serverOptions, (connection) => {
        // Hyperswarm would end the connection there is, which may be well: whoever has the links decides which of them stays.
        if (this.#dials.isConnected(connection.remotePublicKey)) this.#connected(connection);
        else onConnection?.(connection);
      });
    this.listening = { host, port };
    const swarm = new Hyperswarm({
      dht: nodes.main,
      keyPair: options.keyPair,
      firewall: (key, payload) => !this.#welcomes(key, payload),
      maxParallel: dialCountMax,
      handshakeClearWait: handshakeMemoryMs,
    });
    this.#swarm = swarm;
    this.#dials = new DhtDials(nodes.main, swarm);
    // Hyperswarm would refuse for ever whom it refused once, and remember every stranger's key.
    swarm.on('ban', (info) => {
      info.ban(false);
      if (!info.explicit) swarm.peers.delete(toHex(info.publicKey));
    });
    swarm.on('connection', (connection) => this.#connected(connection));
    this.announced = options.accept ? ignoreErrors(swarm.listen()) : Promise.resolve();
  }

  dial(target: DialTarget, signal: AbortSignal): Promise<Link> {
    const late = (): KithError => new KithError('peer-unreachable', `not found in ${dialMsMax / 1000} s`);
    return withDeadline(dialMsMax, [signal, this.#stop.signal], late, async (stop) => {
      if (equalBytes(target.remoteKey, this.#options.keyPair.publicKey))
        throw new KithError('peer-unreachable', 'this device itself');
      const known = await this.#hear(target.endpoints, stop);
      await this.#leave(target.remoteKey, stop);
      const isOurs = equalBytes(target.keyPair.publicKey, this.#options.keyPair.publicKey);
      // Hyperswarm keeps one connection a key, and none beside it.
      const connection =
        isOurs && target.isBeside !== true
          ? await this.#dials.dial(target.remoteKey, known, stop)
          : await this.#connectAs(target, known, stop);
      connection.on('error', () => {});
      try {
        await greetAndWait(connection, stop);
      } catch (error) {
        connection.destroy();
        throw error;
      }
      return this.#linkOf(connection);
    });
  }

  setEntries(entries: readonly HostPort[]): void {
    // Those who search by way of a new entry would otherwise not find us there for minutes.
    if (this.#nodes.setEntries(entries)) this.refresh();
  }

  refresh(): void {
    if (this.#stop.signal.aborted) return;
    this.#nodes.refresh();
    if (this.#options.accept) this.#swarm.server.refresh();
  }

  get seenAs(): string | null {
    return this.#nodes.main.host;
  }

  get entries(): readonly HostPort[] {
    return this.#nodes.entries;
  }

  neighbours(): readonly HostPort[] {
    return this.#nodes.neighbours();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#stop.abort(new KithError('interrupted', 'the network is being closed'));
    for (const connection of this.#ungreeted) connection.destroy();
    await this.#links.closeAll();
    const farewell = setTimeout(() => {
      // Ends what swarm.destroy waits for.
      void ignoreErrors(this.#nodes.main.destroy({ force: true }));
    }, farewellMsMax);
    await ignoreErrors(this.#swarm.destroy());
    clearTimeout(farewell);
    await this.#nodes.close();
  }

  /** Asked in the handshake, before anything is answered. */
  #welcomes(key: Uint8Array, payload: { readonly relayThrough?: unknown } | null): boolean {
    // Whom we dial: the caller has decided.
    if (payload === null) return true;
    // Nobody has us dial a relay of his choice.
    if (payload.relayThrough !== null && payload.relayThrough !== undefined) return false;
    const admitted = !this.#stop.signal.aborted && this.#options.admits(new Uint8Array(key));
    // A friend that joined before its entry had company can't be reached through a router until it looks again.
    if (admitted && this.#nodes.lonely) this.#nodes.refresh();
    return admitted;
  }

  #connected(connection: DhtConnection): void {
    connection.on('error', () => {});
    if (connection.isInitiator) {
      if (!this.#dials.opened(connection)) connection.destroy();
      return;
    }
    this.#dials.crossed(connection.remotePublicKey);
    this.#receive(connection).catch(() => connection.destroy());
  }

  async #receive(connection: DhtConnection): Promise<void> {
    this.#ungreeted.add(connection);
    if (this.#ungreeted.size > ungreetedCountMax) {
      const [oldest] = this.#ungreeted;
      oldest?.destroy();
    }
    try {
      await waitAndGreet(connection, this.#stop.signal);
    } finally {
      this.#ungreeted.delete(connection);
    }
    // It may have been taken from the friends while it spoke.
    if (!this.#options.admits(new Uint8Array(connection.remotePublicKey))) {
      connection.destroy();
      return;
    }
    this.#options.onLink(this.#linkOf(connection));
  }

  #linkOf(connection: DhtConnection): Link {
    const remote = connection.rawStream;
    const address = hostPort(remote?.remoteHost ?? '', remote?.remotePort ?? 0);
    const link = streamLink(connection, 'punched', address);
    const close = (): Promise<void> => {
      if (!connection.destroyed) this.#leaving.add(connection);
      return link.close();
    };
    connection.once('close', () => this.#leaving.delete(connection));
    const leaving = { ...link, close };
    this.#links.add(leaving);
    return leaving;
  }

  /** Hyperswarm keeps one connection a key: one that is over here waits no longer for a goodbye when another is wanted. */
  async #leave(remoteKey: Uint8Array, signal: AbortSignal): Promise<void> {
    for (const connection of this.#leaving) {
      if (!equalBytes(new Uint8Array(connection.remotePublicKey), remoteKey)) continue;
      const closed = new Promise<void>((resolve) => connection.once('close', resolve));
      connection.destroy();
      await orAborted(closed, signal);
    }
  }

  /** With another key than the device's, or beside another connection, which hyperswarm has no way for. */
  async #connectAs(
    target: DialTarget,
    known: readonly HostPort[],
    signal: AbortSignal,
  ): Promise<DhtConnection> {
    const connection = this.#nodes.main.connect(target.remoteKey, {
      keyPair: target.keyPair,
      relayAddresses: [...known],
    });
    let trouble: unknown;
    connection.on('error', (error) => {
      trouble = error;
    });
    try {
      if (await orAborted(connection.opened, signal)) return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
    throw new KithError(
      'peer-unreachable',
      `not found by its key, or it does not answer us: ${messageOf(trouble)}`,
      {
        cause: trouble,
      },
    );
  }

  /** Makes the target's DHT endpoints known to our node, so that a device whose DHT we haven't joined is found. */
  async #hear(endpoints: readonly Endpoint[], signal: AbortSignal): Promise<HostPort[]> {
    const known: HostPort[] = [];
    // Among strangers it is nobody's business where friends are.
    if (this.#options.publicDht === true) return known;
    for (const { host, port } of triedEndpoints(endpoints.filter(({ dht }) => dht))) {
      const address = isIPv4(host) ? host : await orAborted(addressOf(host), signal);
      if (address === undefined || this.#nodes.refuses(address) || port < 1 || port > 65535) continue;
      known.push({ host: address, port });
      this.#nodes.main.addNode({ host: address, port });
    }
    return known;
  }
}

async function addressOf(host: string): Promise<string | undefined> {
  if (isIPv6(host)) return undefined;
  try {
    return (await lookup(host, { family: 4 })).address;
  } catch {
    return undefined;
  }
}

async function ignoreErrors(promise: Promise<unknown>): Promise<void> {
  try {
    await promise;
  } catch {
    // What fails here has nobody to be told to: the next search or the next try does better.
  }
}
