import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { HostPort } from 'hyperdht';
import { isKithError } from '../base/errors.ts';
import { openDhtTransport } from './dht-transport.ts';
import type { DhtTransport } from './dht-transport.ts';
import type { Listening } from './direct-listener.ts';
import { openDirectTransport } from './direct-transport.ts';
import type { DirectTransport } from './direct-transport.ts';
import type { Transport, TransportOptions } from './link.ts';
import { listenError } from './listen-error.ts';

export interface TransportsOptions extends TransportOptions {
  /** Where friends can dial us, over TCP and UDP alike; port 0 is the system's choice. Left out: we only dial. */
  readonly listen?: Listening;
  /** An IPv6 address on which TCP is taken as well, `::` for all, if the number is free there. */
  readonly alsoIPv6?: string;
  readonly direct: boolean;
  readonly dht: boolean;
  /** DHT entries of our own choice; may be empty. */
  readonly bootstrap: readonly HostPort[];
  /** DHT entries by friends' cards, as in `setEntries`. */
  readonly entries?: readonly HostPort[];
  /** Whether cards may lead to public servers; false unless given. */
  readonly publicDht?: boolean;
  /** Whether friends can begin their searches with us; by default where we listen. False behind a router that lets nobody in. */
  readonly entry?: boolean;
  /** IPv4 address under which everybody reaches us on the same port, as where a router passes it on. */
  readonly announceHost?: string;
}

/** The transports of a process. */
export interface Transports {
  readonly transports: readonly Transport[];
  /** One number for TCP and UDP. */
  readonly listening: Listening | undefined;
  /** Whether TCP is also taken on `alsoIPv6`. */
  readonly listensIPv6: boolean;
  /** The DHT entries by friends' cards, in the place of those before. */
  setEntries(entries: readonly HostPort[]): void;
  /** Nodes of the DHT that are known now: entries to begin with another time. */
  neighbours(): readonly HostPort[];
  /** The IPv4 address that others' nodes see us under, where they agree. */
  readonly seenAs: string | null;
  /** After an outage or a change of address. */
  refresh(): void;
  close(): Promise<void>;
}

/** Tries to find a number that is free for TCP and for UDP. */
const pairTriesMax = 16;

/**
 * Opens what is switched on. KithError `address-taken` if the port that was asked for is in use, `usage` for an address
 * that isn't this computer's.
 */
export async function openTransports(options: TransportsOptions): Promise<Transports> {
  const { listen } = options;
  if (listen === undefined) return together(await openDialling(options), undefined);
  const host = await addressToListenOn(listen);
  for (let tries = 1; ; tries++) {
    try {
      return await openListening(options, { host, port: listen.port });
    } catch (error) {
      // With a port of the system's choice, TCP had a number that UDP hasn't.
      if (listen.port !== 0 || tries >= pairTriesMax || !isKithError(error, 'address-taken')) throw error;
    }
  }
}

interface Opened {
  readonly direct: DirectTransport | undefined;
  readonly dht: DhtTransport | undefined;
}

async function openListening(options: TransportsOptions, listen: Listening): Promise<Transports> {
  const direct = options.direct ? await openDirectTransport({ ...options, listen }) : undefined;
  try {
    // All addresses: of them the DHT has those of IPv4.
    const host = listen.host === '::' ? '0.0.0.0' : listen.host;
    const port = direct?.listening?.port ?? listen.port;
    const entry = options.entry ?? true;
    const dht = options.dht
      ? await openDhtTransport({ ...options, host, port, entry, accept: true })
      : undefined;
    return together({ direct, dht }, direct?.listening ?? dht?.listening);
  } catch (error) {
    await direct?.close();
    throw error;
  }
}

async function openDialling(options: TransportsOptions): Promise<Opened> {
  const { keyPair, admits, onLink } = options;
  const direct = options.direct ? await openDirectTransport({ keyPair, admits, onLink }) : undefined;
  const host = onLoopback([...options.bootstrap, ...(options.entries ?? [])]) ? '127.0.0.1' : '0.0.0.0';
  const dht = options.dht
    ? await openDhtTransport({ ...options, host, port: 0, entry: false, accept: false })
    : undefined;
  return { direct, dht };
}

/** True if all entries are on this computer: then nothing needs a socket that the outside can reach. */
function onLoopback(entries: readonly HostPort[]): boolean {
  return entries.length > 0 && entries.every(({ host }) => host.startsWith('127.') || host === 'localhost');
}

/** TCP and UDP must mean the same address by a name. */
async function addressToListenOn({ host, port }: Listening): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host, { family: 4 })).address;
  } catch (error) {
    throw listenError(error, 'TCP', host, port);
  }
}

function together({ direct, dht }: Opened, listening: Listening | undefined): Transports {
  const transports = [direct, dht].filter((transport) => transport !== undefined);
  return {
    transports,
    listening,
    listensIPv6: direct?.listensIPv6 ?? false,
    setEntries: (entries) => dht?.setEntries(entries),
    neighbours: () => dht?.neighbours() ?? [],
    get seenAs() {
      return dht?.seenAs ?? null;
    },
    refresh: () => dht?.refresh(),
    close: async () => {
      await Promise.all(transports.map((transport) => transport.close()));
    },
  };
}
