import { join } from 'node:path';
import { fromHex, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Disk } from '../disk/disk.ts';
import { isTempName, writeDurably } from '../disk/write-durably.ts';
import { decodeDriveMarker, driveMarkerBytesMax, encodeDriveMarker } from '../format/drive-marker.ts';
import type { Availability, Room } from '../holders/holder.ts';
import { DiskAccount } from './room-book.ts';
import { StoreFolder, type StoreLayout } from './store-folder.ts';
import { VaultStore } from './vault-store.ts';

/** Where a home keeps what is others': shards where `kith` shows them, the rest in a folder of its own. */
export const homeLayout: StoreLayout = {
  shards: ['shards'],
  logs: ['hosted', 'logs'],
  keys: ['hosted', 'keys'],
  temp: ['hosted', 'tmp'],
};

/** The file that says that a home's store is there. */
export const hostingMarker: readonly string[] = ['hosted', 'kith-store.json'];

/** What this device promises to somebody whose data it keeps. */
export interface HostedOwner {
  /** Undefined: only the disk's own limits. */
  readonly quotaBytes: number | undefined;
  /** True for a signing key that the owner's identity has certified. */
  readonly isDevice: (deviceId: Uint8Array) => boolean;
  /** How many records of a device's log count: fewer than all for one that the owner has revoked. All unless given. */
  readonly trustedLength?: (deviceId: Uint8Array, logKey: Uint8Array) => number;
}

export interface HostingOptions {
  readonly disk: Disk;
  readonly home: string;
  /** Our own identity: the store is this device's and nobody else's. */
  readonly identity: Uint8Array;
  /** Our name, for messages to friends. */
  readonly name: string;
  readonly random: RandomSource;
  readonly nowNs: () => bigint;
  /** Asked at each use: quotas and devices change. Undefined for somebody who isn't granted room. */
  readonly ownerOf: (identityHex: string) => HostedOwner | undefined;
  /** Bytes of the disk that stay free, asked at each use; undefined for the default (room-book.ts). */
  readonly freeFloorBytes: () => number | undefined;
}

/** What is kept for one owner. */
export interface HostedUse {
  readonly quotaBytes: number;
  readonly usedBytes: number;
  readonly reservedBytes: number;
}

/**
 * This device as a holder for friends: a store for each owner, below the home, with one free-space floor over all of them. The
 * marker is looked at before each operation: a store that isn't there is unavailable, and has lost nothing.
 */
export class Hosting {
  readonly #options: HostingOptions;
  readonly #stores = new Map<string, VaultStore>();
  /** One for all owners: it removes leftovers in the temporary folder once, and never what another has under way. */
  readonly #folder: StoreFolder;
  readonly #account = new DiskAccount();

