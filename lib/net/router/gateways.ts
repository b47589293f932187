import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { addressClass } from '../address-class.ts';

/** Networks of this computer whose router is asked. */
const gatewayCountMax = 4;

const routesBytesMax = 64 * 1024;

/** The gateways of default routes in the text of Linux's `/proc/net/route`. */
export function gatewaysOfRoutes(text: string): string[] {
  return text
    .slice(0, routesBytesMax)
    .split('\n')
    .flatMap((line) => {
      const [, destination, gateway = ''] = line.trim().split(/\s+/);
      if (destination !== '00000000' || !/^[0-9A-Fa-f]{8}$/.test(gateway) || gateway === '00000000')
        return [];
      // In the order of a little-endian machine's memory.
      return [[6, 4, 2, 0].map((at) => Number.parseInt(gateway.slice(at, at + 2), 16)).join('.')];
    });
}

/** The first address of each private network that this computer is in: what most home routers have. */
export function likelyGateways(
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): string[] {
  const all = Object.values(interfaces).flatMap((infos) => infos ?? []);
  return all.flatMap(({ family, address, netmask, internal }) => {
    if (family !== 'IPv4' || internal || addressClass(address) !== 'private' || !isIPv4(netmask)) return [];
    const mask = netmask.split('.').map(Number);
    const network = address.split('.').map((part, at) => Number(part) & (mask[at] ?? 255));
    network[3] = (network[3] ?? 0) | 1;
    const first = network.join('.');
    return first === address ? [] : [first];
  });
}

/** Whom to ask by NAT-PMP: the system's default gateways where it tells them, else likely ones. Only private addresses. */
export async function gateways(
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): Promise<string[]> {
  const routes = await readFile('/proc/net/route', 'latin1').catch(() => undefined);
  const found = routes === undefined ? likelyGateways(interfaces) : gatewaysOfRoutes(routes);
  return [...new Set(found)].filter((host) => addressClass(host) === 'private').slice(0, gatewayCountMax);
}
