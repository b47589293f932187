import { isIPv6 } from 'node:net';
import { equalBytes, fromHex, toHex } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { KithError } from '../base/errors.ts';
import { noRoomHere } from '../base/refusals.ts';
import type { RandomSource } from '../crypto/random.ts';
import { encodeCard } from '../format/card.ts';
import type { Holder } from '../holders/holder.ts';
import { cardEntries } from '../net/dht/card-entries.ts';
import { EndpointHints } from '../net/dialling/endpoint-hints.ts';
import type { LanDiscovery } from '../net/lan/lan-discovery.ts';
import type { KeyPair, Transport } from '../net/links/link.ts';
import { Network, type BrokenRule } from '../net/network.ts';
import type { WantedPeer } from '../net/directory.ts';
import type { CameIn } from '../net/router/reachability.ts';
import { relayServiceName } from '../net/relay/relay-codec.ts';
import type { RelayLimits } from '../net/relay/relay-hub.ts';
import { RelayService } from '../net/relay/relay-service.ts';
import type { PeerInfo, Service, ServiceCaller } from '../net/service.ts';
import type { RateLimits } from '../net/rates/shaper.ts';
import { systemTimers } from '../net/timers.ts';
import type { Transports } from '../net/transports.ts';
import { FriendDevices, type FriendDevice } from '../services/store/friend-devices.ts';
import { FriendHolder } from '../services/store/friend-holder.ts';
import { InventoryMirror } from '../services/store/inventory-mirror.ts';
import { storeServiceName, storeVersions } from '../services/store/store-codec.ts';
import { announcedHost } from '../trust/announced.ts';
import { cardOfDevice, cardOfKeyRecord } from '../trust/card.ts';
import { FriendsBook, type BookInvites, type BookRecord } from '../trust/friends-book.ts';
import type { FriendRef, PingStep, Presence } from '../vault/friends/friend-network.ts';
import type { HostPort } from './home-port.ts';

export interface PeerLinksOptions {
  /** Whose data friends keep: our identity. */
  readonly vaultId: Uint8Array;
  readonly device: KeyPair;
  /** With which a device that friends don't know yet knocks. */
  readonly doorstep: KeyPair | undefined;
  /** True for a device that no friend can know yet. */
  readonly knocks?: boolean;
  /** Asked at each refresh. */
  readonly friends: () => readonly BookRecord[];
  readonly ownCard: () => Uint8Array;
  /** A friend's card has grown. Must not throw. */
  readonly onLearned: (identityHex: string, card: Uint8Array) => void;
  readonly invites?: BookInvites;
  /** Where the DHT is entered beside friends' cards: by the invites that are pending. Asked at each refresh. */
  readonly meetingPoints?: () => readonly HostPort[];
  /** A friend has refused the invite of theirs that is pending here. Must not throw. */
  readonly onInviteRefused?: (friendId: string, error: KithError) => void;
  /** Somebody sent what no honest kith sends, and was let go. Must not throw. */
  readonly onBroken?: (broken: BrokenRule) => void;
  /** What we grant; a side that only calls grants nothing, and names what it speaks. */
  readonly services: readonly Service[];
  /** What relaying for friends may cost; left out by a side that relays for nobody. */
  readonly relaying?: RelayLimits;
  /** Our name for a friend. */
  readonly nameOf?: (identity: Uint8Array) => string | undefined;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly onPresence: (friendId: string, online: boolean) => void;
  /** A friend whose line was metered says that it no longer is. */
  readonly onBulkFree?: () => void;
  /** Our own card has grown by what another device of ours showed. Must not throw. Without it our other devices are nobody. */
  readonly onLearnedOwn?: (card: Uint8Array) => void;
  /** Which other devices of ours (hex) are connected now; told whenever anything changes. */
  readonly onOwnDevices?: (deviceIds: readonly string[]) => void;
}

export interface OpenLinksOptions {
  /** Undefined: only dials. */
  readonly listen: HostPort | undefined;
  readonly bootstrap: readonly HostPort[];
  readonly publicDht: boolean;
  readonly direct: boolean;
  readonly dht: boolean;
  /** Nodes of the DHT that were known another time: entries after those of cards. */
  readonly remembered?: readonly HostPort[];
  /** Where a router passes our port on to us, as the user says. */
  readonly announced?: readonly HostPort[];
  /** An IPv6 address on which TCP is taken as well, `::` for all. */
  readonly alsoIPv6?: string;
  /** Whether friends in the local network are looked for. */
  readonly lan?: boolean;
  /** Where nothing is listened on: from which of our addresses friends in the local network are asked where they are, as in `lanPlaces`. */
  readonly lanFrom?: string | undefined;
}

/** How long friends in the local network have to say where they are, and to be dialled: they send a packet a second at most. */
const lanAnswerMs = 1_500;

/** Friends' book, sessions and friends as holders, put together: what a daemon, a command by itself and a recovery share. */
export class PeerLinks {
  readonly book: FriendsBook;
  readonly #options: PeerLinksOptions;
  readonly #network: Network;
  readonly #relay: RelayService;
  #isMetered = false;
  readonly #mirrors = new Map<string, InventoryMirror>();
  readonly #online = new Set<string>();
  /** Those online who say that their line is metered. */
  readonly #metered = new Set<string>();
  readonly #watchers = new Set<() => void>();
  /** When each friend that was here was lost, by the monotonic clock. */
  readonly #goneMs = new Map<string, number>();
  #startedMs: number | undefined;
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
    this.#startedMs = this.#options.clock.monotonicMs();
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

