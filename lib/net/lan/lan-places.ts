import { isIPv6 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';

/** Where beacons go: a group of the site-local range (RFC 2365). */
export const lanGroup = '239.255.75.84';

/** The same for IPv6: a group of one link that nobody has registered (RFC 4291, 2.7), numbered as such groups are (RFC 3307, 4.3). */
export const lanGroup6 = 'ff12::eb69:7468';

/**
 * On loopback, where the system can: a socket on it is one on an address of this computer, as was asked for. Elsewhere than on Linux loopback
 * has no broadcast. IPv6 has no way to all on loopback.
 */
export const loopbackGroup: string = process.platform === 'linux' ? '127.255.255.255' : lanGroup;

/** Below the ports that systems give away by themselves. */
export const lanPort = 27548;

/** Addresses of this computer from which beacons are sent: a few cables, radios and tunnels. Of each family so many. */
const addressCountMax = 8;

/** The machine's addresses as os.networkInterfaces() gives them. */
type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** An address of this computer from which packets are sent. */
export interface LanPlace {
  readonly family: 'IPv4' | 'IPv6';
  /** As a socket is bound to it: with its zone, where it means something on one interface alone. */
  readonly address: string;
  /** What the system calls the interface in an address; '' for IPv4. */
  readonly zone: string;
  readonly internal: boolean;
  /** The network, with its bits. */
  readonly cidr: string;
}

/** Without the zone. */
export function bareAddress(address: string): string {
  return address.replace(/%.*$/, '');
}

/** True for an address of which each interface has its own. */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address);
}

/**
 * Whence beacons are sent by those who listen on `host`: from it, or where that is `0.0.0.0` from every IPv4 address, where it is `::` from
 * those and the link-local address of every interface. Of loopback only if there is no other IPv4, or it was asked for.
 */
export function lanPlaces(host: string, interfaces: Interfaces): LanPlace[] {
  const all = Object.entries(interfaces).flatMap(([name, infos]) =>
    (infos ?? []).map((info) => placeOf(name, info)),
  );
  return [...places4(host, all), ...places6(host, all)];
}

function placeOf(name: string, info: NetworkInterfaceInfo): LanPlace {
  const { family, address, internal, cidr } = info;
  if (family === 'IPv4') return { family, address, zone: '', internal, cidr: cidr ?? '' };
  const zone = process.platform === 'win32' ? String(info.scopeid) : name;
  return {
    family,
    address: isLinkLocal(address) ? `${address}%${zone}` : address,
    zone,
    internal,
    cidr: cidr ?? '',
  };
}

function places4(host: string, all: readonly LanPlace[]): LanPlace[] {
  const four = all.filter(({ family }) => family === 'IPv4');
  const outside = four.filter(({ internal }) => !internal);
  const everywhere = outside.length > 0 ? outside : four;
  // All of 127.0.0.0/8 is this computer's, though only one of it is listed.
  const asked = ({ address, internal }: LanPlace): boolean =>
    address === host || (internal && host.startsWith('127.'));
  return (/^[0.:]+$/.test(host) ? everywhere : four.filter(asked)).slice(0, addressCountMax);
}

function places6(host: string, all: readonly LanPlace[]): LanPlace[] {
  if (!isIPv6(host)) return [];
  const six = all.filter(({ family, internal }) => family === 'IPv6' && !internal);
  const isZoned = host.includes('%');
  const usable =
    host === '::'
      ? six.filter(({ address }) => isLinkLocal(address))
      : six.filter(({ address }) => (isZoned ? address : bareAddress(address)) === host);
  // One for each interface.
  return [...new Map(usable.map((place) => [place.zone, place])).values()].slice(0, addressCountMax);
}
