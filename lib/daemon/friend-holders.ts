import { equalBytes, fromHex, toHex } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { noRoomHere } from '../base/refusals.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Holder } from '../holders/holder.ts';
import type { ServiceCaller } from '../net/service.ts';
import { FriendDevices, type FriendDevice } from '../services/store/friend-devices.ts';
import { FriendHolder } from '../services/store/friend-holder.ts';
import { InventoryMirror } from '../services/store/inventory-mirror.ts';
import { storeServiceName } from '../services/store/store-codec.ts';
import type { FriendRef, Presence } from '../vault/friends/friend-network.ts';

export interface FriendHoldersOptions {
  /** Whose data friends keep: our identity. */
  readonly vaultId: Uint8Array;
  readonly random: RandomSource;
  /** Calls to a service of one device of an identity. */
  readonly caller: (identity: Uint8Array, service: string, deviceId: Uint8Array) => ServiceCaller;
  /** A friend's devices, asked at each use. */
  readonly devicesOf: (identityHex: string) => readonly Uint8Array[];
  readonly presence: (identityHex: string) => Presence;
}

/** Friends as what keeps shards: each is all of its devices that are there. */
export class FriendHolders {
  readonly #options: FriendHoldersOptions;
  /** What was learned of each device's inventory, by identity and device. */
  readonly #mirrors = new Map<string, InventoryMirror>();

  constructor(options: FriendHoldersOptions) {
    this.#options = options;
  }

  holderOf(friend: FriendRef): Holder {
    const { presence, devicesOf } = this.#options;
    const identity = identityOf(friend.id);
    const whyAway = (): string => {
      const { online, trouble } = presence(friend.id);
      return online ? noRoomHere : (trouble ?? 'not online');
    };
    const known = new Map<string, FriendDevice>();
    const deviceOf = (deviceId: Uint8Array): FriendDevice => {
      const key = toHex(deviceId);
      const device = known.get(key) ?? this.#device(friend, identity, deviceId, whyAway);
      known.set(key, device);
      return device;
    };
    return new FriendDevices({
      ...friend,
      whyAway,
      devices: () => devicesOf(friend.id).map(deviceOf),
    });
  }

  /** One computer of a friend. */
  #device(
    friend: FriendRef,
    identity: Uint8Array,
    deviceId: Uint8Array,
    whyAway: () => string,
  ): FriendDevice {
    const { vaultId, random, presence } = this.#options;
    const key = `${friend.id}/${toHex(deviceId)}`;
    const mirror = this.#mirrors.get(key) ?? new InventoryMirror();
    this.#mirrors.set(key, mirror);
    const caller = this.#options.caller(identity, storeServiceName, deviceId);
    return {
      deviceId: toHex(deviceId),
      get connected() {
        return caller.connected;
      },
      holder: new FriendHolder({
        ...friend,
        vaultId,
        caller,
        whyAway,
        isFriendsDevice: (signer) => equalBytes(signer, deviceId),
        whyPaused: () =>
          presence(friend.id).metered === true
            ? `${friend.name} is on a metered line: new data for it waits`
            : undefined,
        random,
        mirror,
      }),
    };
  }
}

/** Bytes of an identity given in hex by ourselves. */
export function identityOf(id: string): Uint8Array {
  const identity = fromHex(id);
  if (identity === undefined) throw new KithError('internal', `not an identity: ${id}`);
  return identity;
}
