import { isIPv6 } from 'node:net';
import { KithError } from './errors.ts';

/** A host, as an address or a name, and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

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

/** True for a name or an address that only this computer can use. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host.startsWith('127.') || host === '::1' || host === '[::1]';
}
