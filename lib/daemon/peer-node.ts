import { join } from 'node:path';
import { networkInterfaces } from 'node:os';
import { equalBytes, fromHex, textOf, toHex, utf8 } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { parseSize } from '../base/units.ts';
import { Hosting } from '../custody/hosting.ts';
import { writeDurably } from '../disk/write-durably.ts';
import { decodeCard, encodeCard } from '../format/card.ts';
import type { Holder } from '../holders/holder.ts';
import { Network } from '../net/network.ts';
import type { Service } from '../net/service.ts';
import type { Transports } from '../net/transports.ts';
import { FriendHolder } from '../services/store/friend-holder.ts';
import { InventoryMirror } from '../services/store/inventory-mirror.ts';
import { storeServiceName, storeVersions } from '../services/store/store-codec.ts';
import { storeService } from '../services/store/store-service.ts';
import { ownCard } from '../trust/card.ts';
import { FriendsBook } from '../trust/friends-book.ts';
import { listenEndpoints } from '../trust/listen-endpoints.ts';
import { exchangeWith } from '../vault/exchange.ts';
import type { FriendNetwork, FriendRef, Hosted, PingStep, Presence } from '../vault/friend-network.ts';
import type { Session } from '../vault/session.ts';
import { hostPortText } from './host-port.ts';
import type { HostPort, NetworkOptions, PeerNode } from './home-port.ts';

/** How long a command that works by itself waits for friends. */
const friendsMsMax = 10_000;

/** How often the daemon looks whether this computer has other addresses than before. */
const addressPollMs = 15_000;

/** The file with the port that was once chosen. */
const portFile = 'listen-port';

/**
 * This computer among its friends: who may come in, whom to dial, what is kept for whom, and friends as holders. Over an opened
 * session; the daemon has one, and a command that works by itself one that only dials.
 */
