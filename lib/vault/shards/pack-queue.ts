import { join } from 'node:path';
import { equalBytes, idKey } from '../../base/bytes.ts';
import type { Clock } from '../../base/clock.ts';
import { KithError, isKithError } from '../../base/errors.ts';
import { formatSize } from '../../base/units.ts';
import type { LogAuthority } from '../../catalog/log-carrier.ts';
import type { RandomSource } from '../../crypto/random.ts';
import type { Disk } from '../../disk/disk.ts';
import { decodeManifest, verifyManifest, type Manifest } from '../../format/manifest.ts';
import { initDrive, openDrive, readDriveMarker } from '../../holders/drive.ts';
import type { Holder } from '../../holders/holder.ts';
import type { CodedPack } from '../../pipeline/coded-pack.ts';
import type { DeviceKeys } from '../../trust/device.ts';

/** A pack that waits: too few holders have acknowledged shards of it. */
export interface QueuedPack {
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
}

/** What a queue is made with. */
export interface PackQueueOptions {
  readonly disk: Disk;
  readonly home: string;
  readonly device: DeviceKeys;
  readonly authority: LogAuthority;
  readonly random: RandomSource;
  readonly clock: Clock;
  /** Setting `shard.queue`. */
  readonly maxBytes: number;
}

/**
 * Packs that wait in the home for holders, as their k data shards (parity is made again). The folder is a holder's store of its
 * own (docs/formats/store.md), so that what waits is verified, counted and read like any shard; its quota is `shard.queue`.
 */
export class PackQueue {
  readonly #options: PackQueueOptions;
  readonly #folder: string;
  readonly #packs = new Map<string, QueuedPack>();
  readonly #halfTaken = new Map<
    string,
    { packId: Uint8Array; indices: readonly number[]; known: QueuedPack | undefined }
  >();
  #holder: Holder | undefined;
  #making: Promise<Holder> | undefined;

  constructor(options: PackQueueOptions) {
    this.#options = options;
    this.#folder = join(options.home, 'queue');
  }

