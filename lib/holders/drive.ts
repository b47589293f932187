import { join } from 'node:path';
import { fromHex, toHex, utf8 } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import type { RandomSource } from '../crypto/random.ts';
import { StoreFolder } from '../custody/store-folder.ts';
import { VaultStore } from '../custody/vault-store.ts';
import type { IsDevice, TrustedLength } from '../custody/verify-shard.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import {
  decodeDriveMarker,
  driveMarkerBytesMax,
  driveMarkerFile,
  driveReadme,
  isDriveReadme,
  encodeDriveMarker,
  type DriveMarker,
} from '../format/drive-marker.ts';
import type {
  Availability,
  GetOptions,
  Holder,
  HolderLogs,
  InventoryEntry,
  InventoryOptions,
  Reservation,
  Room,
  ShardRange,
  ShardRef,
  ShardToPut,
} from './holder.ts';

/** Where the words for whoever finds the disk may stand: the second where the first is somebody else's. */
const readmeNames = ['README.txt', 'README-kith.txt'] as const;

/** Far above the bytes of a README.txt of ours. */
const readmeBytesMax = 16 * 1024;

export interface InitDriveOptions {
  readonly name: string;
  readonly vaultId: Uint8Array;
  readonly random: RandomSource;
  /** The time for the marker, RFC 3339 in UTC. */
  readonly now: string;
}

export interface OpenDriveOptions {
  /** The holder id that the marker must have, in hex. */
  readonly id: string;
  readonly vaultId: Uint8Array;
  readonly name: string;
  readonly household?: string | undefined;
  /** Undefined: only the disk's own limits. */
  readonly quotaBytes?: number | undefined;
  /** Bytes that stay free on the disk; 5 % of it, between 1 and 20 GB, unless given. */
  readonly freeFloorBytes?: number | undefined;
  readonly isDevice: IsDevice;
  /** All records count unless given. */
  readonly trustedLength?: TrustedLength | undefined;
}

/** The marker of a folder; undefined where there is none. KithError `malformed` or `too-new` for a bad one. */
export async function readDriveMarker(disk: Disk, folder: string): Promise<DriveMarker | undefined> {
  const bytes = await disk.readWhole(join(folder, driveMarkerFile), driveMarkerBytesMax);
  return bytes === undefined ? undefined : decodeDriveMarker(bytes);
}

/**
 * Makes a folder a drive of a vault: README.txt first, the marker last, so that it is one only when all is there. What
 * else lies in the folder stays, be it a README.txt that isn't kith's or files in tmp/. A drive of this vault already
 * is left as it is, and its marker returned. KithError `holder-foreign` for another vault's; `malformed` for a marker
 * that can't be read.
 */
export async function initDrive(disk: Disk, folder: string, options: InitDriveOptions): Promise<DriveMarker> {
  const vault = toHex(options.vaultId);
  const there = await readDriveMarker(disk, folder);
  if (there !== undefined) {
    if (there.vault === vault) return there;
    throw new KithError(
      'holder-foreign',
      `${folder} is the drive "${there.name}" of another vault, and stays so. Choose another folder.`,
      { details: { holder: there.id, folder } },
    );
  }
  const marker: DriveMarker = {
    id: toHex(options.random(32)),
    vault,
    name: options.name,
    created: options.now,
  };
  const bytes = encodeDriveMarker(marker);
  const tempFolder = join(folder, 'tmp');
  await disk.makeFolder(tempFolder);
  for (const name of readmeNames) {
    const path = join(folder, name);
    if (!(await isReadmeOurs(disk, path))) continue;
    await writeDurably(disk, { tempFolder, path, parts: [utf8(driveReadme(marker))] });
    break;
  }
  await writeDurably(disk, { tempFolder, path: join(folder, driveMarkerFile), parts: [bytes] });
  return marker;
}

/** A holder on a folder that initDrive made. Touches nothing: the disk may be away now and come back later. */
export function openDrive(disk: Disk, folder: string, options: OpenDriveOptions): DriveHolder {
  return new DriveHolder(disk, folder, options);
}

/**
 * A folder, USB disk or network mount as a holder. One process at a time may write to it (the vault's lock sees to
 * that): its leftovers in tmp/ are removed at the first write. The marker is looked at on the disk before every
 * operation, and again after one that wrote, failed or found nothing. Costs of a put: four steps and two flushes.
 */