export class KithNode implements PeerNode, FriendNetwork {
  readonly id: string;
  readonly network: FriendNetwork = this;
  readonly #session: Session;
  /** Undefined for a command that works by itself. */
  readonly #options: NetworkOptions | undefined;
  readonly #book: FriendsBook;
  readonly #hosting: Hosting | undefined;
  readonly #peers: Network;
  readonly #mirrors = new Map<string, InventoryMirror>();
  readonly #online = new Set<string>();
  #onPresence: (friendId: string, online: boolean) => void = () => undefined;
  #transports: Transports | undefined;
  #listening: HostPort | undefined;
  #poll: NodeJS.Timeout | undefined;
  #settled: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    session: Session,
    options: NetworkOptions | undefined,
    parts: { readonly book: FriendsBook; readonly hosting: Hosting | undefined },
  ) {
    this.id = session.id;
    this.#session = session;
    this.#options = options;
    this.#book = parts.book;
    this.#hosting = parts.hosting;
    const { deviceId, deviceSecretKey } = session.device;
    this.#peers = new Network({
      device: { publicKey: deviceId, secretKey: deviceSecretKey },
      doorstep: undefined,
      directory: parts.book,
      services: [this.#storeService()],
      random: session.surroundings.random,
      onChange: () => this.#changed(),
    });
  }

  /** For an opened session; nothing listens or dials before `start`. */
  static async make(session: Session, options: NetworkOptions | undefined): Promise<KithNode> {
    const { device, surroundings, ownAddress, home } = session;
    const { disk, random, clock } = surroundings;
    // A record that the device itself has signed keeps others from claiming its key.
    await ownAddress.publish(session.name, ownAddress.endpoints);
    const book = new FriendsBook({
      identity: device.vaultId,
      deviceId: device.deviceId,
      ownCard: () => cardOf(session),
      onLearned: (identityHex, card) => {
        session.learnFriendCard(identityHex, card).catch((error: unknown) => {
          session.problem({
            item: identityHex.slice(0, 16),
            message: `what a friend's computer says of itself could not be kept: ${messageOf(error)}`,
            code: isKithError(error) ? error.code : 'internal',
          });
        });
      },
      clock,
    });
    book.replace(session.state.friends());
    const hosting =
      options === undefined
        ? undefined
        : await Hosting.open({
            disk,
            home,
            identity: device.vaultId,
            name: session.name,
            random,
            nowNs: () => clock.nowNs(),
            ownerOf: (identityHex) => {
              const record = session.state.friend(fromHex(identityHex) ?? new Uint8Array(0));
              if (record === undefined || !book.allows(identityHex, storeServiceName)) return undefined;
              return {
                quotaBytes: record.quotaGivenBytes,
                isDevice: (deviceId) => certifies(book, identityHex, deviceId),
              };
            },
            freeFloorBytes: () => {
              const floor = session.settings.value('free.floor');
              return floor === 'auto' ? undefined : parseSize(floor);
            },
          });
    return new KithNode(session, options, { book, hosting });
  }

  get listening(): string | null {
    return this.#listening === undefined ? null : hostPortText(this.#listening);
  }

  get listen(): string | null {
    return this.listening;
  }

  async start(onPresence: (friendId: string, online: boolean) => void, signal: AbortSignal): Promise<void> {
    this.#onPresence = onPresence;
    signal.throwIfAborted();
    if (this.#options === undefined) {
      // A command waits for friends when it comes to need them, not before.
      return;
    }
    await this.#open(this.#options);
    this.#watchAddresses();
  }

  /** For a command that works by itself: opens the network at the first need, and waits until friends are there or were tried in vain. */
  settled(): Promise<void> {
    if (this.#options !== undefined) return Promise.resolve();
    this.#settled ??= this.#settle();
    return this.#settled;
  }

  async #settle(): Promise<void> {
    const friends = this.#book.wanted();
    if (friends.length === 0 || this.#closing !== undefined) return;
    await this.#open({ listen: undefined, bootstrap: [], publicDht: false, dht: true, direct: true });
    const identities = [...new Map(friends.map(({ identity }) => [toHex(identity), identity])).values()];
    await this.#peers.waitFor(identities, { timeoutMs: friendsMsMax, untilTried: true });
  }

  async #open({ listen, bootstrap, publicDht, dht, direct }: NetworkOptions): Promise<void> {
    const { openTransports } = await import('../net/transports.ts');
    const serves = this.#options !== undefined;
    const wanted = listen ?? (serves ? await this.#keptAddress() : undefined);
    const further = publicDht ? (await import('../net/public-entries.ts')).publicEntries() : [];
    this.#transports = await openTransports({
      ...this.#peers.wiring,
      ...(wanted !== undefined && { listen: wanted }),
      direct,
      dht,
      bootstrap: [...bootstrap, ...this.#friendsEntries(), ...further],
    });
    const { listening } = this.#transports;
    if (serves && listening !== undefined) {
      this.#listening = { host: listening.host, port: listening.port };
      if (listen === undefined) await this.#keepPort(listening.port);
      await this.#publish();
    }
    this.#peers.start(this.#transports.transports);
  }

  /** Where friends of ours are entries of the DHT, by their cards. */
  #friendsEntries(): HostPort[] {
    return this.#book
      .wanted()
      .flatMap(({ endpoints }) =>
        endpoints.filter(({ dht }) => dht).map(({ host, port }) => ({ host, port })),
      );
  }

  async #keptAddress(): Promise<HostPort> {
    const { disk } = this.#session.surroundings;
    const bytes = await disk.readWhole(join(this.#session.home, portFile), 64);
    const port = Number((bytes === undefined ? undefined : textOf(bytes))?.trim() ?? '0');
    const isPort = Number.isInteger(port) && port > 0 && port < 65536;
    return { host: '0.0.0.0', port: isPort ? port : 0 };
  }

  async #keepPort(port: number): Promise<void> {
    const { home, surroundings } = this.#session;
    await writeDurably(surroundings.disk, {
      tempFolder: join(home, 'tmp'),
      path: join(home, portFile),
      parts: [utf8(`${port}\n`)],
      mode: 0o600,
    });
  }

  /** Says in the card where we listen now. */
  async #publish(): Promise<void> {
    if (this.#listening === undefined || this.#options === undefined) return;
    const { direct, dht } = this.#options;
    const endpoints = listenEndpoints([{ ...this.#listening, direct, dht }], networkInterfaces());
    await this.#session.ownAddress.publish(this.#session.name, endpoints);
  }

  /** Another address of this computer: friends are told, and looked for anew. */
  #watchAddresses(): void {
    let before = JSON.stringify(networkInterfaces());
    this.#poll = setInterval(() => {
      const now = JSON.stringify(networkInterfaces());
      if (now === before) return;
      before = now;
      this.#publish()
        .catch((error: unknown) => {
          this.#session.problem({ item: 'address', message: messageOf(error), code: 'io-error' });
        })
        .finally(() => {
          this.#transports?.refresh();
          this.#peers.refresh();
        });
    }, addressPollMs);
    this.#poll.unref();
  }

  async exchangeWith(friendId: string, signal: AbortSignal): Promise<void> {
    const keeper = this.#session.holder(friendId);
    if (keeper?.kind !== 'friend' || !this.#presenceOf(friendId).online) return;
    await exchangeWith(this.#session, keeper, signal);
  }

  holderOf(friend: FriendRef): Holder {
    const identity = fromHex(friend.id);
    if (identity === undefined) throw new KithError('internal', `not an identity: ${friend.id}`);
    const mirror = this.#mirrors.get(friend.id) ?? new InventoryMirror();
    this.#mirrors.set(friend.id, mirror);
    return new FriendHolder({
      ...friend,
      vaultId: this.#session.device.vaultId,
      caller: this.#peers.caller(identity, storeServiceName),
      whyAway: () => {
        const { online, trouble } = this.#presenceOf(friend.id);
        return online ? 'it gives no room here (yet)' : (trouble ?? 'not online');
      },
      isFriendsDevice: (deviceId) => certifies(this.#book, friend.id, deviceId),
      random: this.#session.surroundings.random,
      mirror,
    });
  }

  presence(id: string): Presence {
    return this.#presenceOf(id);
  }

  #presenceOf(id: string): Presence {
    return this.#peers.presence(id);
  }

  async hosted(id: string): Promise<Hosted | undefined> {
    if (this.#hosting === undefined) return undefined;
    try {
      return { ...(await this.#hosting.useOf(id)), trashBytes: 0 };
    } catch (error) {
      // A store that isn't there keeps nobody from seeing the rest.
      if (isKithError(error, 'holder-unavailable', 'io-error')) return undefined;
      throw error;
    }
  }

  async ping(id: string, signal?: AbortSignal): Promise<readonly PingStep[]> {
    const identity = fromHex(id);
    if (identity === undefined) return [];
    await this.settled();
    return await this.#peers.ping(identity, signal);
  }

  refresh(): void {
    if (this.#closing !== undefined) return;
    this.#book.replace(this.#session.state.friends());
    this.#transports?.addEntries(this.#friendsEntries());
    this.#peers.refresh();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#poll);
    await this.#settled?.catch(() => undefined);
    await this.#peers.close();
    await this.#transports?.close();
  }

  /** Tells who came and who went since it was told last. */
  #changed(): void {
    const now = new Set(this.#peers.peers().map(({ identity }) => toHex(identity)));
    for (const id of [...this.#online].filter((each) => !now.has(each))) {
      this.#online.delete(id);
      this.#onPresence(id, false);
    }
    for (const id of now) {
      if (this.#online.has(id)) continue;
      this.#online.add(id);
      this.#onPresence(id, true);
    }
  }

  /** What friends may use here; a command that works by itself only calls. */
  #storeService(): Service {
    const hosting = this.#hosting;
    if (hosting === undefined) {
      return { name: storeServiceName, versions: storeVersions, accept: () => undefined };
    }
    const { deviceId, deviceSecretKey } = this.#session.device;
    return storeService({
      device: { publicKey: deviceId, secretKey: deviceSecretKey },
      storeOf: (identity) => hosting.storeOf(toHex(identity)),
      check: () => hosting.check(),
    });
  }
}

function cardOf(session: Session): Uint8Array {
  const { device, keyRecord, ownAddress } = session;
  return encodeCard(
    ownCard({
      identity: device.vaultId,
      certificate: device.certificate,
      keyRecord,
      address: ownAddress.record,
    }),
  );
}

/** True for a device that the friend's card has a certificate of: what it signed once stays signed. */
function certifies(book: FriendsBook, identityHex: string, deviceId: Uint8Array): boolean {
  const bytes = book.cardOf(identityHex);
  return (
    bytes !== undefined &&
    decodeCard(bytes).certificates.some((certificate) => equalBytes(certificate.deviceId, deviceId))
  );
}