  /** Takes the friends as they are now: whom to dial, whom to refuse, what each may use. */
  refresh(): void {
    if (this.#closing !== undefined) return;
    const { revision } = this.book;
    this.book.replace(this.#options.friends());
    if (this.book.revision !== revision) this.#transports?.setEntries(this.#entries());
    this.#network.refresh();
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
    const identity = identityOf(friend.id);
    const whyAway = (): string => {
      const { online, trouble } = this.presence(friend.id);
      return online ? noRoomHere : (trouble ?? 'not online');
    };
    const known = new Map<string, FriendDevice>();
    const deviceOf = (deviceId: Uint8Array): FriendDevice => {
      const key = toHex(deviceId);
      const device = known.get(key) ?? this.#friendDevice(friend, identity, deviceId, whyAway);
      known.set(key, device);
      return device;
    };
    return new FriendDevices({
      ...friend,
      whyAway,
      devices: () =>
        this.book
          .wanted()
          .filter((peer) => equalBytes(peer.identity, identity))
          .map(({ deviceId }) => deviceOf(deviceId)),
    });
  }

  /** One computer of a friend, with what was learned of its inventory. */
  #friendDevice(
    friend: FriendRef,
    identity: Uint8Array,
    deviceId: Uint8Array,
    whyAway: () => string,
  ): FriendDevice {
    const key = `${friend.id}/${toHex(deviceId)}`;
    const mirror = this.#mirrors.get(key) ?? new InventoryMirror();
    this.#mirrors.set(key, mirror);
    const caller = this.#network.caller(identity, storeServiceName, deviceId);
    return {
      deviceId: toHex(deviceId),
      get connected() {
        return caller.connected;
      },
      holder: new FriendHolder({
        ...friend,
        vaultId: this.#options.vaultId,
        caller,
        whyAway,
        isFriendsDevice: (signer) => equalBytes(signer, deviceId),
        whyPaused: () =>
          this.presence(friend.id).metered === true
            ? `${friend.name} is on a metered line: new data for it waits`
            : undefined,
        random: this.#options.random,
        mirror,
      }),
    };
  }

  /** Calls to one service of a friend, or of that device of it. */
  caller(id: string, service: string, deviceId?: Uint8Array): ServiceCaller {
    return this.#network.caller(identityOf(id), service, deviceId);
  }

  /** The devices of friends with which there is a session now. */
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
    this.#watchers.add(check);
    return () => void this.#watchers.delete(check);
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
    for (const check of this.#watchers) check();
  }

  /** Ends the sessions of a friend who told a lie. */
  drop(id: string, words: string): void {
    this.#network.drop(identityOf(id), words);
  }

  /** With `awayMs` once `start` has begun to look for friends. */
  presence(id: string): Presence {
    const presence = this.#network.presence(id);
    const sinceMs = this.#goneMs.get(id) ?? this.#startedMs;
    if (sinceMs === undefined) return presence;
    const awayMs = presence.online ? 0 : this.#options.clock.monotonicMs() - sinceMs;
    return { ...presence, awayMs };
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
    signal?.throwIfAborted();
    if (done() || this.#closing !== undefined) return;
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(check);
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const check = (): void => {
        if (done() || this.#closing !== undefined) end(resolve);
      };
      const onAbort = (): void => end(() => reject(signal?.reason as Error));
      const timer = setTimeout(() => end(resolve), msMax);
      this.#watchers.add(check);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
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
    for (const check of this.#watchers) check();
  }

  /** Tells who came and who went since it was told last. */
  #changed(): void {
    const { onPresence, onOwnDevices, vaultId } = this.#options;
    const peers = this.#network.peers();
    const own = peers.filter(({ identity }) => equalBytes(identity, vaultId));
    onOwnDevices?.(own.map(({ deviceId }) => toHex(deviceId)));
    const now = new Set(peers.filter((peer) => !own.includes(peer)).map(({ identity }) => toHex(identity)));
    for (const id of [...this.#online].filter((each) => !now.has(each))) {
      this.#online.delete(id);
      this.#goneMs.set(id, this.#options.clock.monotonicMs());
      this.#lan?.look();
      onPresence(id, false);
    }
    for (const id of now) {
      if (this.#online.has(id)) continue;
      this.#online.add(id);
      this.#goneMs.delete(id);
      onPresence(id, true);
    }
    this.#noteMetered(now);
    for (const check of this.#watchers) check();
  }

  #noteMetered(online: ReadonlySet<string>): void {
    let isFree = false;
    const metered = this.#network.metered();
    for (const id of online) {
      if (metered.has(id)) this.#metered.add(id);
      else isFree = this.#metered.delete(id) || isFree;
    }
    for (const id of this.#metered) if (!online.has(id)) this.#metered.delete(id);
    if (isFree) this.#options.onBulkFree?.();
  }
}

function identityOf(id: string): Uint8Array {
  const identity = fromHex(id);
  if (identity === undefined) throw new KithError('internal', `not an identity: ${id}`);
  return identity;
}

/** A side that calls `kith/store` and keeps nothing for anybody. */
export const callsStore: Service = {
  name: storeServiceName,
  versions: storeVersions,
  accept: () => undefined,
};

/** True for a device that the friend has certified once: what it signed stays signed. */
export function certifies(book: FriendsBook, identityHex: string, deviceId: Uint8Array): boolean {
  return book.isDeviceOf(identityHex, deviceId);
}
