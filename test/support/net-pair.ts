import { createRequire } from 'node:module';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { KeyPair, Link } from '../../lib/net/links/link.ts';
import type { SecretStream } from '../../lib/net/links/secret-stream.d.ts';

const require = createRequire(import.meta.url);
const NoiseSecretStream = require('@hyperswarm/secret-stream') as new (
  isInitiator: boolean,
  socket: Socket,
  options: { keyPair: { publicKey: Buffer; secretKey: Buffer }; pattern: string; remotePublicKey?: Buffer },
) => SecretStream;

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'connection');
  const near = connect(port, '127.0.0.1');
  const [far] = (await accepted) as [Socket];
  // Takes no more; it is closed for good when the pair is.
  server.close();
  return [near, far];
}

async function linkOver(socket: Socket, own: KeyPair, other: KeyPair, isInitiator: boolean): Promise<Link> {
  const stream = new NoiseSecretStream(isInitiator, socket, {
    keyPair: { publicKey: Buffer.from(own.publicKey), secretKey: Buffer.from(own.secretKey) },
    pattern: 'IK',
    ...(isInitiator ? { remotePublicKey: Buffer.from(other.publicKey) } : {}),
  });
  stream.on('error', () => {});
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  if (!(await stream.opened)) throw new Error('the handshake failed');
  return {
    remoteKey: new Uint8Array(stream.remotePublicKey),
    localKey: own.publicKey,
    isInitiator,
    via: 'direct',
    remoteAddress: `${socket.remoteAddress}:${socket.remotePort}`,
    handshakeHash: new Uint8Array(stream.handshakeHash),
    stream,
    close: async () => {
      stream.destroy();
      await closed;
    },
    closed,
  };
}

/** Both ends of a real encrypted link over loopback TCP; the first key pair's device dialled. */
export async function linkPair(from: KeyPair, to: KeyPair): Promise<[Link, Link]> {
  const [near, far] = await socketPair();
  return await Promise.all([linkOver(near, from, to, true), linkOver(far, to, from, false)]);
}
