import { isIPv6 } from 'node:net';
import { equalBytes, toHex } from '../base/bytes.ts';
import { encodeCard } from '../format/card.ts';
import type { Holder } from '../holders/holder.ts';
import { cardEntries } from '../net/dht/card-entries.ts';
import { EndpointHints } from '../net/dialling/endpoint-hints.ts';
import type { LanDiscovery } from '../net/lan/lan-discovery.ts';
import type { Transport } from '../net/links/link.ts';
import { Network } from '../net/network.ts';
import type { WantedPeer } from '../net/directory.ts';
import type { CameIn } from '../net/router/reachability.ts';
import { relayServiceName } from '../net/relay/relay-codec.ts';
import { RelayService } from '../net/relay/relay-service.ts';
import type { PeerInfo, ServiceCaller } from '../net/service.ts';
import type { RateLimits } from '../net/rates/shaper.ts';
import { systemTimers } from '../net/timers.ts';
import { Waiters } from '../net/waiters.ts';
import type { Transports } from '../net/transports.ts';
import { announcedHost } from '../trust/announced.ts';
import { cardOfDevice, cardOfKeyRecord } from '../trust/card.ts';
import { FriendsBook } from '../trust/friends-book.ts';
import type { FriendRef, PingStep, Presence } from '../vault/friends/friend-network.ts';
import { FriendHolders, identityOf } from './friend-holders.ts';
import { FriendPresence } from './friend-presence.ts';
import type { HostPort } from './home-port.ts';
import type { OpenLinksOptions, PeerLinksOptions } from './peer-links-options.ts';

/** How long friends in the local network have to say where they are, and to be dialled: they send a packet a second at most. */
const lanAnswerMs = 1_500;

