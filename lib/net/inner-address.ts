import { BlockList } from 'node:net';

/** Networks behind routers (RFC 1918), of providers that have no address for each customer (RFC 6598), and of one cable. */
const inner = new BlockList();
inner.addSubnet('10.0.0.0', 8);
inner.addSubnet('172.16.0.0', 12);
inner.addSubnet('192.168.0.0', 16);
inner.addSubnet('100.64.0.0', 10);
inner.addSubnet('169.254.0.0', 16);

/** True for an IPv4 address that means nothing beyond the router. Loopback isn't one: there is none. */
export function isBehindRouter(address: string): boolean {
  return inner.check(address);
}
