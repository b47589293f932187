import { networkInterfaces } from 'node:os';
import HyperDHT from 'hyperdht';
import type { HostPort } from 'hyperdht';
import { boundedStream } from './bounded-stream.ts';
import { isBehindRouter } from './address-class.ts';
import { listenError } from './listen-error.ts';

/** Where a node of the DHT lives and whom it asks first. */
export interface DhtNodeOptions {
  /** An IPv4 address of this computer, which every one of its sockets is bound to. */
  readonly host: string;
  /** Exactly this UDP port; 0 for the system's choice. */
  readonly port: number;
  /** Entries to begin with: they and whom they name, nobody else. May be empty. */
  readonly bootstrap: readonly HostPort[];
  /** Whether others may begin with it: it answers their searches, and claims to be reachable as it stands. */
  readonly entry: boolean;
  /** In the public DHT: it answers nobody's searches there, whatever `entry` says. */
  readonly publicDht?: boolean;
  /**
   * It lives behind a router, as far as its address tells, and finds out for itself how it looks from outside. Claiming to be reachable as
   * it stands, it would never be punched through to.
   */
  readonly routed?: boolean;
  /** IPv4 address under which everybody reaches it on the same port, as where a router passes it on; else one of this computer's. */
  readonly announceHost?: string;
}

/** Entries of each of a node's caches. Strangers may fill them: a thousand bytes each at most, so a few megabytes. */
const cacheEntriesMax = 2048;

/** All addresses of this computer. */
export const anyHost = '0.0.0.0';

/** The address that others are told where we listen on all of them: one that everybody can reach before one that only neighbours can. */
function firstAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outside = all.filter(({ family, internal }) => family === 'IPv4' && !internal);
  const found = outside.find(({ address }) => !isBehindRouter(address)) ?? outside[0];
  return found?.address ?? '127.0.0.1';
}

/** The address that others see a node under. */
export function knownHost({ host, announceHost }: DhtNodeOptions): string {
  return announceHost ?? (host === anyHost ? firstAddress() : host);
}

/** All its connections, whoever makes them, over streams that set a limit to messages. */
function boundStreams(dht: HyperDHT): void {
  const connect = dht.connect.bind(dht);
  dht.connect = (key, options) => connect(key, { ...options, createSecretStream: boundedStream });
  const createServer = dht.createServer.bind(dht);
  dht.createServer = (options, onConnection) =>
    createServer({ ...options, createSecretStream: boundedStream }, onConnection);
}

/**
 * A node of the DHT, bound. KithError of listenError if it can't be. It never asks a public server: the list of entries
 * is always given, even where it is empty.
 */
export async function openDhtNode(options: DhtNodeOptions): Promise<HyperDHT> {
  const { host, port } = options;
  const entry = options.entry && options.routed !== true && options.publicDht !== true;
  const dht = new HyperDHT({
    host,
    port: port === 0 ? [0, 0] : port,
    anyPort: false,
    bootstrap: options.bootstrap.map((node) => ({ host: node.host, port: node.port })),
    maxSize: cacheEntriesMax,
    ...(entry ? { ephemeral: false, firewalled: false } : {}),
    ...(options.publicDht === true ? { ephemeral: true } : {}),
  });
  boundStreams(dht);
  if (host !== anyHost) {
    // hyperdht would bind to every interface to see whether it may tell peers of it.
    const validate = dht.validateLocalAddresses.bind(dht);
    dht.validateLocalAddresses = (addresses) =>
      validate(addresses.filter((address) => address.host === host));
  }
  if (entry) {
    const known = knownHost(options);
    // As HyperDHT.bootstrapper does, but for a port that the system chose: a node that nobody has seen yet knows its
    // address from us, before its first search.
    dht.once('listening', () => dht._nat.add(known, dht.io.serverSocket.address().port));
  }
  try {
    await dht.bind();
  } catch (error) {
    // It can't be destroyed without its sockets; this is all that is left running.
    await dht.destroy({ force: true }).catch(() => {});
    dht.io.networkInterfaces.destroy();
    throw listenError(error, 'UDP', host, port);
  }
  return dht;
}
