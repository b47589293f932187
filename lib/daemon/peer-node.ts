import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { fromHex, textOf, toHex, utf8 } from '../base/bytes.ts';
import { isKithError, messageOf } from '../base/errors.ts';
import { parseSize } from '../base/units.ts';
import { Hosting } from '../custody/hosting.ts';
import { writeDurably } from '../disk/write-durably.ts';
import { encodeCard } from '../format/card.ts';
import type { Holder } from '../holders/holder.ts';
import type { Service } from '../net/service.ts';
import { storeServiceName } from '../services/store/store-codec.ts';
import { storeService } from '../services/store/store-service.ts';
import { ownCard } from '../trust/card.ts';
import { doorstepKeys } from '../trust/device.ts';
import { listenEndpoints } from '../trust/listen-endpoints.ts';
import { exchangeWith } from '../vault/exchange.ts';
import type { FriendNetwork, FriendRef, Hosted, PingStep, Presence } from '../vault/friend-network.ts';
import type { RunningPlugins } from '../plugins/running-plugins.ts';
import type { Session } from '../vault/session.ts';
import { hostPortText } from './host-port.ts';
import type { HostPort, NetworkOptions, Note, PeerNode } from './home-port.ts';
import { relayLimits } from './relay-limits.ts';
import { startPlugins } from './start-plugins.ts';
import { callsStore, certifies, PeerLinks, type OpenLinksOptions } from './peer-links.ts';

/** How long a command that works by itself waits for friends. */
const friendsMsMax = 10_000;

/** How often the daemon looks whether this computer has other addresses than before. */
const addressPollMs = 15_000;

/** The file with the port that was once chosen. */
const portFile = 'listen-port';

/** What a command that works by itself opens: it dials, and nobody can dial it. */
export const dialOnly: OpenLinksOptions = {
  listen: undefined,
  bootstrap: [],
  publicDht: false,
  dht: true,
  direct: true,
};

/**
 * This computer among its friends, over an opened session: where it listens, what it keeps for whom, and friends as holders. The
 * daemon has one; that of a command that works by itself only dials, and only when friends are needed.
 */
