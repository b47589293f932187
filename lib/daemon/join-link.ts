import { isKithError, KithError } from '../base/errors.ts';
import { openDirectTransport } from '../net/direct/direct-transport.ts';
import type { PingStep } from '../net/dialling/dial-steps.ts';
import type { DialTarget, KeyPair, Link, Transport } from '../net/links/link.ts';
import { linkKeys } from '../trust/link-keys.ts';
import type { DialLink, JoinConnection } from '../vault/devices/join.ts';
import type { HostPort } from './home-port.ts';
import { JoinChannel, joinKinds } from './join-channel.ts';
import { openLinkLan } from './link-lan.ts';

/** Segments that a new device takes at most: far above what decades bring (custody/segment-store.ts). */
const segmentsMax = 256 * 1024;

/** The other side has so long to decide whether the words match, and then to send the next bytes. */
const silentMsMax: number = 15 * 60 * 1000;

/** Where is looked for whoever made the link: every network of this computer, and the computer itself. */
const everywhere: readonly string[] = ['::', '127.0.0.1'];

/** How long they have to answer there. */
const nearMsMax = 4_000;

/** Over TCP, with the link's guest key, to whoever has its host key: where the link says, and where they are heard in the local network. */
export const dialLink: DialLink = async (link, signal) => {
  const { host, guest } = linkKeys(link.seed);
  const steps: PingStep[] = [];
  const transport = await openDirectTransport({
    keyPair: guest,
    admits: () => false,
    onLink: (incoming) => void incoming.close(),
  });
  try {
    const onStep = (step: PingStep): void => void steps.push(step);
    const target = { remoteKey: host.publicKey, endpoints: link.endpoints, keyPair: guest, onStep };
    const connected = await dialAnywhere(transport, target, guest, signal);
    return connectionOf(connected, () => transport.close(), signal);
  } catch (error) {
    await transport.close();
    throw isKithError(error, 'peer-refused', 'peer-unreachable') ? explained(error, steps) : error;
  }
};

/** What a dial in vain means for whoever typed the link. */
function explained({ code, details, message }: KithError, steps: readonly PingStep[]): KithError {
  const cause = new KithError(code, message, { details });
  const again =
    'On the other computer, kith device link --phrase-file FILE makes a new link: it waits while that command runs.';
  // Somebody is there, and waits for nobody, or for another link.
  if (steps.some(({ trouble }) => trouble === 'refused' || trouble === 'closed')) {
    const words = 'this link is of no use any more: it was used, has expired, or kith device link was ended.';
    return new KithError(code, `${words} ${again}`, { details, cause });
  }
  const where = steps.length === 0 ? '' : ` at ${steps.map(({ address }) => address).join(', ')}`;
  return new KithError(
    code,
    `the other computer can't be reached${where}. Is it on, with kith device link still waiting, and in the same network as this one? ` +
      `Then a firewall may be between the two: kith device link --listen HOST:PORT waits at a port of your choice. ${again}`,
    { details, cause },
  );
}

/** The first that connects counts, and ends the other. Rejects with what became of the addresses of the link. */
async function dialAnywhere(
  transport: Transport,
  target: DialTarget,
  guest: KeyPair,
  signal: AbortSignal | undefined,
): Promise<Link> {
  const over = new AbortController();
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
  let tell: (place: HostPort | undefined) => void = () => undefined;
  const near = new Promise<HostPort | undefined>((resolve) => {
    tell = resolve;
  });
  const lan = await openLinkLan({
    keyPair: guest,
    otherKey: target.remoteKey,
    port: 0,
    hosts: everywhere,
    isMet: () => either.aborted,
    onFound: tell,
  });
  const late = setTimeout(tell, nearMsMax, undefined);
  either.addEventListener('abort', () => tell(undefined), { once: true });
  const there = transport.dial(target, either);
  const dialNear = async (): Promise<Link> => {
    const place = await near;
    if (place === undefined || over.signal.aborted) return await there;
    return await transport.dial({ ...target, endpoints: [{ ...place, direct: true, dht: false }] }, either);
  };
  const tries = [there, dialNear()];
  try {
    const first = await Promise.any(tries);
    for (const each of tries) {
      each.then((link) => (link === first ? undefined : link.close())).catch(() => undefined);
    }
    return first;
  } catch {
    signal?.throwIfAborted();
    return await there;
  } finally {
    clearTimeout(late);
    over.abort(new KithError('interrupted', 'there is a connection, or none is wanted'));
    await lan.close();
  }
}

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
