import HyperDHT from 'hyperdht';
import type { HostPort } from 'hyperdht';

interface PublicEntry {
  /** The address where it is known, else the name. */
  readonly host: string;
  readonly port: number;
  /** Both, in lower case. */
  readonly hosts: readonly string[];
}

/** From `ADDRESS@NAME:PORT`, or `NAME:PORT`. */
const known: readonly PublicEntry[] = HyperDHT.BOOTSTRAP.flatMap((text) => {
  const [, address, name, port] = /^(?:([^@]+)@)?(.+):(\d+)$/.exec(text) ?? [];
  if (name === undefined) return [];
  const hosts = [address, name].filter((host) => host !== undefined);
  return [{ host: address ?? name, port: Number(port), hosts: hosts.map((host) => host.toLowerCase()) }];
});

/** The public entries that hyperdht knows: only for those who asked for them with `--public-dht`. They see addresses and times. */
export function publicEntries(): HostPort[] {
  return known.map(({ host, port }) => ({ host, port }));
}

/** True for the address or the name of one of them, on whatever port. */
export function isPublicEntry(host: string): boolean {
  const plain = host.toLowerCase().replace(/\.$/, '');
  return known.some(({ hosts }) => hosts.includes(plain));
}
