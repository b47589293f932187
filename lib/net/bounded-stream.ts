import type { Duplex } from 'node:stream';
import NoiseSecretStream from '@hyperswarm/secret-stream';
import type { SecretStreamOptions } from '@hyperswarm/secret-stream';
import { KithError } from '../base/errors.ts';
import { MessageHeads } from './message-heads.ts';
import { messageBytesMax } from './mux-guard.ts';

/** What encryption adds to a message. */
const sealBytes = 17;

/**
 * A secret stream that ends when the other side announces a message that is too long. By itself it takes memory for
 * 16 MiB at a word, before the message has come and anybody can look at it. It counts the bytes that come in.
 */
export function boundedStream(
  isInitiator: boolean,
  rawStream: Duplex | null,
  options: SecretStreamOptions,
): NoiseSecretStream & { readonly bytesIn: number } {
  const plain = new NoiseSecretStream(isInitiator, null, { ...options, autoStart: false });
  const stream = Object.assign(plain, { bytesIn: 0 });
  const heads = new MessageHeads(messageBytesMax + sealBytes);
  const take = stream._onrawdata.bind(stream);
  stream._onrawdata = (bytes) => {
    if (stream.destroying) return;
    stream.bytesIn += bytes.length;
    if (heads.take(bytes)) take(bytes);
    else stream.destroy(new KithError('malformed', 'the other side announced a message that is too long'));
  };
  if (options.autoStart !== false) stream.start(rawStream, options);
  return stream;
}
