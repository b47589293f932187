import type { Duplex } from 'node:stream';
import { KithError } from '../../base/errors.ts';

/**
 * Takes exactly `count` bytes from a socket, or another stream of bytes, that nobody else reads; what follows stays in it. A fresh copy.
 * KithError `peer-refused` if the other side ends first; the signal's reason if it fires.
 */
export function readExactly(socket: Duplex, count: number, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      socket.off('readable', look);
      socket.off('end', gone);
      socket.off('close', gone);
      signal.removeEventListener('abort', abort);
      act();
    };
    const gone = (): void => {
      settle(() => reject(new KithError('peer-refused', 'the connection was closed in the handshake')));
    };
    const abort = (): void => settle(() => reject(signal.reason));
    const look = (): void => {
      const bytes = socket.read(count) as Uint8Array | null;
      if (bytes === null) return;
      // At the end of a stream less than was asked for is handed out.
      if (bytes.length < count) gone();
      else settle(() => resolve(new Uint8Array(bytes)));
    };
    socket.on('readable', look);
    socket.on('end', gone);
    socket.on('close', gone);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    else if (socket.destroyed) gone();
    else look();
  });
}
