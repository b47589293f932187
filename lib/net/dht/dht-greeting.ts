import { equalBytes, utf8 } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { withDeadline } from '../deadline.ts';
import type { SecretStream } from '../links/secret-stream.d.ts';

/**
 * The first message each way of a connection over the DHT (docs/net.md). From whoever dialled it proves that the
 * handshake wasn't a recording; from whoever was dialled, that it has the connection too: a hole that was punched one
 * way only looks open from there.
 */
const greeting: Uint8Array = utf8('kith/link/1');

/** It comes with the first packets; lost ones are sent again after a second. */
const greetingMsMax = 4_000;

/** Greets whom we dialled. KithError `peer-unreachable` if no greeting comes back, or the signal's reason. */
export async function greetAndWait(stream: SecretStream, signal: AbortSignal): Promise<void> {
  stream.write(greeting);
  await awaitGreeting(stream, signal);
}

/** Waits for the greeting of whoever dialled us, and answers it. */
export async function waitAndGreet(stream: SecretStream, signal: AbortSignal): Promise<void> {
  await awaitGreeting(stream, signal);
  stream.write(greeting);
}

/** Takes the greeting from a stream and leaves what follows. */
async function awaitGreeting(stream: SecretStream, stop: AbortSignal): Promise<void> {
  const late = (): KithError => new KithError('peer-unreachable', 'found, but no connection came of it');
  const message = await withDeadline(greetingMsMax, [stop], late, (signal) => readOne(stream, signal));
  if (!equalBytes(message, greeting))
    throw new KithError('peer-unreachable', 'found, but it speaks otherwise');
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
      settle(() => reject(new KithError('peer-unreachable', 'found, but it ended the connection')));
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
