import { join } from 'node:path';
import { equalBytes, idKey } from '../base/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { KithError, isKithError } from '../base/errors.ts';
import { formatSize } from '../base/units.ts';
import type { LogAuthority } from '../catalog/segment-logs.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Disk } from '../disk/disk.ts';
import { decodeManifest, verifyManifest, type Manifest } from '../format/manifest.ts';
import { initDrive, openDrive, readDriveMarker } from '../holders/drive.ts';
import type { Holder } from '../holders/holder.ts';
import type { CodedPack } from '../pipeline/coded-pack.ts';
import type { DeviceKeys } from '../trust/identity.ts';

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
  #holder: Holder | undefined;

  constructor(options: PackQueueOptions) {
    this.#options = options;
    this.#folder = join(options.home, 'queue');
  }

  /** Reads what waits. Packs whose k data shards aren't all there were never taken in: what is there of them goes. */
  async load(): Promise<ReadonlySet<string>> {
    const { disk } = this.#options;
    const marker = await readDriveMarker(disk, this.#folder);
    if (marker === undefined) return new Set();
    const holder = this.#open(marker.id);
    const found = new Map<string, { packId: Uint8Array; indices: number[] }>();
    for await (const entry of holder.inventory()) {
      const pack = found.get(idKey(entry.packId)) ?? { packId: entry.packId, indices: [] };
      if (entry.damaged === undefined) pack.indices.push(entry.index);
      else await holder.delete(entry);
      found.set(idKey(entry.packId), pack);
    }
    for (const [key, { packId, indices }] of found) {
      const first = indices[0];
      const manifestBytes = first === undefined ? undefined : await this.#manifest(holder, packId, first);
      if (manifestBytes === 'unreadable') continue;
      const manifest = manifestBytes === undefined ? undefined : decodeManifest(manifestBytes);
      if (
        manifestBytes !== undefined &&
        manifest !== undefined &&
        indices.filter((i) => i < manifest.k).length === manifest.k
      ) {
        this.#packs.set(key, { manifest, manifestBytes });
      } else {
        for (const index of indices) await holder.delete({ packId, index });
      }
    }
    return new Set(this.#packs.keys());
  }

  async #manifest(
    holder: Holder,
    packId: Uint8Array,
    index: number,
  ): Promise<Uint8Array | 'unreadable' | undefined> {
    try {
      const bytes = await holder.manifest({ packId, index });
      if (bytes === undefined) return undefined;
      const manifest = verifyManifest(bytes, this.#options.authority.isDevice);
      return equalBytes(manifest.packId, packId) ? bytes : undefined;
    } catch (error) {
      // Only what is surely bad may go; what can't be read now waits on.
      if (isKithError(error, 'malformed', 'not-authentic', 'shard-damaged')) return undefined;
      if (!isKithError(error)) throw error;
      return 'unreadable';
    }
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

  /** Takes a pack in; durable when it returns. KithError `queue-full` when `shard.queue` is used up. */
  async add(pack: CodedPack): Promise<void> {
    const { disk, random, clock, device, maxBytes } = this.#options;
    if (this.#holder === undefined) {
      await disk.makeFolder(this.#folder, 0o700);
      const created = new Date(Number(clock.nowNs() / 1_000_000n)).toISOString();
      const marker = await initDrive(disk, this.#folder, {
        name: 'queue',
        vaultId: device.vaultId,
        random,
        now: created,
      });
      this.#open(marker.id);
    }
    const holder = this.#holder;
    if (holder === undefined) throw new KithError('internal', 'the queue has no store');
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
    await this.#holder?.settle(refs);
  }

  /** Drops a pack that enough holders have now. */
  async remove(packId: Uint8Array): Promise<void> {
    const pack = this.#packs.get(idKey(packId));
    if (pack === undefined || this.#holder === undefined) return;
    for (let index = 0; index < pack.manifest.k; index++) await this.#holder.delete({ packId, index });
    this.#packs.delete(idKey(packId));
  }
}
