import type { Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { idKey } from '../../base/bytes.ts';
import { systemRandom } from '../../crypto/random.ts';
import { cardInAnswer, makeKnock } from './lan-knock.ts';
import { bareAddress, lanPlaces, lanPort } from './lan-places.ts';
import { aimAtGroup, attempt, groupOf, socketAt } from './lan-socket.ts';
import type { KeyPair } from '../links/link.ts';

/** When knocks are sent: packets get lost. */
const knocksMs: readonly number[] = [0, 1_000, 2_500];

/** How long answers are waited for; after the first only so much longer, for others who are there too. */
export const nearMsMax = 4_000;
const furtherMs = 700;

/** Friends in one network. */
const cardsMax = 16;

/** Where is looked: every network of this computer, and the computer itself. */
const everywhere: readonly string[] = ['::', '127.0.0.1'];

/**
 * Looks in the local network for friends of the identity whose doorstep pair this is. Cards as they came, not verified, each once; none where nobody
 * answers. Some seconds; rejects with the signal's reason. Sends from `hosts`, as in `lanPlaces`.
 */
export async function friendsNear(
  doorstep: KeyPair,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly hosts?: readonly string[];
    readonly port?: number;
    readonly limitMs?: number;
  } = {},
): Promise<Uint8Array[]> {
  const { signal, hosts = everywhere, port = lanPort, limitMs = nearMsMax } = options;
  signal?.throwIfAborted();
  const cards = new Map<string, Uint8Array>();
  const all = hosts.flatMap((host) => lanPlaces(host, networkInterfaces()));
  const places = [...new Map(all.map((place) => [place.address, place])).values()];
  const sockets: Socket[] = [];
  const timers: NodeJS.Timeout[] = [];
  await new Promise<void>((resolve) => {
    timers.push(setTimeout(resolve, limitMs));
    signal?.addEventListener('abort', () => resolve(), { once: true });
    for (const place of places) {
      const socket = socketAt(place);
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('message', (answer) => {
        const card = cardInAnswer(answer, doorstep);
        if (card === undefined || cards.size >= cardsMax) return;
        if (cards.size === 0) timers.push(setTimeout(resolve, furtherMs));
        cards.set(idKey(card), card);
      });
      const knock = (): void => {
        const hour = Math.floor(Date.now() / 3_600_000);
        const packet = makeKnock(doorstep, systemRandom(16), hour, bareAddress(place.address));
        // A network without multicast has nobody in it that could be found so.
        attempt(() => socket.send(packet, port, groupOf(place), () => {}));
      };
      socket.bind({ address: place.address, port: 0 }, () => {
        attempt(() => aimAtGroup(socket, place));
        timers.push(...knocksMs.map((ms) => setTimeout(knock, ms)));
      });
    }
  });
  for (const timer of timers) clearTimeout(timer);
  await Promise.all(sockets.map((socket) => new Promise<void>((done) => socket.close(() => done()))));
  signal?.throwIfAborted();
  return [...cards.values()];
}
