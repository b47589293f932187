import { isIPv6 } from 'node:net';
import { KithError } from '../base/errors.ts';
import type { HostPort } from './home-port.ts';

/** `127.0.0.1:49737`, `[::1]:0` or `home.example.org:49737`. KithError `usage` for anything else. */
export function parseHostPort(text: string): HostPort {
  const match = /^(?:\[([^\]]*)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(text);
  const [, six, name, digits] = match ?? [];
  const port = Number(digits);
  const host = six ?? name;
  if (host === undefined || !(port <= 65535) || (six !== undefined && !isIPv6(six))) {
    throw new KithError(
      'usage',
      `"${text}" is not HOST:PORT. Write it like 127.0.0.1:49737, [::1]:49737 or home.example.org:49737.`,
    );
  }
  return { host, port };
}

/** The same as text. */
export function hostPortText({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
