import { equalBytes, toHex } from '../base/bytes.ts';
import { TaskSet } from '../base/concurrency.ts';
import { isKithError, messageOf } from '../base/errors.ts';
import { isLoopbackHost } from '../base/host-port.ts';
import type { GivenRates } from '../base/rate.ts';
import { Hosting } from '../custody/hosting.ts';
import { LetterBox } from '../custody/letter-box.ts';
import { validHost } from '../format/address-body.ts';
import { encodeCard } from '../format/card.ts';
import { meetingPointsMax, type InviteHints } from '../format/invite.ts';
import type { SignedHead } from '../format/signed-head.ts';
import type { Holder } from '../holders/holder.ts';
import { callsCards } from '../services/cards/cards-service.ts';
import { doorstepKeys } from '../trust/device.ts';
import type { BookInvites } from '../trust/friends-book.ts';
import { exchangeWith } from '../vault/logs/exchange.ts';
import type {
  FriendNetwork,
  FriendRef,
  Hosted,
  PingStep,
  Presence,
  Standing,
} from '../vault/friends/friend-network.ts';
import { inviteCompleted, inviteRefused } from '../vault/invites/invite-accept.ts';
import { inviteAnswers, pendingMeetingPoints } from '../vault/invites/invite-answers.ts';
import { learnOwnCard, ownCardOf } from '../vault/friends/own-card.ts';
import type { RunningPlugins } from '../plugins/running-plugins.ts';
import type { OpenLinkDoor } from '../vault/devices/link-door.ts';
import type { Session } from '../vault/session.ts';
import { addressesNow, watchAddresses } from './address-watch.ts';
import { CardsNode } from './cards-node.ts';
import { hostPortText } from './host-port.ts';
import { friendLimits } from './friend-limits.ts';
import { chosenMeetingPoints, Finding } from './finding.ts';
import { keepPort, keptPort } from './kept-port.ts';
import { InviteLetters } from './invite-letters.ts';
import type { Letters } from './letters.ts';
import type { NetworkOptions, Note, PeerNode } from './home-port.ts';
import { looksAround } from './looks-around.ts';
import { NodeLimits } from './node-limits.ts';
import { relayLimits } from './relay-limits.ts';
import { startPlugins } from './start-plugins.ts';
import { OwnDevices } from './own-devices.ts';
import { callsStore, hostingService, openHosting } from './home-hosting.ts';
import { OwnCardPublisher } from './own-card-publisher.ts';
import { PeerLinks } from './peer-links.ts';
import type { OpenLinksOptions } from './peer-links-options.ts';

