import { toHex } from '../../lib/base/bytes.ts';
import { Hosting } from '../../lib/custody/hosting.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import type { Network } from '../../lib/net/network.ts';
import type { Service } from '../../lib/net/service.ts';
import { FriendHolder } from '../../lib/services/store/friend-holder.ts';
import { InventoryMirror } from '../../lib/services/store/inventory-mirror.ts';
import { storeServiceName } from '../../lib/services/store/store-codec.ts';
import { storeService } from '../../lib/services/store/store-service.ts';
import type { MemoryWire } from './memory-link.ts';
import { befriend, closeAll, connect, testPeer, until, type TestPeer } from './net-peers.ts';
import { Seeded } from './seeded.ts';
import type { SampleVault } from './sample-pack.ts';

export interface FriendPairOptions {
  readonly disk: Disk;
  readonly home: string;
  readonly vault: SampleVault;
  readonly quotaBytes?: number;
  readonly freeFloorBytes?: number;
  /** Stands between the store and the network. */
  readonly service?: (real: Service) => Service;
}

/** An owner and a friend who keeps its data, in one process over a link in memory: all real but the wire. */
export class FriendPair {
  readonly owner: TestPeer;
  readonly friend: TestPeer;
  readonly hosting: Hosting;
  readonly holder: FriendHolder;
  readonly mirror: InventoryMirror = new InventoryMirror();
  /** What the friend grants; may be changed while it runs. */
  readonly grant: { quotaBytes: number; granted: boolean };
  wire: MemoryWire | undefined;
  readonly #vault: SampleVault;
  readonly #seeded = new Seeded(99);

  private constructor(options: FriendPairOptions, hosting: Hosting, grant: FriendPair['grant']) {
    const { vault } = options;
    this.#vault = vault;
    this.hosting = hosting;
    this.grant = grant;
    const friendKeys = testPeer(2).keys;
    const real = storeService({
      device: friendKeys,
      storeOf: (identity) => hosting.storeOf(toHex(identity)),
      check: () => hosting.check(),
    });
    this.friend = testPeer(2, { services: [options.service?.(real) ?? real] });
    this.owner = testPeer(1, { identity: vault.vaultId, services: [callsOnly(real)] });
    befriend(this.owner, this.friend);
    this.holder = this.newHolder();
  }

  /** With an open session. */
  static async open(options: FriendPairOptions): Promise<FriendPair> {
    const { disk, home, vault } = options;
    const grant = { quotaBytes: options.quotaBytes ?? Number.MAX_SAFE_INTEGER, granted: true };
    const hosting = await Hosting.open({
      disk,
      home,
      identity: testPeer(2).identity,
      name: 'friend',
      random: (count) => new Seeded(5).bytes(count),
      nowNs: () => 1_767_225_600_000_000_000n,
      ownerOf: (identityHex) =>
        grant.granted && identityHex === toHex(vault.vaultId)
          ? { quotaBytes: grant.quotaBytes, isDevice: (deviceId) => vault.isDevice(deviceId, vault.vaultId) }
          : undefined,
      freeFloorBytes: () => options.freeFloorBytes ?? 0,
    });
    const pair = new FriendPair(options, hosting, grant);
    await pair.connect();
    return pair;
  }

  async connect(): Promise<void> {
    this.wire = connect(this.owner, this.friend);
    await until(() => this.#caller().connected, 'the session');
  }

  /** The same friend seen afresh: nothing remembered of it. */
  newHolder(mirror: InventoryMirror = new InventoryMirror()): FriendHolder {
    const { identity, keys } = this.friend;
    return new FriendHolder({
      id: toHex(identity),
      name: 'friend',
      household: undefined,
      vaultId: this.#vault.vaultId,
      caller: this.#caller(),
      whyAway: () => 'not connected',
      isFriendsDevice: (deviceId) => toHex(deviceId) === toHex(keys.publicKey),
      random: (count) => this.#seeded.bytes(count),
      mirror,
    });
  }

  #caller(): ReturnType<Network['caller']> {
    return this.owner.network.caller(this.friend.identity, storeServiceName);
  }

  async close(): Promise<void> {
    await closeAll(this.owner, this.friend);
  }
}

/** Speaks a service and grants it to nobody. */
function callsOnly({ name, versions }: Service): Service {
  return { name, versions, accept: () => undefined };
}
