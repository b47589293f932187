import { networkInterfaces } from 'node:os';
import { equalBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { decodeJoinHello, verifyJoinHello } from '../format/join-messages.ts';
import { openDirectTransport } from '../net/direct/direct-transport.ts';
import type { Link } from '../net/links/link.ts';
import { linkKeys, linkWords } from '../trust/link-keys.ts';
import { listenEndpoints } from '../trust/listen-endpoints.ts';
import type { LinkDoor, NewcomerDevice, OpenLinkDoor } from '../vault/devices/link-door.ts';
import { JoinChannel, joinKinds } from './join-channel.ts';
import { openLinkLan } from './link-lan.ts';
import { looksAround } from './looks-around.ts';

/** Who comes has so long to say who it is. */
const helloMsMax = 10_000;

/** Without a byte for so long somebody who is being given logs has gone away. */
const silentMsMax = 60_000;

/** Links that may be open at the door at a time: there is one newcomer. */
const linksMax = 4;

/**
 * A listener of its own that lets the link's one key in, over TCP, and can be found in the local network by who has the link. Nobody else learns more than that a connection ended; it is closed when
 * the newcomer is in, refused or late.
 */
export const openLinkDoor: OpenLinkDoor = async ({ seed, vaultId, listen, lan }) => {
  const { host, guest } = linkKeys(seed);
  const waiting: ((device: NewcomerDevice) => void)[] = [];
  let found: NewcomerDevice | undefined;
  let links = 0;
  const take = async (link: Link): Promise<void> => {
    const device = await greet(link, vaultId);
    // One newcomer: who else has the link is not taken in.
    if (found !== undefined) throw new KithError('peer-refused', 'somebody came with this link already');
    found = device;
    for (const tell of waiting.splice(0)) tell(device);
  };
  const transport = await openDirectTransport({
    keyPair: host,
    admits: (key) => equalBytes(key, guest.publicKey),
    onLink: (link) => {
      if (links >= linksMax || found !== undefined) {
        link.close().catch(() => undefined);
        return;
      }
      links++;
      void link.closed.finally(() => links--);
      take(link).catch(() => link.close().catch(() => undefined));
    },
    listen: listen ?? { host: '0.0.0.0', port: 0 },
  });
  const place = transport.listening;
  const endpoints =
    place === undefined ? [] : listenEndpoints([{ ...place, direct: true, dht: false }], networkInterfaces());
  const looking =
    place === undefined || !looksAround(lan, listen)
      ? undefined
      : await openLinkLan({
          keyPair: host,
          otherKey: guest.publicKey,
          port: place.port,
          hosts: [place.host],
          isMet: () => found !== undefined,
          onFound: () => undefined,
        });
  const close = async (): Promise<void> => {
    await looking?.close();
    await transport.close();
  };
  return doorOf(endpoints, close, () => found, waiting);
};

function doorOf(
  endpoints: LinkDoor['endpoints'],
  close: () => Promise<void>,
  found: () => NewcomerDevice | undefined,
  waiting: ((device: NewcomerDevice) => void)[],
): LinkDoor {
  const closed = new AbortController();
  return {
    endpoints,
    newcomer: (signal) =>
      new Promise((resolve, reject) => {
        const device = found();
        if (device !== undefined) {
          resolve(device);
          return;
        }
        const either = signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]);
        const stop = (): void => reject(either.reason as Error);
        if (either.aborted) stop();
        either.addEventListener('abort', stop, { once: true });
        waiting.push(resolve);
      }),
    close: async () => {
      closed.abort(new KithError('interrupted', 'nobody is waited for any more'));
      await close();
    },
  };
}

async function greet(link: Link, vaultId: Uint8Array): Promise<NewcomerDevice> {
  const { handshakeHash, stream } = link;
  const channel = new JoinChannel(link);
  const late = setTimeout(() => void link.close(), helloMsMax);
  const hello = await channel
    .receive(joinKinds.hello)
    .then(({ bytes }) => decodeJoinHello(bytes))
    .finally(() => clearTimeout(late));
  if (!verifyJoinHello(hello, handshakeHash)) {
    throw new KithError('not-authentic', 'a new device did not sign for this link');
  }
  const { deviceId, boxKey, name } = hello;
  return {
    deviceId,
    boxKey,
    name,
    words: linkWords({ handshakeHash, vaultId, deviceId, boxKey }),
    welcome: async ({ welcome, keyRecord, segments }) => {
      stream.setTimeout(silentMsMax);
      await channel.send(joinKinds.welcome, welcome);
      await channel.send(joinKinds.keyRecord, keyRecord);
      for await (const segment of segments) await channel.send(joinKinds.segment, segment);
      await channel.send(joinKinds.end);
      await channel.receive(joinKinds.done);
      await link.close();
    },
    refuse: async () => {
      await channel.send(joinKinds.refused).catch(() => undefined);
      await link.close();
    },
  };
}
