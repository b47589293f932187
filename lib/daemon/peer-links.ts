import { fromHex, toHex } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { KithError } from '../base/errors.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Holder } from '../holders/holder.ts';
import { cardEntries } from '../net/card-entries.ts';
import type { KeyPair, Transport } from '../net/link.ts';
import { Network } from '../net/network.ts';
import { relayServiceName } from '../net/relay-codec.ts';
import type { RelayLimits } from '../net/relay-hub.ts';
import { RelayService } from '../net/relay-service.ts';
import type { Service, ServiceCaller } from '../net/service.ts';
import { systemTimers } from '../net/timers.ts';
import type { Transports } from '../net/transports.ts';
import { FriendHolder } from '../services/store/friend-holder.ts';
import { InventoryMirror } from '../services/store/inventory-mirror.ts';
import { storeServiceName, storeVersions } from '../services/store/store-codec.ts';
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
  /** What relaying for friends may cost; left out by a side that relays for nobody. */
  readonly relaying?: RelayLimits;
  /** Our name for a friend. */
  readonly nameOf?: (identity: Uint8Array) => string | undefined;
  readonly random: RandomSource;
  readonly clock: Clock;
  readonly onPresence: (friendId: string, online: boolean) => void;
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
  readonly #relay: RelayService;
  readonly #mirrors = new Map<string, InventoryMirror>();
  readonly #online = new Set<string>();
  readonly #watchers = new Set<() => void>();
  /** When each friend that was here was lost, by the monotonic clock. */
  readonly #goneMs = new Map<string, number>();
  #startedMs: number | undefined;
  #transports: Transports | undefined;
  #relayTransport: Transport | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
    const { vaultId, device, doorstep, knocks = false, friends, ownCard, onLearned, random, clock } = options;
    this.book = new FriendsBook({
      identity: vaultId,
      deviceId: device.publicKey,
      ownCard,
      onLearned,
      clock,
    });
    this.book.replace(friends());
    const { relaying } = options;
    this.#relay = new RelayService({
      timers: systemTimers,
      grants: (identity) => relaying !== undefined && this.book.allows(toHex(identity), relayServiceName),
      limits: relaying ?? { bytesPerDay: () => 0, bytesPerSecond: () => 0 },
    });
    this.#network = new Network({
      device,
      doorstep,
      knocks,
      directory: this.book,
      services: [...options.services, this.#relay],
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
    const { RelayTransport } = await import('../net/relay-transport.ts');
    const { nameOf } = this.#options;
    this.#relayTransport = new RelayTransport({
      ...this.#network.wiring,
      service: this.#relay,
      ...(nameOf !== undefined && { nameOf }),
    });
    return this.#transports.listening;
  }

  /** Begins to dial. */
  start(): void {
    this.#startedMs = this.#options.clock.monotonicMs();
    const relay = this.#relayTransport === undefined ? [] : [this.#relayTransport];
    this.#network.start([...(this.#transports?.transports ?? []), ...relay]);
  }

  /** Waits until all friends are there or were tried in vain once, and no longer than so many ms. */
  async settle(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const identities = new Map(this.book.wanted().map(({ identity }) => [toHex(identity), identity]));
    await this.#network.waitFor([...identities.values()], {
      timeoutMs,
      untilTried: true,
      ...(signal !== undefined && { signal }),
    });
  }

  /** Takes the friends as they are now: whom to dial, whom to refuse, what each may use. */
  refresh(): void {
    if (this.#closing !== undefined) return;
    this.book.replace(this.#options.friends());
    this.#transports?.setEntries(cardEntries(this.book.wanted()));
    this.#network.refresh();
  }

  /** After an outage or a change of address. */
  rediscover(): void {
    this.#transports?.refresh();
    this.#network.refresh();
  }

  holderOf(friend: FriendRef): Holder {
    const mirror = this.#mirrors.get(friend.id) ?? new InventoryMirror();
    this.#mirrors.set(friend.id, mirror);
    return new FriendHolder({
      ...friend,
      vaultId: this.#options.vaultId,
      caller: this.caller(friend.id, storeServiceName),
      whyAway: () => {
        const { online, trouble } = this.presence(friend.id);
        return online ? 'it gives no room here (yet)' : (trouble ?? 'not online');
      },
      isFriendsDevice: (deviceId) => certifies(this.book, friend.id, deviceId),
      random: this.#options.random,
      mirror,
    });
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
    const { onPresence } = this.#options;
    const now = new Set(this.#network.peers().map(({ identity }) => toHex(identity)));
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
