import { BlockList, isIP, isIPv4 } from 'node:net';

/**
 * Who can use an address: this computer (`loopback`), whoever is on the same cable (`link`), a network behind a router (`private`), the network of a
 * provider that has no address for each customer (`shared`, RFC 6598), or everybody (`public`).
 */
export type AddressClass = 'loopback' | 'link' | 'private' | 'shared' | 'public';

function blocks(...subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', bits = ''] = subnet.split('/');
    list.addSubnet(network, Number(bits), isIPv4(network) ? 'ipv4' : 'ipv6');
  }
  return list;
}

const classes: readonly (readonly [AddressClass, BlockList])[] = [
  ['loopback', blocks('127.0.0.0/8', '::1/128')],
  ['link', blocks('169.254.0.0/16', 'fe80::/10')],
  ['private', blocks('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7')],
  ['shared', blocks('100.64.0.0/10')],
];

/** By the address as text, with or without a zone; IPv4 written as IPv6 counts as IPv4. Undefined for what is no address. */
export function addressClass(host: string): AddressClass | undefined {
  const bare = host.replace(/%.*$/, '');
  const address = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare;
  if (isIP(address) === 0) return undefined;
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  return classes.find(([, list]) => list.check(address, family))?.[0] ?? 'public';
}

/** The host of `HOST:PORT` or `[HOST]:PORT`. */
export function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** True for an address that means nothing beyond the router. Loopback isn't one: there is none. */
export function isBehindRouter(address: string): boolean {
  const kind = addressClass(address);
  return kind === 'link' || kind === 'private' || kind === 'shared';
}