export class KithNode implements PeerNode, FriendNetwork {
  readonly id: string;
  readonly network: FriendNetwork = this;
  readonly #session: Session;
  /** Undefined for a command that works by itself. */
  readonly #options: NetworkOptions | undefined;
  readonly #links: PeerLinks;
  readonly #plugins: RunningPlugins | undefined;
  #hosting: Hosting | undefined;
  #onPresence: (friendId: string, online: boolean) => void = () => undefined;
  #listening: HostPort | undefined;
  #poll: NodeJS.Timeout | undefined;
  #isStarted = false;
  #settled: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    session: Session,
    options: NetworkOptions | undefined,
    plugins: RunningPlugins | undefined,
  ) {
    this.id = session.id;
    this.#session = session;
    this.#options = options;
    this.#plugins = plugins;
    const { vaultId, deviceId, deviceSecretKey } = session.device;
    const { random, clock } = session.surroundings;
    this.#links = new PeerLinks({
      vaultId,
      device: { publicKey: deviceId, secretKey: deviceSecretKey },
      doorstep: doorstepKeys(session.device),
      friends: () => session.state.friends(),
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
      services: [this.#storeService(), ...(plugins?.services ?? [])],
      ...(options !== undefined && { relaying: relayLimits((key) => session.settings.value(key)) }),
      nameOf: (identity) => session.state.friend(identity)?.name,
      random,
      clock,
      onPresence: (friendId, online) => {
        plugins?.presence(friendId, online);
        this.#onPresence(friendId, online);
      },
    });
  }

  /** For an opened session; nothing listens or dials before `start`. */
  static async make(session: Session, options: NetworkOptions | undefined, note: Note): Promise<KithNode> {
    let node: KithNode | undefined;
    const plugins =
      options === undefined
        ? undefined
        : await startPlugins(session, note, () => (node === undefined ? undefined : node.#links));
    node = new KithNode(session, options, plugins);
    if (options !== undefined) node.#hosting = await node.#openHosting();
    return node;
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
    // A command by itself waits for friends when it comes to need them, not before.
    if (this.#options === undefined) return;
    const { listen } = this.#options;
    const listening = await this.#links.open({
      ...this.#options,
      listen: listen ?? (await this.#keptAddress()),
    });
    if (listening !== undefined) {
      this.#listening = listening;
      if (listen === undefined) await this.#keepPort(listening.port);
      await this.#publish();
    }
    this.#links.start();
    this.#isStarted = true;
    this.settled().catch(() => undefined);
    this.#watchAddresses();
  }

  settled(signal?: AbortSignal): Promise<void> {
    // A daemon that has just started hasn't found its friends yet: commands wait as they would by themselves, and after that never.
    if (this.#options !== undefined && !this.#isStarted) return Promise.resolve();
    this.#settled ??= this.#options === undefined ? this.#settle(signal) : this.#links.settle(friendsMsMax);
    return this.#settled;
  }

  /** A home without friends opens no socket. */
  async #settle(signal: AbortSignal | undefined): Promise<void> {
    if (this.#links.book.wanted().length === 0 || this.#closing !== undefined) return;
    await this.#links.open(dialOnly);
    this.#links.start();
    await this.#links.settle(friendsMsMax, signal);
  }

  /** The port that was chosen when `up` first ran without `--listen`; 0 before. */
  async #keptAddress(): Promise<HostPort> {
    const { home, surroundings } = this.#session;
    const bytes = await surroundings.disk.readWhole(join(home, portFile), 64);
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

  /** Another address of this computer: the card says so, and friends are looked for anew. */
  #watchAddresses(): void {
    let before = JSON.stringify(networkInterfaces());
    this.#poll = setInterval(() => {
      const now = JSON.stringify(networkInterfaces());
      if (now === before) return;
      before = now;
      this.#publish()
        .catch((error: unknown) => {
          const code = isKithError(error) ? error.code : 'internal';
          this.#session.problem({ item: 'the own card', message: messageOf(error), code });
        })
        .finally(() => this.#links.rediscover());
    }, addressPollMs);
    this.#poll.unref();
  }

  async exchangeWith(friendId: string, signal: AbortSignal): Promise<void> {
    const keeper = this.#session.holder(friendId);
    if (keeper?.kind !== 'friend' || !this.presence(friendId).online) return;
    await exchangeWith(this.#session, keeper, signal);
  }

  holderOf(friend: FriendRef): Holder {
    return this.#links.holderOf(friend);
  }

  presence(id: string): Presence {
    const { awayMs, ...presence } = this.#links.presence(id);
    // A command by itself looks for a moment only.
    return this.#options === undefined || awayMs === undefined ? presence : { ...presence, awayMs };
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
    await this.settled(signal);
    return await this.#links.ping(id, signal);
  }

  refresh(): void {
    this.#links.refresh();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#poll);
    // A network that is just being opened must be open before it can be closed; a daemon's waiters are let go by closing.
    if (this.#options === undefined) await this.#settled?.catch(() => undefined);
    await this.#links.close();
    await this.#plugins?.close();
  }

  async #openHosting(): Promise<Hosting> {
    const session = this.#session;
    const { disk, random, clock } = session.surroundings;
    const { book } = this.#links;
    return await Hosting.open({
      disk,
      home: session.home,
      identity: session.device.vaultId,
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
  }

  /** What friends may use here; a command that works by itself only calls. */
  #storeService(): Service {
    if (this.#options === undefined) return callsStore;
    const { deviceId, deviceSecretKey } = this.#session.device;
    return storeService({
      device: { publicKey: deviceId, secretKey: deviceSecretKey },
      storeOf: (identity) => this.#hosting?.storeOf(toHex(identity)),
      check: async () =>
        (await this.#hosting?.check()) ?? { available: false, foreign: false, reason: 'not open yet' },
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
