import { fromHex, toHex } from '../../lib/base/bytes.ts';
import { decodeKeyRecord } from '../../lib/format/key-record.ts';
import type { Holder } from '../../lib/holders/holder.ts';
import { Network } from '../../lib/net/network.ts';
import { FriendHolder } from '../../lib/services/store/friend-holder.ts';
import { storeServiceName, storeVersions } from '../../lib/services/store/store-codec.ts';
import { noNetwork } from '../../lib/vault/friends/no-network.ts';
import type {
  FriendNetwork,
  FriendRef,
  Hosted,
  PingStep,
  Presence,
} from '../../lib/vault/friends/friend-network.ts';
import type { Session } from '../../lib/vault/session.ts';
import { FakeTimers } from './fake-timers.ts';
import type { FriendHome } from './friend-home.ts';
import type { MemoryWire } from './memory-link.ts';
import { fakeCard, FakeDirectory, until } from './net-peers.ts';

/** An owner's side of the network, for one opened session: friends of the book who are up are dialled when they are needed. */
export class FriendWires implements FriendNetwork {
  readonly listen = null;
  readonly #session: Session;
  readonly #friends: readonly FriendHome[];
  readonly #network: Network;
  readonly #directory: FakeDirectory;
  readonly #wires = new Map<string, MemoryWire>();
  /** Friends who told a lie: their sessions have ended, and time stands still here. */
  readonly #liars = new Set<string>();
  #cut = false;

  constructor(session: Session, friends: readonly FriendHome[]) {
    this.#session = session;
    this.#friends = friends;
    const { vaultId, deviceId, deviceSecretKey } = session.device;
    this.#directory = new FakeDirectory(fakeCard(vaultId, deviceId));
    this.#network = new Network({
      device: { publicKey: deviceId, secretKey: deviceSecretKey },
      directory: this.#directory,
      services: [{ name: storeServiceName, versions: storeVersions, accept: () => undefined }],
      timers: new FakeTimers(),
      random: session.surroundings.random,
      onBroken: ({ identity }) => void this.#liars.add(toHex(identity ?? vaultId)),
    });
  }

  /** Dials friends who are up and aren't connected, and waits until they are. */
  async settled(): Promise<void> {
    this.refresh();
    await until(() => this.#wanted().every((friend) => this.#caller(friend.id).connected), 'all sessions');
  }

  refresh(): void {
    if (this.#cut) return;
    for (const friend of this.#wanted()) {
      if (this.#wires.get(friend.id)?.over === false) continue;
      const { vaultId, deviceId, deviceSecretKey } = this.#session.device;
      const keys = { publicKey: deviceId, secretKey: deviceSecretKey };
      const devices = decodeKeyRecord(this.#session.keyRecord).certificates.map((one) => one.deviceId);
      if (this.#directory.admit(friend.keys.publicKey) === undefined)
        this.#directory.know(friend.person.identity, friend.keys.publicKey);
      const wire = friend.dialledBy(vaultId, keys, [deviceId, ...devices]);
      if (wire === undefined) continue;
      this.#wires.set(friend.id, wire);
      this.#network.accept(wire.initiator);
    }
  }

  holderOf(ref: FriendRef): Holder {
    const friend = this.#friends.find(({ id }) => id === ref.id);
    if (friend === undefined) return noNetwork.holderOf(ref);
    return new FriendHolder({
      ...ref,
      vaultId: this.#session.device.vaultId,
      caller: this.#caller(ref.id),
      whyAway: () => 'not online',
      isFriendsDevice: (deviceId) => toHex(deviceId) === toHex(friend.keys.publicKey),
      random: this.#session.surroundings.random,
    });
  }

  presence(id: string): Presence {
    return this.#network.presence(id);
  }

  hosted(): Promise<Hosted | undefined> {
    return Promise.resolve(undefined);
  }

  ping(): Promise<readonly PingStep[]> {
    return Promise.resolve([]);
  }

  /** The owner's process has died. */
  cut(): void {
    this.#cut = true;
    for (const wire of this.#wires.values()) wire.cut();
  }

  async close(): Promise<void> {
    await this.#network.close();
  }

  /** Friends of the book whose process runs. */
  #wanted(): FriendHome[] {
    const ids = new Set(this.#session.friends().map(({ id }) => id));
    return this.#friends.filter(({ isUp, id }) => isUp && ids.has(id) && !this.#liars.has(id));
  }

  #caller(id: string): ReturnType<Network['caller']> {
    return this.#network.caller(fromHex(id) ?? new Uint8Array(0), storeServiceName);
  }
}
