import type { NetworkInterfaceInfo } from 'node:os';
import { endpointCountMax, validHost } from '../format/address-body.ts';
import type { AddressEndpoint } from '../format/address-body.ts';

/** The machine's addresses as os.networkInterfaces() gives them. */
export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** Where this process listens. */
export interface Listening {
  /** An address of the machine, or `0.0.0.0` or `::` for all of them (`::` takes IPv4 as well). */
  readonly host: string;
  readonly port: number;
  readonly direct: boolean;
  readonly dht: boolean;
}

function isEverywhere(host: string): boolean {
  return /^[0.:]+$/.test(host);
}

/** The addresses of a family, or two. */
function addressesOf(interfaces: Interfaces, withIPv6: boolean): NetworkInterfaceInfo[] {
  const all = Object.values(interfaces).flatMap((infos) => infos ?? []);
  return all.filter(({ family }) => withIPv6 || family === 'IPv4');
}

/**
 * Addresses that another machine can use: not those that need an interface's name beside them, and of loopback only where this machine
 * `isAlone`: what is left then is other processes on it.
 */
function machineHosts(interfaces: Interfaces, withIPv6: boolean, isAlone: boolean): string[] {
  const all = addressesOf(interfaces, withIPv6);
  const usable = all.filter(({ address }) => !address.startsWith('169.254.') && !/^fe[89ab]/i.test(address));
  const outside = usable.filter(({ internal }) => !internal);
  return (isAlone ? usable : outside)
    .toSorted((a, b) => a.family.localeCompare(b.family))
    .map(({ address }) => address);
}

/**
 * What a card says of where this process listens: at most 16 endpoints, IPv4 first, each address once, never `0.0.0.0` or
 * `::`. None where nothing listens (port 0).
 */
export function listenEndpoints(listening: readonly Listening[], interfaces: Interfaces): AddressEndpoint[] {
  const endpoints = new Map<string, AddressEndpoint>();
  // A network whose addresses need an interface's name is one: friends in it find each other without a card's help.
  const anyIPv6 = listening.some(({ host }) => host.includes(':'));
  const isAlone = addressesOf(interfaces, anyIPv6).every(({ internal }) => internal);
  for (const { host, port, direct, dht } of listening) {
    if (port === 0 || !(direct || dht)) continue;
    const hosts = isEverywhere(host) ? machineHosts(interfaces, host.includes(':'), isAlone) : [host];
    for (const each of hosts.filter(validHost)) {
      const key = `${each} ${port}`;
      const known = endpoints.get(key);
      // The DHT speaks IPv4 only.
      const endpoint = {
        host: each,
        port,
        direct: direct || known?.direct === true,
        dht: (dht && !each.includes(':')) || known?.dht === true,
      };
      if (endpoint.direct || endpoint.dht) endpoints.set(key, endpoint);
    }
  }
  return [...endpoints.values()].slice(0, endpointCountMax);
}
