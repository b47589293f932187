import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import NoiseSecretStream from '@hyperswarm/secret-stream';
import type { SecretStreamOptions } from '@hyperswarm/secret-stream';
import { KithError } from '../../base/errors.ts';
import { freeBytes } from '../../base/free-bytes.ts';
import { sealHeadBytes, sealTailBytes } from './free-message.ts';
import { MessageHeads } from './message-heads.ts';
import { messageBytesMax } from './mux-guard.ts';

/**
 * A secret stream that ends when the other side announces a message that is too long. By itself it takes memory for
 * 16 MiB at a word, before the message has come and anybody can look at it. It counts the bytes that come in. Memory that the raw stream
 * hands over is the stream's own from then on: it is freed once it has been copied.
 */
export function boundedStream(
  isInitiator: boolean,
  rawStream: Duplex | null,
  options: SecretStreamOptions,
): NoiseSecretStream & { readonly bytesIn: number } {
  const plain = new NoiseSecretStream(isInitiator, null, { ...options, autoStart: false });
  const stream = Object.assign(plain, { bytesIn: 0 });
  const heads = new MessageHeads(messageBytesMax + sealHeadBytes + sealTailBytes);
  const take = stream._onrawdata.bind(stream);
  stream._onrawdata = (bytes) => {
    if (stream.destroying) return;
    stream.bytesIn += bytes.length;
    if (!heads.take(bytes)) {
      stream.destroy(new KithError('malformed', 'the other side announced a message that is too long'));
      return;
    }
    take(bytes);
    // Nothing but parts of messages, of which the stream has taken copies.
    if (!heads.hasWhole && isAllOfIt(bytes)) freeBytes(bytes);
  };
  if (rawStream instanceof Socket) freeWritten(rawStream);
  if (options.autoStart !== false) stream.start(rawStream, options);
  return stream;
}

function isAllOfIt(bytes: Uint8Array): boolean {
  return bytes.length === bytes.buffer.byteLength;
}

/** Frees what the secret stream writes, which is in memory of its own, as soon as the system has taken it. */
function freeWritten(socket: Socket): void {
  const write = socket.write.bind(socket) as (
    bytes: Uint8Array,
    done: (error?: Error | null) => void,
  ) => boolean;
  socket.write = (bytes: Uint8Array) =>
    write(bytes, (error) => {
      if ((error === undefined || error === null) && isAllOfIt(bytes)) freeBytes(bytes);
    });
}
