import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { systemRandom } from '../../lib/crypto/random.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { toHex } from '../../lib/base/bytes.ts';
import type { DialTarget, Endpoint, KeyPair, Link, TransportOptions } from '../../lib/net/links/link.ts';
import { atEnd } from './at-end.ts';

/** A signal that fires when a test has plainly failed, so that it ends with a reason rather than by the runner's. */
export function patience(): AbortSignal {
  return AbortSignal.timeout(30_000);
}

/** A fresh device key. */
export function newKeys(): KeyPair {
  return signKeyPair(systemRandom(32));
}

/** One end of a transport under test: whom it admits, and the links that came in. */
export interface End {
  readonly keyPair: KeyPair;
  readonly options: TransportOptions;
  /** Keys that were asked about, in hex, in order. */
  readonly asked: string[];
  readonly incoming: Link[];
  /** The next link that comes in, or one that came in unasked for. */
  next(): Promise<Link>;
}

/** An end that admits the given keys (a function, so that ends can name each other). */
export function newEnd(admitted: () => readonly KeyPair[], keyPair: KeyPair = newKeys()): End {
  const incoming: Link[] = [];
  const waiting: ((link: Link) => void)[] = [];
  const unclaimed: Link[] = [];
  const asked: string[] = [];
  return {
    keyPair,
    asked,
    incoming,
    options: {
      keyPair,
      admits: (key) => {
        asked.push(toHex(key));
        return admitted().some((pair) => toHex(pair.publicKey) === toHex(key));
      },
      onLink: (link) => {
        incoming.push(link);
        const wait = waiting.shift();
        if (wait === undefined) unclaimed.push(link);
        else wait(link);
      },
    },
    next: () => {
      const link = unclaimed.shift();
      return link === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(link);
    },
  };
}

/** Whom `from` dials, and where. */
export function targetOf(from: End, to: End, ...endpoints: readonly Endpoint[]): DialTarget {
  return { remoteKey: to.keyPair.publicKey, keyPair: from.keyPair, endpoints };
}

/** An endpoint on loopback for both transports. */
export function loopback(port: number, host = '127.0.0.1'): Endpoint {
  return { host, port, direct: true, dht: true };
}

/** The next message of a link; later ones stay in it. */
export async function readMessage(link: Link, signal: AbortSignal = patience()): Promise<Uint8Array> {
  for (;;) {
    const message = link.stream.read() as Uint8Array | null;
    if (message !== null) return new Uint8Array(message);
    await once(link.stream, 'readable', { signal });
  }
}

/** Closes something when the test ends. */
export function closeAfter<T extends { close(): Promise<void> }>(
  test: Pick<TestContext, 'after'>,
  closable: T,
): T {
  atEnd(test, () => closable.close());
  return closable;
}

/** Announces a message of 16 MiB under a link's encryption, as no honest end does. */
export function announceTooMuch(link: Link): void {
  const { rawStream } = link.stream as unknown as { rawStream: { write(bytes: Uint8Array): void } };
  rawStream.write(new Uint8Array([0xff, 0xff, 0xff]));
}
