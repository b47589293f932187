import { toHex } from '../base/bytes.ts';
import type { GivenRates } from '../base/rate.ts';
import { systemClock } from '../base/clock.ts';
import { systemRandom } from '../crypto/random.ts';
import type { BoxKeyPair } from '../crypto/sign.ts';
import { encodeAddressBody, encodeCard, type Card } from '../format/card.ts';
import { decodeCertificate } from '../format/certificate.ts';
import { signAddressRecord, type FriendRecord } from '../format/friend-records.ts';
import type { Holder } from '../holders/holder.ts';
import type { RateLimits } from '../net/rates/shaper.ts';
import { systemTimers } from '../net/timers.ts';
import { callsCards } from '../services/cards/cards-service.ts';
import { contactPairs, storedContactKeys } from '../trust/contact.ts';
import type { BookRecord } from '../trust/friends-book.ts';
import type {
  FriendRef,
  PingStep,
  Presence,
  RecoveringDevice,
  RecoveryConnection,
  RecoveryNetwork,
} from '../vault/friends/friend-network.ts';
import { AskAround } from './ask-around.ts';
import { callsStore } from './home-hosting.ts';
import { PeerLinks } from './peer-links.ts';
import { dialOnly } from './peer-node.ts';

/** The network of a recovery over the real transports, at these rates: it dials, and nobody can dial it. */
export function recoveryNetworkAt({ upload = 'auto', download = 'auto' }: GivenRates): RecoveryNetwork {
  return {
    near: async (doorstep, signal) => {
      const { friendsNear } = await import('../net/lan/lan-recovery.ts');
      return await friendsNear(doorstep, { signal });
    },
    connect: async ({ device, doorstep, cards }) => {
      const own = cardOfDevice(device);
      const node = new RecoveryNode(device, doorstep, own, cards, { upload, download });
      await node.open();
      return node;
    },
  };
}

/** The same without rates of anybody's choice. */
export const recoveryNetwork: RecoveryNetwork = recoveryNetworkAt({});

/** A card with nothing but the device's certificate and its own signature under it: it can't be dialled. */
function cardOfDevice(device: RecoveringDevice): Uint8Array {
  const { vaultId, deviceId, deviceSecretKey, certificate } = device;
  const address = signAddressRecord(
    vaultId,
    {
      deviceId,
      counter: Number(systemClock.nowNs() / 1_000_000n),
      sealed: encodeAddressBody({ name: '', endpoints: [], extensions: [] }),
    },
    deviceSecretKey,
  );
  return encodeCard({
    identity: vaultId,
    certificates: [decodeCertificate(certificate)],
    revocations: [],
    addresses: [address],
    extensions: [],
  });
}

class RecoveryNode implements RecoveryConnection {
  readonly listen = null;
  readonly #around: AskAround;
  /** By id: what opens the addresses that others tell of a friend. */
  readonly #pairs = new Map<string, readonly BoxKeyPair[]>();
  readonly #links: PeerLinks;
  /** Friends by id: those of the cards given, then those of the catalog. */
  readonly #friends: Map<string, BookRecord>;

  constructor(
    device: RecoveringDevice,
    doorstep: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array },
    own: Uint8Array,
    cards: readonly Card[],
    limits: RateLimits,
  ) {
    this.#friends = new Map(
      cards.map((card) => [
        toHex(card.identity),
        { identity: card.identity, state: 1, grants: [], card: encodeCard(card) },
      ]),
    );
    this.#links = new PeerLinks({
      vaultId: device.vaultId,
      device: { publicKey: device.deviceId, secretKey: device.deviceSecretKey },
      doorstep,
      knocks: true,
      friends: () => [...this.#friends.values()],
      ownCard: () => own,
      // What is learned stays with the links; the daemon hears it again when it dials.
      onLearned: () => undefined,
      services: [callsStore, callsCards],
      random: systemRandom,
      clock: systemClock,
      onPresence: () => undefined,
    });
    this.#links.setLimits(limits);
    this.#around = new AskAround({
      links: this.#links,
      identity: device.vaultId,
      pairsOf: (id) => this.#pairs.get(id) ?? [],
      onOwn: () => Promise.resolve(),
      random: systemRandom,
      timers: systemTimers,
      // Who else can be found is worth a try, and no more.
      onTrouble: () => undefined,
      onAnswered: () => this.#links.recheck(),
    });
  }

  async open(): Promise<void> {
    await this.#links.open(dialOnly);
    this.#links.start();
    this.#around.start();
  }

  know(friends: readonly FriendRecord[]): void {
    for (const record of friends) {
      // A card that was given for the recovery may be newer than the catalog's: the book merges both.
      const known = this.#friends.get(toHex(record.identity));
      const id = toHex(record.identity);
      if (record.state === 1 && known === undefined) this.#friends.set(id, record);
      this.#pairs.set(id, contactPairs(storedContactKeys(record.extensions)));
    }
    this.#links.refresh();
  }

  refused(id: string): boolean {
    return this.#links.refusedBy(id);
  }

  waitForAny(ids: readonly string[], msMax: number, signal?: AbortSignal): Promise<void> {
    const done = (): boolean =>
      ids.some((id) => this.presence(id).online) || ids.every((id) => this.refused(id));
    return this.#links.waitUntil(done, msMax, signal);
  }

  waitForAll(ids: readonly string[], msMax: number, signal?: AbortSignal): Promise<void> {
    const done = (): boolean =>
      ids.every(
        (id) =>
          this.presence(id).online ||
          this.refused(id) ||
          // Another friend may know where it is now.
          (this.#links.wasTried(id) && !this.#around.isHopeful(id)),
      );
    return this.#links.waitUntil(done, msMax, signal);
  }

  holderOf(friend: FriendRef): Holder {
    return this.#links.holderOf(friend);
  }

  presence(id: string): Presence {
    return this.#links.presence(id);
  }

  /** A device without a home keeps nothing for anybody. */
  hosted(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async ping(id: string, signal?: AbortSignal, sessionOnly?: boolean): Promise<readonly PingStep[]> {
    return await this.#links.ping(id, signal, sessionOnly);
  }

  refresh(): void {
    this.#links.refresh();
  }

  close(): Promise<void> {
    this.#around.close();
    return this.#links.close();
  }
}
