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

/** Addresses that another machine can use: not loopback, not those that need an interface's name beside them. */
function machineHosts(interfaces: Interfaces, withIPv6: boolean): string[] {
  const all = Object.values(interfaces).flatMap((infos) => infos ?? []);
  const usable = all.filter(({ family, address }) =>
    family === 'IPv4' ? !address.startsWith('169.254.') : withIPv6 && !/^fe[89ab]/i.test(address),
  );
  const outside = usable.filter(({ internal }) => !internal);
  // With no network at all, what is left is other processes on this machine.
  return (outside.length > 0 ? outside : usable)
    .toSorted((a, b) => a.family.localeCompare(b.family))
    .map(({ address }) => address);
}

/**
 * What a card says of where this process listens: at most 16 endpoints, IPv4 first, each address once, never `0.0.0.0` or
 * `::`. None where nothing listens (port 0).
 */
export function listenEndpoints(listening: readonly Listening[], interfaces: Interfaces): AddressEndpoint[] {
  const endpoints = new Map<string, AddressEndpoint>();
  for (const { host, port, direct, dht } of listening) {
    if (port === 0 || !(direct || dht)) continue;
    const hosts = isEverywhere(host) ? machineHosts(interfaces, host.includes(':')) : [host];
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
