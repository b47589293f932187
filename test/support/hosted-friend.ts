import { toHex } from '../../lib/base/bytes.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { Hosting } from '../../lib/custody/hosting.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import type { Service } from '../../lib/net/service.ts';
import { FriendHolder } from '../../lib/services/store/friend-holder.ts';
import { InventoryMirror } from '../../lib/services/store/inventory-mirror.ts';
import { storeService } from '../../lib/services/store/store-service.ts';
import { CallPair } from './call-pair.ts';
import type { SampleVault } from './sample-pack.ts';
import { Seeded } from './seeded.ts';

/** The friend: its identity, and the device that signs inventories. */
export const friendIdentity: Uint8Array = signKeyPair(new Seeded(700).bytes(32)).publicKey;
export const friendDevice: ReturnType<typeof signKeyPair> = signKeyPair(new Seeded(701).bytes(32));

/** Room that a friend gives; changed while it runs. */
export interface Given {
  quotaBytes: number | undefined;
  vault: SampleVault;
}

export interface SampleHostingOptions {
  readonly given: readonly Given[];
  readonly freeFloorBytes?: number;
}

/** A friend's store in `/home` (or elsewhere) for some owners. */
export async function sampleHosting(
  disk: Disk,
  options: SampleHostingOptions,
  home = '/home',
): Promise<Hosting> {
  const { given, freeFloorBytes = 0 } = options;
  return await Hosting.open({
    disk,
    home,
    identity: friendIdentity,
    name: 'friend',
    random: (count) => new Seeded(5).bytes(count),
    nowNs: () => 1_767_225_600_000_000_000n,
    ownerOf: (identityHex) => {
      const found = given.find(({ vault }) => toHex(vault.vaultId) === identityHex);
      if (found === undefined) return undefined;
      const { quotaBytes, vault } = found;
      return { quotaBytes, isDevice: (deviceId) => vault.isDevice(deviceId, vault.vaultId) };
    },
    freeFloorBytes: () => freeFloorBytes,
  });
}

export function serviceOf(hosting: Hosting): Service {
  return storeService({
    device: friendDevice,
    storeOf: (identity) => hosting.storeOf(toHex(identity)),
    check: () => hosting.check(),
  });
}

/** A session of an owner's device with a friend's store. */
export function pairWith(hosting: Hosting, vault: SampleVault): CallPair {
  return new CallPair(serviceOf(hosting), {
    identity: vault.vaultId,
    deviceId: vault.device.publicKey,
    via: 'direct',
    remoteAddress: 'in memory',
  });
}

let holders = 0;

/** The friend as the owner sees it over a session; each with nonces of its own. */
export function friendOver(
  caller: CallPair,
  vault: SampleVault,
  mirror: InventoryMirror = new InventoryMirror(),
): FriendHolder {
  const seeded = new Seeded(9000 + holders++);
  return new FriendHolder({
    id: toHex(friendIdentity),
    name: 'ben',
    household: undefined,
    vaultId: vault.vaultId,
    caller,
    whyAway: () => 'not connected',
    isFriendsDevice: (deviceId) => toHex(deviceId) === toHex(friendDevice.publicKey),
    random: (count) => seeded.bytes(count),
    mirror,
  });
}