/** Friends' book, sessions and friends as holders, put together: what a daemon, a command by itself and a recovery share. */
export class PeerLinks {
  readonly book: FriendsBook;
  readonly #options: PeerLinksOptions;
  readonly #network: Network;
  readonly #relay: RelayService;
  #isMetered = false;
  readonly #holders: FriendHolders;
  readonly #presence: FriendPresence;
  readonly #waiters = new Waiters(systemTimers);
  readonly #hints: EndpointHints;
  #remembered: readonly HostPort[] = [];
  #publicDht = false;
  #lan: LanDiscovery | undefined;
  #startLan: () => Promise<void> = () => Promise.resolve();
  #lanStarted: Promise<void> | undefined;
  #transports: Transports | undefined;
  #relayTransport: Transport | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    const { vaultId, device, doorstep, knocks = false, friends, ownCard, random, clock } = options;
    const { onLearned, onLearnedOwn } = options;
    this.book = new FriendsBook({
      identity: vaultId,
      deviceId: device.publicKey,
      ownCard,
      onLearned,
      onLearnedOwn,
      clock,
      ...(options.invites !== undefined && { invites: options.invites }),
    });
    this.book.replace(friends());
    this.#presence = new FriendPresence({
      clock,
      onPresence: options.onPresence,
      onBulkFree: options.onBulkFree,
      onWent: () => this.#lan?.look(),
    });
    this.#holders = new FriendHolders({
      vaultId,
      random,
      caller: (...what) => this.#network.caller(...what),
      devicesOf: (id) => this.book.devicesOf(id),
      presence: (id) => this.presence(id),
    });
    this.#hints = new EndpointHints(() => clock.monotonicMs());
    const { relaying } = options;
    this.#relay = new RelayService({
      timers: systemTimers,
      // On a line that costs by the byte nothing is passed on for others.
      grants: (identity) => relaying !== undefined && !this.#isMetered && this.#mayBeRelayed(identity),
      limits: relaying ?? { bytesPerDay: () => 0, bytesPerSecond: () => 0 },
    });
    this.#network = new Network({
      device,
      doorstep,
      knocks,
      directory: this.book,
      services: [...options.services, this.#relay],
      random,
      hints: this.#hints,
      onChange: () => this.#changed(),
      onInviteRefused: ({ identity }, error) => options.onInviteRefused?.(toHex(identity), error),
      ...(options.onBroken !== undefined && { onBroken: options.onBroken }),
    });
  }

  /** Listens where asked to. Nobody is dialled before `start`: the own card is to say first where we listen. KithError `address-taken`. */
  async open(options: OpenLinksOptions): Promise<HostPort | undefined> {
    const { listen, bootstrap, publicDht, direct, dht, lan = false, alsoIPv6, remembered = [] } = options;
    this.#remembered = remembered;
    this.#publicDht = publicDht;
    const announceHost = announcedHost(options.announced ?? [], listen?.port ?? 0);
    const { openTransports } = await import('../net/transports.ts');
    const further = publicDht ? (await import('../net/dht/public-entries.ts')).publicEntries() : [];
    this.#transports = await openTransports({
      ...this.#network.wiring,
      ...(listen !== undefined && { listen }),
      ...(alsoIPv6 !== undefined && { alsoIPv6 }),
      ...(announceHost !== undefined && { announceHost }),
      direct,
      dht,
      bootstrap: [...bootstrap, ...further],
      entries: this.#entries(),
      publicDht,
    });
    const { RelayTransport } = await import('../net/relay/relay-transport.ts');
    const { nameOf } = this.#options;
    this.#relayTransport = new RelayTransport({
      ...this.#network.wiring,
      service: this.#relay,
      ...(nameOf !== undefined && { nameOf }),
    });
    const { listening } = this.#transports;
    const { listensIPv6 } = this.#transports;
    const place =
      listening === undefined
        ? { host: options.lanFrom ?? '', port: 0 }
        : { port: listening.port, host: listensIPv6 ? (alsoIPv6 ?? listening.host) : listening.host };
    const isAsked = listening === undefined ? options.lanFrom !== undefined : lan;
    if (isAsked) this.#startLan = () => this.#openLan(place, dht);
    return listening;
  }

  /** Our own devices need no grant: whose line it is, and whose bytes, is the same person. */
  #mayBeRelayed(identity: Uint8Array): boolean {
    if (equalBytes(identity, this.#options.vaultId)) return this.#options.onLearnedOwn !== undefined;
    return this.book.allows(toHex(identity), relayServiceName);
  }

  #entries(): HostPort[] {
    // The public DHT and that of friends are kept apart: else friends would learn of public nodes from us, and these of friends.
    if (this.#publicDht) return [];
    const meetingPoints = this.#options.meetingPoints?.() ?? [];
    // What was remembered is for a start: those that live are known by now.
    const hasJoined = (this.#transports?.neighbours().length ?? 0) > 0;
    return [...cardEntries(this.book.wanted()), ...meetingPoints, ...(hasJoined ? [] : this.#remembered)];
  }

  async #openLan(listening: HostPort, dht: boolean): Promise<void> {
    const { openLan } = await import('./lan-links.ts');
    const { device, random, clock } = this.#options;
    const lan = await openLan({
      device,
      listening,
      random,
      clock,
      doorsteps: () => this.book.doorstepKeys(),
      card: () => cardOfDevice(this.#options.ownCard(), device.publicKey),
      peers: () => this.book.wanted().map(({ deviceId }) => deviceId),
      connected: (deviceId) => this.#network.isConnected(deviceId),
      onFound: (deviceId, host, port) => {
        // The DHT speaks IPv4 only.
        const endpoint = { host, port, direct: true, dht: dht && !isIPv6(host), lan: true };
        if (this.#hints.put(deviceId, endpoint)) this.#network.showed(deviceId);
      },
    });
    this.#lan = lan;
    if (this.#closing !== undefined) await lan.close();
  }

  /** What of how friends reach us, and we them, can be known without asking anybody. */
  get observed(): {
    readonly cameInFrom: readonly CameIn[];
    readonly seenAs: string | null;
    readonly neighbours: readonly HostPort[];
  } {
    const { seenAs = null } = this.#transports ?? {};
    const neighbours = this.#transports?.neighbours() ?? [];
    const cameInFrom = this.#network.cameInFrom.map(({ address, identity }) => ({
      address,
      isOwn: equalBytes(identity, this.#options.vaultId),
    }));
    return { cameInFrom, seenAs, neighbours };
  }

  /** Whether TCP is also taken on `alsoIPv6`. */
  get listensIPv6(): boolean {
    return this.#transports?.listensIPv6 ?? false;
  }

  /** Begins to dial. */
  start(): void {
    this.#presence.start();
    const relay = this.#relayTransport === undefined ? [] : [this.#relayTransport];
    this.#network.start([...(this.#transports?.transports ?? []), ...relay]);
    // Friends who hear of us there dial at once, and are to be shown a card that says where we listen now.
    this.#lanStarted = this.#startLan();
  }

  /**
   * Waits until all friends are there or were tried in vain once, and no longer than so many ms. Where they are looked for in the local
   * network, they have the time to answer there.
   */
  async settle(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const identities = [
      ...new Map(this.#friendsWanted().map(({ identity }) => [toHex(identity), identity])).values(),
    ];
    const wait = { ...(signal !== undefined && { signal }) };
    await this.#lanStarted;
    const nearMs = this.#lan === undefined ? 0 : Math.min(lanAnswerMs, timeoutMs);
    if (nearMs > 0) await this.#network.waitFor(identities, { ...wait, timeoutMs: nearMs });
    await this.#network.waitFor(identities, { ...wait, timeoutMs: timeoutMs - nearMs, untilTried: true });
  }

  #friendsWanted(): readonly WantedPeer[] {
    return this.book.wanted().filter(({ identity }) => !equalBytes(identity, this.#options.vaultId));
  }

  /** True if there is somebody to wait for: our own other devices are met, or not. */
  get hasFriends(): boolean {
    return this.#friendsWanted().length > 0;
  }

  /** Calls to a service of one of our own devices. */
  ownDevice(service: string, deviceId: Uint8Array): ServiceCaller {
    return this.#network.caller(this.#options.vaultId, service, deviceId);
  }

  /** Takes the friends as they are now: whom to dial, whom to refuse, what each may use. As FriendNetwork.refresh. */
  refresh(changed?: ReadonlySet<string>): void {
    if (this.#closing !== undefined) return;
    const { revision } = this.book;
    this.book.replace(this.#options.friends());
    if (this.book.revision !== revision) this.#transports?.setEntries(this.#entries());
    this.#network.refresh(changed);
    this.#lan?.look();
  }

  /** Tells friends whether our line is metered. */
  setMetered(isMetered: boolean): void {
    this.#isMetered = isMetered;
    this.#network.setMetered(isMetered);
    this.#network.regrant();
  }

  /** As Network.setLimits. */
  setLimits(limits: RateLimits, of?: (identityHex: string) => Partial<RateLimits>): void {
    this.#network.setLimits(limits, of);
  }

  /**
   * A friend's key record says which devices it has and which it trusts no more, signed by its identity as in its card: so a revocation
   * counts here as soon as any of its devices was here once, and the revoked device's session ends at once.
   */
  learnKeyRecord(identity: Uint8Array, keyRecord: Uint8Array): void {
    const card = cardOfKeyRecord(keyRecord);
    if (card === undefined) return;
    const [device] = card.certificates;
    if (device === undefined) return;
    const learned = this.book.learn(identity, device.deviceId, encodeCard(card));
    learned.then(
      () => this.#network.refresh(),
      () => undefined,
    );
  }

  /** After a change of address; `addresses` are those that this computer has now. */
  rediscover(addresses: ReadonlySet<string>): void {
    this.#network.refresh();
    this.#network.disturbed((address) => addresses.has(address));
    this.#lan?.look();
  }

  holderOf(friend: FriendRef): Holder {
    return this.#holders.holderOf(friend);
  }

  /** Calls to one service of a friend, or of that device of it. */
  caller(id: string, service: string, deviceId?: Uint8Array): ServiceCaller {
    return this.#network.caller(identityOf(id), service, deviceId);
  }

  /** The devices of friends with which there is a session now, as Network.peers has them. */
  peers(): PeerInfo[] {
    return this.#network.peers().filter(({ identity }) => !equalBytes(identity, this.#options.vaultId));
  }

  /** Friends that sessions are wanted with, and whether each was dialled in vain since it was last there. */
  sought(): ReadonlyMap<string, boolean> {
    const sought = this.#network.sought();
    // Devices of our own are looked for as well, and no friends.
    sought.delete(toHex(this.#options.vaultId));
    return sought;
  }

  /** Calls `check` whenever somebody comes, goes or was tried; what it gives ends that. */
  watch(check: () => void): () => void {
    return this.#waiters.watch(check);
  }

  /**
   * Takes what somebody says of a friend: with new addresses it is dialled at once. KithError `not-authentic`, `malformed`, `too-new` and
   * `limit-exceeded` as for the card of a hello; nothing is taken of a card that isn't a friend's. True if something was new.
   */
  async learn(identity: Uint8Array, card: Uint8Array): Promise<boolean> {
    return await this.#learn(() => this.book.learn(identity, identity, card));
  }

  /** The same of what a friend's device shows of itself in a session. */
  async learnShown({ identity, deviceId }: PeerInfo, card: Uint8Array): Promise<boolean> {
    return await this.#learn(() => this.book.learn(identity, deviceId, card));
  }

  async #learn(learn: () => Promise<boolean>): Promise<boolean> {
    const { revision } = this.book;
    await learn();
    if (this.book.revision === revision || this.#closing !== undefined) return false;
    this.#transports?.setEntries(this.#entries());
    this.#network.refresh();
    return true;
  }

  /** Has those who wait look again: something that they go by has changed. */
  recheck(): void {
    this.#waiters.check();
  }

  /** Ends the sessions of a friend who told a lie. */
  drop(id: string, words: string): void {
    this.#network.drop(identityOf(id), words);
  }

  /** With `awayMs` once `start` has begun to look for friends. */
  presence(id: string): Presence {
    const presence = this.#network.presence(id);
    const awayMs = presence.online ? 0 : this.#presence.awayMs(id);
    return awayMs === undefined ? presence : { ...presence, awayMs };
  }

  /** True if somebody answered for the friend at the last try, and didn't know us. */
  refusedBy(id: string): boolean {
    return this.#network.refusedBy(identityOf(id));
  }

  /** True if the friend was dialled in vain at least once since it was last there. */
  wasTried(id: string): boolean {
    return this.#network.wasTried(identityOf(id));
  }

  /** Resolves when `done` holds, which is asked whenever somebody comes, goes or was tried, or when the time is up. Throws the signal's reason. */
  async waitUntil(done: () => boolean, msMax: number, signal?: AbortSignal): Promise<void> {
    await this.#waiters.until(done, msMax, signal);
  }

  async ping(id: string, signal?: AbortSignal, sessionOnly?: boolean): Promise<readonly PingStep[]> {
    return await this.#network.ping(identityOf(id), signal, sessionOnly);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#lanStarted;
    await this.#lan?.close();
    await this.#network.close();
    await this.#transports?.close();
    this.#waiters.close();
  }

  #changed(): void {
    const { onOwnDevices, vaultId } = this.#options;
    const peers = this.#network.peers();
    const own = peers.filter(({ identity }) => equalBytes(identity, vaultId));
    onOwnDevices?.(own);
    const friends = peers.filter((peer) => !own.includes(peer)).map(({ identity }) => toHex(identity));
    this.#presence.update(new Set(friends), this.#network.metered());
    this.#waiters.check();
  }
}
