import { idKey, toHex } from '../../lib/base/bytes.ts';
import { Hosting } from '../../lib/custody/hosting.ts';
import { encodeCardText } from '../../lib/format/card-text.ts';
import { encodeCard } from '../../lib/format/card.ts';
import { Network } from '../../lib/net/network.ts';
import type { IncomingCall, OutgoingReply, Service } from '../../lib/net/service.ts';
import type { KeyPair } from '../../lib/net/links/link.ts';
import { storeService } from '../../lib/services/store/store-service.ts';
import type { CrashWorld } from './crash-machine.ts';
import { FakeTimers } from './fake-timers.ts';
import { FaultDisk, type CrashMode } from './fault-disk.ts';
import { fakeCard, FakeDirectory, wireBetween } from './net-peers.ts';
import type { MemoryWire } from './memory-link.ts';
import { SamplePerson } from './sample-card.ts';

/** Where a friend's home is on its disk. */
export const friendHome = '/friend';

/** Answers a call in the store's place, or has the store answer it. */
export type Tamper = (call: IncomingCall, answer: () => Promise<OutgoingReply>) => Promise<OutgoingReply>;

/** A friend's process while it runs. */
interface Running {
  readonly hosting: Hosting;
  readonly network: Network;
  readonly directory: FakeDirectory;
  readonly wires: MemoryWire[];
}

/**
 * A friend who keeps data on a fault disk of its own: the real store, behind the real service and the real network; only the wires are in
 * memory. Its process begins and ends, or dies with its disk, apart from the owner's.
 */
export class FriendHome {
  readonly name: string;
  readonly person: SamplePerson;
  readonly world: CrashWorld;
  readonly disk: FaultDisk;
  /** Owners whose data it keeps, with their certified devices: what its friends book would say. */
  readonly owners: Map<string, Set<string>>;
  quotaBytes: number | undefined;
  /** Stands between the store and whoever calls. */
  tamper: Tamper = (_, answer) => answer();
  #running: Running | undefined;

  constructor(
    world: CrashWorld,
    name: string,
    disk: FaultDisk = new FaultDisk(),
    owners: ReadonlyMap<string, ReadonlySet<string>> = new Map(),
  ) {
    this.world = world;
    this.name = name;
    this.person = new SamplePerson(name);
    this.disk = disk;
    this.owners = new Map([...owners].map(([id, devices]) => [id, new Set(devices)]));
    disk.onCrash = () => this.die();
  }

  get id(): string {
    return toHex(this.person.identity);
  }

  /** The card's line. */
  get card(): string {
    return encodeCardText(encodeCard(this.person.card()));
  }

  get keys(): KeyPair {
    return this.person.device(1);
  }

  get isUp(): boolean {
    return this.#running !== undefined;
  }

  /** The store, while it runs. */
  get hosting(): Hosting {
    if (this.#running === undefined) throw new Error(`${this.name} is down`);
    return this.#running.hosting;
  }

  /** The same friend on its disk as it is after a crash: another process. Without arguments a copy with all durable. */
  restarted(mode: CrashMode = 'keep-all', seed = 1): FriendHome {
    const next = new FriendHome(this.world, this.name, this.disk.afterCrash(mode, seed), this.owners);
    next.quotaBytes = this.quotaBytes;
    return next;
  }

  /** Starts its process. */
  async up(): Promise<void> {
    if (this.#running !== undefined) return;
    const { disk, world, owners, keys } = this;
    if ((await disk.stat(friendHome)) === undefined) await disk.makeFolder(friendHome);
    const hosting = await Hosting.open({
      disk,
      home: friendHome,
      identity: this.person.identity,
      name: this.name,
      random: world.random,
      nowNs: () => world.clock.nowNs(),
      ownerOf: (identityHex) => {
        const devices = owners.get(identityHex);
        if (devices === undefined) return undefined;
        return { quotaBytes: this.quotaBytes, isDevice: (deviceId) => devices.has(idKey(deviceId)) };
      },
      freeFloorBytes: () => 0,
    });
    const real = storeService({
      device: keys,
      storeOf: (identity) => hosting.storeOf(toHex(identity)),
      check: () => hosting.check(),
    });
    const directory = new FakeDirectory(fakeCard(this.person.identity, keys.publicKey));
    const network = new Network({
      device: keys,
      directory,
      services: [this.#tampered(real)],
      timers: new FakeTimers(),
      random: world.random,
    });
    this.#running = { hosting, network, directory, wires: [] };
  }

  /** Ends its process in good order. */
  async down(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.network.close();
  }

  /** Kills its process: whoever spoke to it finds the wire cut. */
  die(): void {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    for (const wire of running.wires) wire.cut();
    void running.network.close();
  }

  /** A device of an owner dials, with the certificates of these devices of its own on its card. Undefined if nobody answers. */
  dialledBy(identity: Uint8Array, keys: KeyPair, devices: readonly Uint8Array[]): MemoryWire | undefined {
    const running = this.#running;
    if (running === undefined) return undefined;
    const known = this.owners.get(toHex(identity)) ?? new Set();
    for (const deviceId of devices) known.add(idKey(deviceId));
    this.owners.set(toHex(identity), known);
    if (running.directory.admit(keys.publicKey) === undefined)
      running.directory.know(identity, keys.publicKey);
    const wire = wireBetween(keys, this.keys);
    running.wires.push(wire);
    running.network.accept(wire.responder);
    return wire;
  }

  #tampered(real: Service): Service {
    return {
      name: real.name,
      versions: real.versions,
      accept: (peer, version) => {
        const handler = real.accept(peer, version);
        if (handler === undefined) return undefined;
        return {
          handle: (call) => this.tamper(call, () => handler.handle(call)),
          closed: () => handler.closed(),
        };
      },
    };
  }
}