  /**
   * Reads what waits. Removes nothing: a shard that is bad may be made again from those at holders, and a pack of which a data shard is
   * absent was either never taken in, or a snapshot waits for it all the same; `dropHalfTaken` tells them apart.
   */
  async load(): Promise<ReadonlySet<string>> {
    const { disk } = this.#options;
    const marker = await readDriveMarker(disk, this.#folder);
    if (marker === undefined) return new Set();
    const holder = this.#open(marker.id);
    const found = new Map<string, { packId: Uint8Array; indices: number[] }>();
    for await (const entry of holder.inventory()) {
      const pack = found.get(idKey(entry.packId)) ?? { packId: entry.packId, indices: [] };
      pack.indices.push(entry.index);
      found.set(idKey(entry.packId), pack);
    }
    for (const [key, { packId, indices }] of found) {
      const known = await this.#manifest(holder, packId, indices);
      const whole =
        known !== undefined && indices.filter((i) => i < known.manifest.k).length === known.manifest.k;
      if (known !== undefined && whole) this.#packs.set(key, known);
      else this.#halfTaken.set(key, { packId, indices, known });
    }
    return new Set(this.#packs.keys());
  }

  /** The pack's manifest from any of its shards that still has it. */
  async #manifest(
    holder: Holder,
    packId: Uint8Array,
    indices: readonly number[],
  ): Promise<QueuedPack | undefined> {
    for (const index of indices) {
      try {
        const manifestBytes = await holder.manifest({ packId, index });
        if (manifestBytes === undefined) continue;
        const manifest = verifyManifest(manifestBytes, this.#options.authority.isDevice);
        if (equalBytes(manifest.packId, packId)) return { manifest, manifestBytes };
      } catch (error) {
        if (!isKithError(error)) throw error;
        // Another shard of the pack may have it.
      }
    }
    return undefined;
  }

  /**
   * Removes packs that a backup was taking in when it died. Those that a snapshot waits for (`needed`, by id key) are kept and count as
   * waiting, as far as anything is known of them: what they lack may be at holders.
   */
  async dropHalfTaken(needed: ReadonlySet<string>): Promise<void> {
    for (const [key, { packId, indices, known }] of this.#halfTaken) {
      if (!needed.has(key)) for (const index of indices) await this.#holder?.delete({ packId, index });
      else if (known !== undefined) this.#packs.set(key, known);
    }
    this.#halfTaken.clear();
  }

  #open(id: string): Holder {
    const { disk, device, authority, maxBytes } = this.#options;
    this.#holder ??= openDrive(disk, this.#folder, {
      id,
      vaultId: device.vaultId,
      name: 'this computer',
      household: undefined,
      quotaBytes: maxBytes,
      freeFloorBytes: 0,
      isDevice: authority.isDevice,
    });
    return this.#holder;
  }

  /** The store itself, for reading; undefined while nothing ever waited. */
  get holder(): Holder | undefined {
    return this.#holder;
  }

  get size(): number {
    return this.#packs.size;
  }

  has(packId: Uint8Array): boolean {
    return this.#packs.has(idKey(packId));
  }

  get(packId: Uint8Array): QueuedPack | undefined {
    return this.#packs.get(idKey(packId));
  }

  packs(): QueuedPack[] {
    return [...this.#packs.values()];
  }

  /** Bytes on the disk of all that waits. */
  async usedBytes(): Promise<number> {
    return this.#holder === undefined || this.#packs.size === 0 ? 0 : (await this.#holder.room()).usedBytes;
  }

  /** The store, made with the first pack. Packs come several at a time: one of them makes it. */
  async #store(): Promise<Holder> {
    if (this.#holder !== undefined) return this.#holder;
    this.#making ??= this.#make();
    try {
      return await this.#making;
    } finally {
      this.#making = undefined;
    }
  }

  async #make(): Promise<Holder> {
    const { disk, random, clock, device } = this.#options;
    await disk.makeFolder(this.#folder, 0o700);
    const marker = await initDrive(disk, this.#folder, {
      name: 'queue',
      vaultId: device.vaultId,
      random,
      now: new Date(Number(clock.nowNs() / 1_000_000n)).toISOString(),
    });
    return this.#open(marker.id);
  }

  /** Takes a pack in; durable when it returns. KithError `queue-full` when `shard.queue` is used up. */
  async add(pack: CodedPack): Promise<void> {
    const { maxBytes } = this.#options;
    const holder = await this.#store();
    const { packId, k, keyEpoch, manifest } = pack;
    try {
      for (const shard of pack.shards.slice(0, k)) {
        await holder.put({
          packId,
          index: shard.index,
          k,
          class: pack.class,
          keyEpoch,
          payload: shard.payload,
          leaves: shard.leaves,
          manifest,
        });
      }
    } catch (error) {
      for (let index = 0; index < k; index++) await holder.delete({ packId, index }).catch(() => false);
      if (!isKithError(error, 'quota-exceeded')) throw error;
      throw new KithError(
        'queue-full',
        `the waiting room on this computer is full (${formatSize(maxBytes)}, setting shard.queue), and too few disks take data. ` +
          'Connect or add a disk (`kith drive add PATH`), then run the backup again: it goes on where it stopped.',
        { cause: error },
      );
    }
    this.#packs.set(idKey(packId), { manifest: decodeManifest(manifest), manifestBytes: manifest });
  }

  /** Makes sure that packs that wait are durable: a process that died may have taken them in and not got so far. */
  async settle(packIds: readonly Uint8Array[]): Promise<void> {
    const refs = packIds.flatMap((packId) =>
      Array.from({ length: this.get(packId)?.manifest.k ?? 0 }, (_, index) => ({ packId, index })),
    );
    if (this.#holder === undefined || refs.length === 0) return;
    await this.#options.disk.makeFolder(this.#folder, 0o700);
    await this.#options.disk.syncFolder(this.#folder);
    await this.#holder.settle(refs);
  }

  /** Drops a pack that enough holders have now. */
  async remove(packId: Uint8Array): Promise<void> {
    const pack = this.#packs.get(idKey(packId));
    if (pack === undefined || this.#holder === undefined) return;
    for (let index = 0; index < pack.manifest.k; index++) await this.#holder.delete({ packId, index });
    this.#packs.delete(idKey(packId));
  }
}