/** How long a command that works by itself waits for friends. */
const friendsMsMax = 10_000;

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
  readonly openLinkDoor: OpenLinkDoor = async (options) =>
    (await import('./link-door.ts')).openLinkDoor(options);
  readonly #session: Session;
  /** Undefined for a command that works by itself. */
  readonly #options: NetworkOptions | undefined;
  readonly #links: PeerLinks;
  readonly #plugins: RunningPlugins | undefined;
  readonly #limits: NodeLimits;
  onBulkFree: (() => void) | undefined;
  /** Records that the network has brought about. */
  readonly #writing = new TaskSet();
  readonly #cards: CardsNode;
  readonly #inviteLetters: InviteLetters;
  readonly #ownDevices: OwnDevices;
  #hosting: Hosting | undefined;
  #onPresence: (friendId: string, online: boolean) => void = () => undefined;
  #note: Note = () => undefined;
  readonly #card: OwnCardPublisher;
  #endWatch: () => void = () => undefined;
  #finding: Finding | undefined;
  #isStarted = false;
  #settled: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    session: Session,
    options: NetworkOptions | undefined,
    plugins: RunningPlugins | undefined,
    limits: GivenRates,
    note: Note,
  ) {
    this.id = session.id;
    this.#session = session;
    this.#options = options;
    this.#plugins = plugins;
    const { vaultId, deviceId, deviceSecretKey } = session.device;
    const { random, clock } = session.surroundings;
    this.#card = new OwnCardPublisher({
      session,
      network: options ?? dialOnly,
      listensIPv6: () => this.#links.listensIPv6,
      outside: () => this.#finding?.outside ?? [],
      onPublished: () => this.#cards.ownCardChanged(),
    });
    this.#cards = new CardsNode({
      session,
      links: () => this.#links,
      ownCard: () => encodeCard(ownCardOf(session)),
      box: options === undefined ? undefined : letterBoxOf(session),
      onOvertaken: () => this.#writing.add(this.#card.publishAgain()),
    });
    this.#inviteLetters = new InviteLetters({
      session,
      letters: this.#cards.letters,
      isOnline: (id) => this.#links.presence(id).online,
      learn: (identity, card) => this.#links.learn(identity, card),
      note,
      onWork: (work) => this.#writing.add(work),
    });
    this.#ownDevices = new OwnDevices(session, (service, id) => this.#links.ownDevice(service, id));
    this.#links = new PeerLinks({
      vaultId,
      device: { publicKey: deviceId, secretKey: deviceSecretKey },
      doorstep: doorstepKeys(session.device),
      friends: () => session.state.friends(),
      ownCard: () => encodeCard(ownCardOf(session)),
      onLearned: (identityHex, card) => {
        this.#cards.friendChanged(identityHex);
        const learning = session.learnFriendCard(identityHex, card).catch((error: unknown) => {
          session.problem({
            item: identityHex.slice(0, 16),
            message: `what a friend's computer says of itself could not be kept: ${messageOf(error)}`,
            code: isKithError(error) ? error.code : 'internal',
          });
        });
        this.#writing.add(learning.then(() => undefined));
      },
      invites: this.#invites(note),
      meetingPoints: () => pendingMeetingPoints(session),
      onInviteRefused: (friendId, error) => {
        this.#noted(inviteRefused(session, friendId, error));
      },
      onBroken: ({ identity, words, waitMs }) => {
        const again = `It is listened to again in ${Math.ceil(waitMs / 1000)} s.`;
        note(
          'warn',
          'peer-dropped',
          `${this.#wordsFor(identity)} sent what no kith sends: ${words}. ${again}`,
        );
      },
      // A command that works by itself only calls.
      services: [
        this.#keeps
          ? hostingService(
              session,
              () => this.#hosting,
              (identity, bytes) => this.#links.learnKeyRecord(identity, bytes),
            )
          : callsStore,
        this.#ownDevices.service(),
        options === undefined ? callsCards : this.#cards.service,
        ...(plugins?.services ?? []),
      ],
      ...(options !== undefined && {
        relaying: relayLimits(
          (key) => session.settings.value(key),
          () => this.#limits.numbers,
        ),
      }),
      nameOf: (identity) => session.state.friend(identity)?.name,
      random,
      clock,
      onPresence: (friendId, online) => {
        if (online) {
          this.#noted(inviteCompleted(session, friendId));
          this.#writing.add(this.#inviteLetters.send());
        }
        plugins?.presence(friendId, online);
        this.#finding?.presence(friendId, online);
        this.#onPresence(friendId, online);
      },
      onBulkFree: () => this.onBulkFree?.(),
      onLearnedOwn: (card) => this.#learnOwn(card),
      onOwnDevices: (peers) => this.#ownDevices.changed(peers),
    });
    session.onNews = () => {
      this.#ownDevices.tell();
      this.#cards.ownCardChanged();
    };
    this.#limits = new NodeLimits({
      setting: (key) => session.settings.value(key),
      friends: () => friendLimits(session.state.friends()),
      given: limits,
      setMetered: (isMetered) => this.#links.setMetered(isMetered),
      onBulkFree: () => this.onBulkFree?.(),
      set: (rates, of) => this.#links.setLimits(rates, of),
    });
    this.#limits.start();
  }

  /** For an opened session; nothing listens or dials before `start`. */
  static async make(
    session: Session,
    options: NetworkOptions | undefined,
    note: Note,
    limits: GivenRates = {},
  ): Promise<KithNode> {
    let node: KithNode | undefined;
    const plugins =
      options === undefined
        ? undefined
        : await startPlugins(session, note, () => (node === undefined ? undefined : node.#links));
    node = new KithNode(session, options, plugins, limits, note);
    node.#note = note;
    if (node.#keeps) node.#hosting = await openHosting(session, node.#links.book);
    session.onRevoked = (error) => note('error', 'device-revoked', error.message);
    session.onNewDevices = (ids) => {
      for (const id of ids)
        note('warn', 'device-added', `a new device (${id.slice(0, 8)}) was added to your identity`);
    };
    return node;
  }

  /** What friends may store here; a command that works by itself only calls, and so does a meeting point. */
  get #keeps(): boolean {
    return this.#options !== undefined && this.#options.role !== 'meeting-point';
  }

  #learnOwn(card: Uint8Array): void {
    const learning = learnOwnCard(this.#session, card).catch((error: unknown) => {
      this.#session.problem({
        item: 'the own card',
        message: `what another device of yours says could not be kept: ${messageOf(error)}`,
        code: isKithError(error) ? error.code : 'internal',
      });
    });
    this.#writing.add(learning);
  }

  farewell(deviceId: Uint8Array): Promise<void> {
    return this.#ownDevices.farewell(deviceId);
  }

  ownDevicesOnline(): readonly string[] {
    return this.#ownDevices.online;
  }

  get listening(): string | null {
    const { listening } = this.#card;
    return listening === undefined ? null : hostPortText(listening);
  }

  get addresses(): readonly string[] {
    return this.#card.listening === undefined ? [] : this.#session.ownAddress.endpoints.map(hostPortText);
  }

  standing(): Standing | undefined {
    return this.#finding?.standing(this.addresses);
  }

  /** Tells friends who are here what our card says now: after a change of certificates or revocations. */
  ownCardChanged(): void {
    this.#cards.ownCardChanged();
  }

  /** The longest that is known of each of a friend's logs, as its devices told it. */
  headsOf(identity: Uint8Array): readonly SignedHead[] {
    return this.#cards.headsOf(identity);
  }

  /** Letters to friends who are away, by way of others, and from them. */
  get letters(): Letters {
    return this.#cards.letters;
  }

  get listen(): string | null {
    return this.listening;
  }

  /** Where we are found is where whoever accepts must begin to look. */
  get inviteHints(): InviteHints {
    const { bootstrap = [], publicDht = false } = this.#options ?? {};
    const all = [...bootstrap, ...chosenMeetingPoints(this.#session)];
    const sound = all.filter(({ host, port }) => validHost(host) && port > 0);
    return { meetingPoints: sound.slice(0, meetingPointsMax), publicDht };
  }

  async start(onPresence: (friendId: string, online: boolean) => void, signal: AbortSignal): Promise<void> {
    this.#onPresence = onPresence;
    signal.throwIfAborted();
    // A command by itself waits for friends when it comes to need them, not before.
    if (this.#options === undefined) return;
    const { listen, bootstrap } = this.#options;
    const finding = await Finding.open(this.#session, this.#options);
    const listening = await this.#links.open({
      ...this.#options,
      bootstrap: [...bootstrap, ...chosenMeetingPoints(this.#session)],
      remembered: finding.remembered,
      announced: finding.announced,
      listen: listen ?? { host: '0.0.0.0', port: await keptPort(this.#session) },
      ...(listen === undefined && { alsoIPv6: '::' }),
      lan: looksAround(this.#session.settings.value('net.lan'), listen),
    });
    this.#finding = finding;
    if (listening !== undefined) {
      this.#card.listening = listening;
      if (listen === undefined) await keepPort(this.#session, listening.port);
      await this.#card.publish();
    }
    finding.begin(this.#links, {
      listening,
      note: this.#note,
      onMapping: () => this.#writing.add(this.#republish()),
    });
    this.#links.start();
    await this.#cards.start();
    this.#isStarted = true;
    this.settled().catch(() => undefined);
    this.#endWatch = watchAddresses((addresses) => this.#writing.add(this.#republish(addresses)));
  }

  settled(signal?: AbortSignal): Promise<void> {
    // A daemon that has just started hasn't found its friends yet: commands wait as they would by themselves, and after that never.
    if (this.#options !== undefined && !this.#isStarted) return Promise.resolve();
    this.#settled ??= this.#options === undefined ? this.#settle(signal) : this.#links.settle(friendsMsMax);
    return this.#settled;
  }

  /** A home without friends opens no socket. */
  async #settle(signal: AbortSignal | undefined): Promise<void> {
    if (!this.#links.hasFriends || this.#closing !== undefined) return;
    await this.#links.open({
      ...dialOnly,
      bootstrap: chosenMeetingPoints(this.#session),
      lanFrom: lanFrom(this.#session),
    });
    this.#links.start();
    await this.#cards.start();
    await this.#links.settle(friendsMsMax, signal);
  }

  /** Where we can be met has changed while friends know us; `addresses` are those that this computer has now. Never rejects. */
  async #republish(addresses: ReadonlySet<string> = addressesNow()): Promise<void> {
    await this.#card.tryPublish();
    this.#links.rediscover(addresses);
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

  async ping(id: string, signal?: AbortSignal, sessionOnly?: boolean): Promise<readonly PingStep[]> {
    await this.settled(signal);
    return await this.#links.ping(id, signal, sessionOnly);
  }

  async waitUntil(done: () => boolean, msMax: number, signal?: AbortSignal): Promise<void> {
    await this.#links.waitUntil(done, msMax, signal);
  }

  refresh(changed?: ReadonlySet<string>): void {
    this.#links.refresh(changed);
    this.#limits.apply();
    this.#cards.refresh();
    this.#writing.add(this.#inviteLetters.send());
  }

  settingsChanged(): void {
    this.#limits.apply();
  }

  holdLimits(given: GivenRates): () => void {
    return this.#limits.hold(given);
  }

  uploadRate(): number | undefined {
    const { upload } = this.#limits.rates;
    return upload === 'auto' || upload === Number.POSITIVE_INFINITY ? undefined : upload;
  }

  #wordsFor(identity: Uint8Array | undefined): string {
    if (identity === undefined) return 'Somebody new, with an invite or a phrase,';
    if (equalBytes(identity, this.#session.device.vaultId)) return 'Another device of yours';
    return this.#session.state.friend(identity)?.name ?? toHex(identity).slice(0, 16);
  }

  /** What the friends book asks; what is being written for it is waited for at the end. */
  #invites(note: Note): BookInvites {
    const session = this.#session;
    const answers = inviteAnswers(session, (identity) => {
      const name = session.state.friend(identity)?.name ?? toHex(identity).slice(0, 16);
      note('info', 'invite-used', `${name} has accepted an invite`);
    });
    return {
      ...answers,
      welcome: async (...who) => {
        const answering = answers.welcome(...who);
        this.#writing.add(answering.then(() => undefined));
        return await answering;
      },
    };
  }

  /** What became of a friend's invite is being written down; at the next session it is tried again. */
  #noted(writing: Promise<void>): void {
    this.#writing.add(writing);
    writing.catch((error: unknown) => {
      const code = isKithError(error) ? error.code : 'internal';
      this.#session.problem({ item: "a friend's invite", message: messageOf(error), code });
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#endWatch();
    this.#limits.close();
    this.#cards.close();
    // A network that is just being opened must be open before it can be closed; a daemon's waiters are let go by closing.
    if (this.#options === undefined) await this.#settled?.catch(() => undefined);
    await this.#finding?.close();
    this.#session.onNews = () => undefined;
    await this.#ownDevices.close();
    await this.#links.close();
    // What came in by the last session may still be being written: the home is let go after it.
    await this.#ownDevices.idle();
    await this.#writing.allEnded();
    await this.#cards.ended();
    await this.#plugins?.close();
  }
}

function letterBoxOf({ home, surroundings: { disk, clock } }: Session): LetterBox {
  return new LetterBox({ disk, home, nowNs: () => clock.nowNs() });
}

/** From where a command that works by itself looks around: as the daemon would that listened here last. Undefined where it doesn't. */
function lanFrom({ settings, ownAddress: { endpoints } }: Session): string | undefined {
  const isAlone = endpoints.length > 0 && endpoints.every(({ host }) => isLoopbackHost(host));
  const host = isAlone ? '127.0.0.1' : '::';
  return looksAround(settings.value('net.lan'), { host, port: 0 }) ? host : undefined;
}
