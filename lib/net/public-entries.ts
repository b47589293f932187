import HyperDHT from 'hyperdht';
import type { HostPort } from 'hyperdht';

/** The public entries that hyperdht knows: only for those who asked for them with `--public-dht`. They see addresses and times. */
export function publicEntries(): HostPort[] {
  return HyperDHT.BOOTSTRAP.flatMap((text) => {
    // `ADDRESS@NAME:PORT`, or `NAME:PORT`.
    const match = /^(?:([^@]+)@)?(.+):(\d+)$/.exec(text);
    const host = match?.[1] ?? match?.[2];
    return host === undefined ? [] : [{ host, port: Number(match?.[3]) }];
  });
}
