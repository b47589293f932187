import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { KithError, isKithError, messageOf, systemCode } from '../../base/errors.ts';
import { withDeadline } from '../deadline.ts';
import { takeStep, wayOf } from '../dialling/dial-steps.ts';
import { triedEndpoints } from '../dialling/tried-endpoints.ts';
import { answerBytes, greet } from './direct-handshake.ts';
import { openDirectLink } from './direct-stream.ts';
import type { DialTarget, Endpoint, Link } from '../links/link.ts';
import { readExactly } from '../links/socket-bytes.ts';
import { hostPort } from '../links/stream-link.ts';

/** A connection over any distance takes well under a second; a firewall that swallows it takes for ever. */
const connectMsMax = 3_000;

/** One round trip and two curve operations on either side. */
export const handshakeMsMax = 5_000;

/**
 * Dials the target's direct endpoints one after the other until one answers as who it should be. Any of the
 * signals ends it with its reason.
 */
export async function dialDirect(target: DialTarget, signals: readonly AbortSignal[]): Promise<Link> {
  const endpoints = triedEndpoints(target.endpoints.filter(({ direct }) => direct));
  const troubles: string[] = [];
  let last: unknown;
  let refused = false;
  for (const endpoint of endpoints) {
    try {
      const step = { way: wayOf(endpoint), address: hostPort(endpoint.host, endpoint.port) };
      return await takeStep(
        step,
        () => performance.now(),
        target.onStep,
        () => dialEndpoint(target, endpoint, signals),
      );
    } catch (error) {
      signals.find((signal) => signal.aborted)?.throwIfAborted();
      refused ||= isKithError(error, 'peer-refused');
      troubles.push(messageOf(error));
      last = error;
    }
  }
  if (troubles.length === 0) {
    throw new KithError('peer-unreachable', 'no address to dial is known', { details: { tried: 0 } });
  }
  const details = { tried: endpoints.map(({ host, port }) => hostPort(host, port)) };
  throw new KithError(refused ? 'peer-refused' : 'peer-unreachable', troubles.join('; '), {
    details,
    // What the system said of the one address there is.
    ...(troubles.length === 1 && last instanceof Error && { cause: last.cause }),
  });
}

async function dialEndpoint(
  target: DialTarget,
  endpoint: Endpoint,
  signals: readonly AbortSignal[],
): Promise<Link> {
  const address = hostPort(endpoint.host, endpoint.port);
  const late = (): KithError => new KithError('peer-unreachable', `${address} doesn't answer`);
  const socket = await withDeadline(connectMsMax, signals, late, (signal) =>
    connectTo(endpoint, address, signal),
  );
  try {
    const silent = (): KithError =>
      new KithError('peer-refused', `${address} takes the connection but doesn't answer us`);
    return await withDeadline(handshakeMsMax, signals, silent, async (signal) => {
      const greeting = greet(target.keyPair, target.remoteKey);
      socket.write(greeting.hello);
      const handshake = greeting.finish(await readExactly(socket, answerBytes, signal));
      socket.write(handshake.confirm);
      return await openDirectLink(true, socket, handshake);
    });
  } catch (error) {
    socket.destroy();
    throw new KithError(
      'peer-refused',
      `${address} refused us: it doesn't know this device, or is somebody else (${messageOf(error)})`,
      { cause: error },
    );
  }
}

const systemWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'a computer is there, and no kith listens on it',
  EHOSTUNREACH: 'no way leads there',
  ENETUNREACH: 'no way leads there from this computer',
  ETIMEDOUT: 'no answer',
};

/** What the system says, in words where it is one of the usual things. */
function whyNot(error: Error): string {
  return systemWords[systemCode(error) ?? ''] ?? error.message;
}

function connectTo(endpoint: Endpoint, address: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: endpoint.host, port: endpoint.port, noDelay: true });
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    // Stays for good: an error of the socket is told by its close as well.
    socket.on('error', (error) => {
      signal.removeEventListener('abort', abort);
      reject(
        new KithError('peer-unreachable', `${address} can't be reached: ${whyNot(error)}`, { cause: error }),
      );
    });
    socket.once('connect', () => {
      signal.removeEventListener('abort', abort);
      resolve(socket);
    });
  });
}
