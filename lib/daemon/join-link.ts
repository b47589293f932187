import { KithError } from '../base/errors.ts';
import { openDirectTransport } from '../net/direct-transport.ts';
import type { Link } from '../net/link.ts';
import { linkKeys } from '../trust/link-keys.ts';
import type { DialLink, JoinConnection } from '../vault/join.ts';
import { JoinChannel, joinKinds } from './join-channel.ts';

/** Segments that a new device takes at most: far above what decades bring (custody/segment-store.ts). */
const segmentsMax = 256 * 1024;

/** The other side has so long to decide whether the words match, and then to send the next bytes. */
const silentMsMax: number = 15 * 60 * 1000;

/** Over TCP, with the link's guest key, to whoever has its host key. */
export const dialLink: DialLink = async (link, signal) => {
  const { host, guest } = linkKeys(link.seed);
  const transport = await openDirectTransport({
    keyPair: guest,
    admits: () => false,
    onLink: (incoming) => void incoming.close(),
  });
  try {
    const target = { remoteKey: host.publicKey, endpoints: link.endpoints, keyPair: guest };
    const connected = await transport.dial(target, signal ?? new AbortController().signal);
    return connectionOf(connected, () => transport.close(), signal);
  } catch (error) {
    await transport.close();
    throw error;
  }
};

function connectionOf(link: Link, closeAll: () => Promise<void>, signal?: AbortSignal): JoinConnection {
  const channel = new JoinChannel(link);
  link.stream.setTimeout(silentMsMax);
  const stop = (): void => void link.close();
  signal?.addEventListener('abort', stop, { once: true });
  return {
    handshakeHash: link.handshakeHash,
    ask: async (hello) => {
      await channel.send(joinKinds.hello, hello);
      const { bytes: welcome } = await heard(channel.receive(joinKinds.welcome), signal);
      const { bytes: keyRecord } = await heard(channel.receive(joinKinds.keyRecord), signal);
      return { welcome, keyRecord, segments: segmentsFrom(channel, signal) };
    },
    done: async () => {
      await channel.send(joinKinds.done);
      // The other side closes when it has read it.
      await link.closed;
    },
    close: async () => {
      signal?.removeEventListener('abort', stop);
      await link.close();
      await closeAll();
    },
  };
}

/** What was cancelled ends as that, not as a connection that was lost. */
async function heard<T>(receiving: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await receiving;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

async function* segmentsFrom(
  channel: JoinChannel,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for (let count = 0; count <= segmentsMax; count++) {
    const { kind, bytes } = await heard(channel.receive(joinKinds.segment, joinKinds.end), signal);
    if (kind === joinKinds.end) return;
    yield bytes;
  }
  throw new KithError('malformed', 'the other computer sends log segments without end');
}
