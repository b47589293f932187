import { utf8 } from '../lib/base/bytes.ts';
import { systemClock } from '../lib/base/clock.ts';
import { systemRandom } from '../lib/crypto/random.ts';
import { signKeyPair } from '../lib/crypto/sign.ts';
import { encodeAddressBody } from '../lib/format/address-body.ts';
import { decodeCardText, encodeCardText } from '../lib/format/card-text.ts';
import { decodeCard, encodeCard, type Card } from '../lib/format/card.ts';
import { signCertificate } from '../lib/format/certificate.ts';
import { signAddressRecord } from '../lib/format/friend-records.ts';
import { Network } from '../lib/net/network.ts';
import type { Service } from '../lib/net/service.ts';
import { openTransports, type Transports } from '../lib/net/transports.ts';
import { FriendsBook } from '../lib/trust/friends-book.ts';

/** Gives what a friend gives that is up and has nothing to do: it is there, and `kith/store` isn't called. */
const store: Service = { name: 'kith/store', versions: { min: 1, max: 1 }, accept: () => undefined };

/** A friend without a vault, a disk or a log: identity, book, sessions. Many fit into one process. */
export class LightFriend {
  readonly network: Network;
  readonly cardText: string;
  readonly #book: FriendsBook;
  readonly #transports: Transports;

  private constructor(network: Network, book: FriendsBook, transports: Transports, cardText: string) {
    this.network = network;
    this.#book = book;
    this.#transports = transports;
    this.cardText = cardText;
  }

  /** Listens on loopback, on a port of the system's choice. Nothing is dialled before `start`. */
  static async open(name: string, dht: boolean): Promise<LightFriend> {
    const identity = signKeyPair(systemRandom(32));
    const device = signKeyPair(systemRandom(32));
    const certificate = signCertificate(
      {
        vaultId: identity.publicKey,
        deviceId: device.publicKey,
        boxKey: systemRandom(32),
        recoveryKey: systemRandom(32),
        doorstepKey: signKeyPair(systemRandom(32)).publicKey,
        createdNs: systemClock.nowNs(),
        name,
        extensions: [],
      },
      identity.secretKey,
    );
    let card: Card = {
      identity: identity.publicKey,
      certificates: [certificate],
      revocations: [],
      addresses: [],
      extensions: [],
    };
    const book = new FriendsBook({
      identity: identity.publicKey,
      deviceId: device.publicKey,
      ownCard: () => encodeCard(card),
      onLearned: () => undefined,
      clock: systemClock,
    });
    const network = new Network({ device, directory: book, services: [store] });
    const transports = await openTransports({
      ...network.wiring,
      listen: { host: '127.0.0.1', port: 0 },
      direct: true,
      dht,
      bootstrap: [],
    });
    const port = transports.listening?.port ?? 0;
    const endpoints = [{ host: '127.0.0.1', port, direct: true, dht }];
    const sealed = encodeAddressBody({ name, endpoints, extensions: [] });
    const record = { deviceId: device.publicKey, counter: 1, sealed };
    card = { ...card, addresses: [signAddressRecord(identity.publicKey, record, device.secretKey)] };
    return new LightFriend(network, book, transports, encodeCardText(encodeCard(card)));
  }

  /** Has those as its friends whose cards these are. */
  befriend(cards: readonly string[]): void {
    this.#book.replace(
      cards.map((text) => {
        const bytes = decodeCardText(text);
        return { identity: decodeCard(bytes).identity, state: 1, grants: ['store'], card: bytes };
      }),
    );
    this.network.refresh();
  }

  start(): void {
    this.network.start(this.#transports.transports);
  }

  async close(): Promise<void> {
    await this.network.close();
    await this.#transports.close();
  }
}

/** Bytes that say what a process has come to, one JSON object a line. */
export function tell(message: object): void {
  process.stdout.write(utf8(`${JSON.stringify(message)}\n`));
}
