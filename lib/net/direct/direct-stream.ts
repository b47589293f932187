import type { Socket } from 'node:net';
import { KithError } from '../../base/errors.ts';
import { boundedStream } from '../links/bounded-stream.ts';
import type { FinishedHandshake } from './direct-handshake.ts';
import type { Link } from '../links/link.ts';
import { hostPort, keepAliveMs, streamLink } from '../links/stream-link.ts';

/** Makes the link of a socket whose handshake is finished; the socket belongs to it from now on. */
export async function openDirectLink(
  isInitiator: boolean,
  socket: Socket,
  handshake: FinishedHandshake,
): Promise<Link> {
  const address = hostPort(socket.remoteAddress ?? '', socket.remotePort ?? 0);
  const stream = boundedStream(isInitiator, socket, { handshake, keepAlive: keepAliveMs });
  const link = streamLink(stream, 'direct', address);
  if (!(await stream.opened))
    throw new KithError('peer-unreachable', `${address} went away in the handshake`);
  return { ...link, localAddress: plainAddress(socket.localAddress) };
}

/** As the system lists its addresses: IPv4 as such, and without the name of an interface. */
function plainAddress(address: string | undefined): string | undefined {
  return address?.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
}