export class DriveHolder implements Holder {
  readonly id: string;
  readonly kind = 'drive' as const;
  readonly name: string;
  readonly household: string | undefined;
  readonly folder: string;
  readonly logs: HolderLogs;
  readonly #disk: Disk;
  readonly #vault: string;
  readonly #kept: VaultStore;

  constructor(disk: Disk, folder: string, options: OpenDriveOptions) {
    const { id, name, vaultId, isDevice, trustedLength, quotaBytes, freeFloorBytes } = options;
    if (fromHex(id)?.length !== 32) throw new RangeError(`no holder id: ${id}`);
    this.id = id;
    this.name = name;
    this.household = options.household;
    this.folder = folder;
    this.#disk = disk;
    this.#vault = toHex(vaultId);
    this.#kept = new VaultStore({
      folder: new StoreFolder({ disk, folder, holder: { id, name }, guard: () => this.#guard() }),
      vaultId,
      isDevice,
      trustedLength,
      limits: { quotaBytes, freeFloorBytes },
      diskRoom: () => disk.freeBytes(folder),
    });
    this.logs = this.#kept.logs;
  }

  async check(): Promise<Availability> {
    const away = (reason: string, foreign = false): Availability => ({ available: false, foreign, reason });
    let marker: DriveMarker | undefined;
    try {
      marker = await readDriveMarker(this.#disk, this.folder);
    } catch (error) {
      if (!isKithError(error)) throw error;
      return away(`its marker ${driveMarkerFile} can't be read: ${messageOf(error)}`);
    }
    if (marker === undefined)
      return away(`there is no ${driveMarkerFile} in ${this.folder}: is the disk plugged in?`);
    if (marker.vault !== this.#vault) return away(`${this.folder} is a drive of another vault`, true);
    if (marker.id !== this.id) return away(`${this.folder} is another drive, "${marker.name}"`, true);
    return { available: true };
  }

  room(): Promise<Room> {
    return this.#kept.room();
  }

  reserve(bytes: number): Promise<Reservation> {
    return this.#kept.reserve(bytes);
  }

  put(shard: ShardToPut, reservation?: Reservation, signal?: AbortSignal): Promise<void> {
    return this.#kept.put(shard, reservation, signal);
  }

  get(
    ref: ShardRef,
    firstLeaf: number,
    leafCount: number,
    options?: GetOptions,
  ): Promise<ShardRange | undefined> {
    return this.#kept.get(ref, firstLeaf, leafCount, options);
  }

  stat(ref: ShardRef): Promise<{ readonly fileBytes: number } | undefined> {
    return this.#kept.stat(ref);
  }

  manifest(ref: ShardRef): Promise<Uint8Array | undefined> {
    return this.#kept.manifest(ref);
  }

  inventory(options?: InventoryOptions): AsyncGenerator<InventoryEntry> {
    return this.#kept.inventory(options);
  }

  shardFile(ref: ShardRef, into?: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#kept.shardFile(ref, into);
  }

  shardPath(ref: ShardRef): string | undefined {
    return this.#disk.pathsAreReal === true ? this.#kept.shardPath(ref) : undefined;
  }

  verify(ref: ShardRef): Promise<'good' | 'damaged' | 'missing'> {
    return this.#kept.verify(ref);
  }

  delete(ref: ShardRef): Promise<boolean> {
    return this.#kept.delete(ref);
  }

  settle(refs: readonly ShardRef[]): Promise<void> {
    return this.#kept.settle(refs);
  }

  putKeyRecord(bytes: Uint8Array): Promise<void> {
    return this.#kept.putKeyRecord(bytes);
  }

  getKeyRecord(): Promise<Uint8Array | undefined> {
    return this.#kept.getKeyRecord();
  }

  async #guard(): Promise<void> {
    const found = await this.check();
    if (found.available) return;
    // Another disk in its place, or its own after a while elsewhere: what was counted may be so no longer.
    this.#kept.forget();
    throw new KithError('holder-unavailable', `the drive "${this.name}" isn't there: ${found.reason}`, {
      details: { holder: this.id, name: this.name, foreign: found.foreign },
    });
  }
}

/** True where README.txt may be written: nothing is there, or one that kith wrote for a drive. */
async function isReadmeOurs(disk: Disk, path: string): Promise<boolean> {
  try {
    const stat = await disk.stat(path);
    if (stat === undefined) return true;
    if (!stat.isFile) return false;
    const bytes = await disk.readWhole(path, readmeBytesMax);
    return bytes === undefined || isDriveReadme(bytes);
  } catch (error) {
    if (isKithError(error, 'limit-exceeded', 'io-error')) return false;
    throw error;
  }
}
