import { isIPv4 } from 'node:net';
import { hostPortText, parseHostPort } from '../base/host-port.ts';
import type { HostPort } from '../base/host-port.ts';
import { KithError } from '../base/errors.ts';
import { validHost } from '../format/address-body.ts';

/** Places that one computer says of itself by hand: a forwarded port, a name, IPv6 beside it. A card has room for 16 in all. */
export const announcedCountMax = 4;

/**
 * Places as the setting `net.announce` has them: `HOST:PORT`, several with commas, none where it is empty. KithError `usage` for what
 * is no place that a friend could dial.
 */
export function announcedPlaces(value: string): HostPort[] {
  const texts = value.split(',').map((text) => text.trim());
  const places = texts.filter((text) => text !== '').map(parseHostPort);
  if (places.length > announcedCountMax) {
    throw new KithError('usage', `more than ${announcedCountMax} places are never announced.`);
  }
  const nowhere = places.find(({ host, port }) => port === 0 || !validHost(host));
  if (nowhere !== undefined) {
    throw new KithError('usage', `${hostPortText(nowhere)} is no place where anybody can be met.`);
  }
  return places;
}

/** The IPv4 address from which a router passes this port on to us under the same number, as UDP to the DHT needs it. */
export function announcedHost(announced: readonly HostPort[], port: number): string | undefined {
  return announced.find((place) => place.port === port && isIPv4(place.host))?.host;
}
