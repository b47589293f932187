import { equalBytes, utf8 } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { withDeadline } from './deadline.ts';
import type { SecretStream } from './secret-stream.d.ts';

/**
 * The first message from whoever dialled over the DHT. It proves that the handshake wasn't a recording (docs/net.md), so
 * it comes before a connection is called a link.
 */
const greeting: Uint8Array = utf8('kith/link/1');

/** Comes with the first packets. */
const greetingMsMax = 10_000;

export function sendGreeting(stream: SecretStream): void {
  stream.write(greeting);
}

/** Takes the greeting from a stream and leaves what follows. KithError `peer-refused` if it is something else. */
export async function awaitGreeting(stream: SecretStream, stop: AbortSignal): Promise<void> {
  const late = (): KithError => new KithError('peer-refused', 'no greeting');
  const message = await withDeadline(greetingMsMax, [stop], late, (signal) => readOne(stream, signal));
  if (!equalBytes(message, greeting)) throw new KithError('peer-refused', 'another greeting');
}

function readOne(stream: SecretStream, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      stream.off('readable', look);
      stream.off('close', gone);
      signal.removeEventListener('abort', abort);
      act();
    };
    const gone = (): void =>
      settle(() => reject(new KithError('peer-refused', 'closed before its greeting')));
    const abort = (): void => settle(() => reject(signal.reason));
    const look = (): void => {
      const message = stream.read() as Uint8Array | null;
      if (message !== null) settle(() => resolve(message));
    };
    stream.on('readable', look);
    stream.on('close', gone);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    else if (stream.destroyed) gone();
    else look();
  });
}
