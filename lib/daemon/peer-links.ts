import { equalBytes, fromHex, toHex } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { KithError } from '../base/errors.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Holder } from '../holders/holder.ts';
import { cardEntries } from '../net/card-entries.ts';
import type { KeyPair } from '../net/link.ts';
import { Network } from '../net/network.ts';
import type { WantedPeer } from '../net/directory.ts';
import type { Service, ServiceCaller } from '../net/service.ts';
import type { Transports } from '../net/transports.ts';
import { FriendDevices, type FriendDevice } from '../services/store/friend-devices.ts';
import { FriendHolder } from '../services/store/friend-holder.ts';
import { InventoryMirror } from '../services/store/inventory-mirror.ts';
import { storeServiceName, storeVersions } from '../services/store/store-codec.ts';
import { encodeCard } from '../format/card.ts';
import { cardOfKeyRecord } from '../trust/card.ts';
import { FriendsBook, type BookRecord } from '../trust/friends-book.ts';
import type { FriendRef, PingStep, Presence } from '../vault/friend-network.ts';
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
  /** What we grant; a side that only calls grants nothing, and names what it speaks. */
  readonly services: readonly Service[];
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly onPresence: (friendId: string, online: boolean) => void;
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
}

/** Friends' book, sessions and friends as holders, put together: what a daemon, a command by itself and a recovery share. */
export class PeerLinks {
  readonly book: FriendsBook;
  readonly #options: PeerLinksOptions;
  readonly #network: Network;
  readonly #mirrors = new Map<string, InventoryMirror>();
  readonly #online = new Set<string>();
  readonly #watchers = new Set<() => void>();
  /** When each friend that was here was lost, by the monotonic clock. */
  readonly #goneMs = new Map<string, number>();
  #startedMs: number | undefined;
  #transports: Transports | undefined;
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
    });
    this.book.replace(friends());
    this.#network = new Network({
      device,
      doorstep,
      knocks,
      directory: this.book,
      services: options.services,
      random,
      onChange: () => this.#changed(),
    });
  }

  /** Listens where asked to. Nobody is dialled before `start`: the own card is to say first where we listen. KithError `address-taken`. */
  async open({ listen, bootstrap, publicDht, direct, dht }: OpenLinksOptions): Promise<HostPort | undefined> {
    const { openTransports } = await import('../net/transports.ts');
    const further = publicDht ? (await import('../net/public-entries.ts')).publicEntries() : [];
    this.#transports = await openTransports({
      ...this.#network.wiring,
      ...(listen !== undefined && { listen }),
      direct,
      dht,
      bootstrap: [...bootstrap, ...further],
      entries: cardEntries(this.book.wanted()),
      publicDht,
    });
    return this.#transports.listening;
  }

  /** Begins to dial. */
  start(): void {
    this.#startedMs = this.#options.clock.monotonicMs();
    this.#network.start(this.#transports?.transports ?? []);
  }

  /** Waits until all friends are there or were tried in vain once, and no longer than so many ms. */
  async settle(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const identities = new Map(this.#friendsWanted().map(({ identity }) => [toHex(identity), identity]));
    await this.#network.waitFor([...identities.values()], {
      timeoutMs,
      untilTried: true,
      ...(signal !== undefined && { signal }),
    });
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
    this.book.replace(this.#options.friends());
    this.#transports?.setEntries(cardEntries(this.book.wanted()));
    this.#network.refresh();
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

  /** After an outage or a change of address. */
  rediscover(): void {
    this.#transports?.refresh();
    this.#network.refresh();
  }

  holderOf(friend: FriendRef): Holder {
    const identity = identityOf(friend.id);
    const whyAway = (): string => {
      const { online, trouble } = this.presence(friend.id);
      return online ? 'it gives no room here (yet)' : (trouble ?? 'not online');
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
        random: this.#options.random,
        mirror,
      }),
    };
  }

  /** Calls to one service of a friend. */
  caller(id: string, service: string): ServiceCaller {
    return this.#network.caller(identityOf(id), service);
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

  async ping(id: string, signal?: AbortSignal): Promise<readonly PingStep[]> {
    return await this.#network.ping(identityOf(id), signal);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
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
      onPresence(id, false);
    }
    for (const id of now) {
      if (this.#online.has(id)) continue;
      this.#online.add(id);
      this.#goneMs.delete(id);
      onPresence(id, true);
    }
    for (const check of this.#watchers) check();
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
