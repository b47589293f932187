import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { KithError } from '../../lib/base/errors.ts';
import { openDirectTransport } from '../../lib/net/direct/direct-transport.ts';
import type { KeyPair, Link } from '../../lib/net/links/link.ts';
import type { DeviceKeys } from '../../lib/trust/device.ts';
import { openKeyStore } from '../../lib/trust/key-store.ts';
import { RawPeer } from './raw-peer.ts';
import { poll } from './poll.ts';
import { atEnd } from './at-end.ts';

/** The keys of a home without a passphrase, whether or not a daemon has it. */
export async function keysOfHome(home: string): Promise<DeviceKeys> {
  return openKeyStore(await readFile(join(home, 'keystore')), undefined);
}

/** A device's keys as the network takes them. */
export function pairOf({ deviceId, deviceSecretKey }: DeviceKeys): KeyPair {
  return { publicKey: deviceId, secretKey: deviceSecretKey };
}

/** `HOST:PORT` in two. */
export function placeOf(listen: string): { readonly host: string; readonly port: number } {
  const at = listen.lastIndexOf(':');
  return { host: listen.slice(0, at), port: Number(listen.slice(at + 1)) };
}

/** Dials a daemon with the keys given, as a program that is not kith would. Rejects as Transport.dial. */
export async function dialRaw(
  test: { after(work: () => Promise<void>): void },
  keyPair: KeyPair,
  target: { readonly key: Uint8Array; readonly listen: string },
): Promise<Link> {
  const transport = await openDirectTransport({ keyPair, admits: () => false, onLink: () => undefined });
  atEnd(test, () => transport.close());
  const endpoints = [{ ...placeOf(target.listen), direct: true, dht: false }];
  return transport.dial({ remoteKey: target.key, endpoints, keyPair }, AbortSignal.timeout(30_000));
}

/** Waits for a message of that kind on the hello channel of a daemon that a RawPeer speaks to. */
export async function hearsFromAfar(raw: RawPeer, kind: number): Promise<void> {
  await poll(`message ${kind}`, () => {
    if (raw.heard.some((message) => message.kind === kind)) return Promise.resolve(true);
    if (raw.ended) throw new KithError('peer-unreachable', `the link ended before message ${kind}`);
    return Promise.resolve(false);
  });
}

/** A plain TCP connection that minds no error; `closed` resolves when it is over. */
export function plainSocket(listen: string): { readonly socket: Socket; readonly closed: Promise<void> } {
  const { host, port } = placeOf(listen);
  const socket = connect({ host, port });
  socket.on('error', () => undefined);
  socket.resume();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return { socket, closed };
}