  private constructor(options: HostingOptions) {
    this.#options = options;
    const { disk, home, identity, name } = options;
    this.#folder = new StoreFolder({
      disk,
      folder: home,
      layout: homeLayout,
      holder: { id: toHex(identity), name },
      guard: () => this.#guard(),
    });
  }

  /** Makes the store on first use. A home whose marker is gone although something is kept in it is left alone: it is unavailable. */
  static async open(options: HostingOptions): Promise<Hosting> {
    const hosting = new Hosting(options);
    const marker = await hosting.#readMarker().catch((error: unknown) => {
      if (isKithError(error)) return 'unreadable';
      throw error;
    });
    if (marker === undefined && (await hosting.#isFresh())) await hosting.#mark();
    return hosting;
  }

  /** The store of an owner. Undefined for somebody to whom no room is granted. */
  storeOf(identityHex: string): VaultStore | undefined {
    return this.#options.ownerOf(identityHex) === undefined ? undefined : this.#store(identityHex);
  }

  /** What is kept for an owner, counted anew on the disk; also for one who is no longer granted anything. */
  async useOf(identityHex: string): Promise<HostedUse> {
    const room: Room = await this.#store(identityHex).measuredRoom();
    const { usedBytes, reservedBytes } = room;
    const owner = this.#options.ownerOf(identityHex);
    const quotaBytes = owner === undefined ? 0 : (owner.quotaBytes ?? Number.MAX_SAFE_INTEGER);
    return { quotaBytes, usedBytes, reservedBytes };
  }

  /** Whether the store is there; never throws for one that isn't. */
  async check(): Promise<Availability> {
    const { home, identity } = this.#options;
    const away = (reason: string, foreign = false): Availability => ({ available: false, foreign, reason });
    try {
      const marker = await this.#readMarker();
      if (marker === undefined) return away(`there is no ${join(home, ...hostingMarker)}`);
      if (marker.vault !== toHex(identity)) return away("the store is somebody else's", true);
      return { available: true };
    } catch (error) {
      if (!isKithError(error)) throw error;
      return away(`its marker can't be read: ${messageOf(error)}`);
    }
  }

  #store(identityHex: string): VaultStore {
    const known = this.#stores.get(identityHex);
    if (known !== undefined) return known;
    const vaultId = fromHex(identityHex);
    if (vaultId?.length !== 32) throw new RangeError(`no identity: ${identityHex}`);
    const { disk, home, ownerOf, freeFloorBytes } = this.#options;
    const store: VaultStore = new VaultStore({
      folder: this.#folder,
      vaultId,
      isDevice: (deviceId) => ownerOf(identityHex)?.isDevice(deviceId) === true,
      trustedLength: (deviceId, logKey) =>
        ownerOf(identityHex)?.trustedLength?.(deviceId, logKey) ?? Number.POSITIVE_INFINITY,
      limits: {
        get quotaBytes() {
          const owner = ownerOf(identityHex);
          return owner === undefined ? 0 : owner.quotaBytes;
        },
        get freeFloorBytes() {
          return freeFloorBytes();
        },
      },
      diskRoom: () => disk.freeBytes(home),
      account: this.#account,
    });
    this.#stores.set(identityHex, store);
    return store;
  }

  async #guard(): Promise<void> {
    const found = await this.check();
    if (found.available) return;
    for (const store of this.#stores.values()) store.forget();
    const { identity, name } = this.#options;
    throw new KithError('holder-unavailable', `the store of "${name}" isn't there: ${found.reason}`, {
      details: { holder: toHex(identity), name, foreign: found.foreign },
    });
  }

  async #readMarker(): Promise<ReturnType<typeof decodeDriveMarker> | undefined> {
    const { disk, home } = this.#options;
    const bytes = await disk.readWhole(join(home, ...hostingMarker), driveMarkerBytesMax);
    return bytes === undefined ? undefined : decodeDriveMarker(bytes);
  }

  /** True if nothing was ever kept here: no shards, and in `hosted` at most what a start that died has left. */
  async #isFresh(): Promise<boolean> {
    const { disk, home } = this.#options;
    const shards = (await disk.list(join(home, ...homeLayout.shards))) ?? [];
    const hosted = (await disk.list(join(home, 'hosted'))) ?? [];
    const temp = (await disk.list(join(home, ...homeLayout.temp))) ?? [];
    return (
      shards.length === 0 &&
      hosted.every(({ name }) => name === homeLayout.temp.at(-1)) &&
      temp.every(({ name }) => isTempName(name))
    );
  }

  async #mark(): Promise<void> {
    const { disk, home, identity, name, random, nowNs } = this.#options;
    const tempFolder = join(home, ...homeLayout.temp);
    await disk.makeFolder(tempFolder, 0o700);
    const created = new Date(Number(nowNs() / 1_000_000n)).toISOString();
    const marker = encodeDriveMarker({ id: toHex(random(32)), vault: toHex(identity), name, created });
    await writeDurably(disk, {
      tempFolder,
      path: join(home, ...hostingMarker),
      parts: [marker],
      mode: 0o600,
    });
  }
}
