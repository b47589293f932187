import { isKithError } from '../base/errors.ts';
import type {
  HolderLogs,
  InventoryEntry,
  InventoryOptions,
  Reservation,
  Room,
  ShardRange,
  ShardRef,
  ShardToPut,
} from '../holders/holder.ts';
import { KeyRecordStore } from './key-record-store.ts';
import { RoomBook, type RoomLimits } from './room-book.ts';
import { SegmentStore } from './segment-store.ts';
import { ShardStore } from './shard-store.ts';
import { StoreFolder, type StoreLayout } from './store-folder.ts';
import type { Disk } from '../disk/disk.ts';
import type { IsDevice } from './verify-shard.ts';

export interface VaultStoreOptions {
  readonly disk: Disk;
  readonly folder: string;
  readonly layout?: StoreLayout;
  readonly holder: { readonly id: string; readonly name: string };
  readonly vaultId: Uint8Array;
  readonly isDevice: IsDevice;
  readonly limits: RoomLimits;
  /** Throws KithError `holder-unavailable` unless the store is there and the right one; looks on the disk each time. */
  readonly guard: () => Promise<void>;
  readonly reservedByOthers?: () => number;
}

/**
 * All that one vault keeps in a store's folder, with the promises of holders/holder.ts: shards, logs and the key record, in one
 * account. A drive has one; a device that keeps data for friends has one for each of them.
 */
export class VaultStore {
  readonly logs: HolderLogs;
  readonly #store: StoreFolder;
  readonly #guard: () => Promise<void>;
  readonly #book: RoomBook;
  readonly #shards: ShardStore;
  readonly #segments: SegmentStore;
  readonly #keyRecord: KeyRecordStore;

  constructor(options: VaultStoreOptions) {
    const { disk, folder, layout, holder, vaultId, isDevice, limits, reservedByOthers } = options;
    this.#guard = async () => {
      try {
        await options.guard();
      } catch (error) {
        // Another disk in its place, or its own after a while elsewhere: what was counted may be so no longer.
        this.#book.forget();
        throw error;
      }
    };
    this.#store = new StoreFolder({
      disk,
      folder,
      ...(layout !== undefined && { layout }),
      holder,
      guard: this.#guard,
    });
    this.#book = new RoomBook(
      {
        name: holder.name,
        measure: () => this.#measure(),
        disk: () => disk.freeBytes(folder),
        ...(reservedByOthers !== undefined && { reservedByOthers }),
      },
      limits,
    );
    this.#shards = new ShardStore(this.#store, this.#book, vaultId, isDevice);
    this.#segments = new SegmentStore(this.#store, this.#book, vaultId, isDevice);
    this.#keyRecord = new KeyRecordStore(this.#store, this.#book, vaultId);
    this.logs = {
      list: () => this.#store.guarded(() => this.#segments.list(), always),
      putSegment: (logKey, firstIndex, bytes) =>
        this.#store.guarded(() => this.#segments.put(logKey, firstIndex, bytes), always),
      getSegment: (logKey, firstIndex) =>
        this.#store.guarded(() => this.#segments.get(logKey, firstIndex), isUndefined),
    };
  }

  /** Bytes set aside and not written yet. */
  get reservedBytes(): number {
    return this.#book.reservedBytes;
  }

  room(): Promise<Room> {
    return this.#store.guarded(() => this.#book.room(), always);
  }

  /** Like `room`, with what is used counted anew on the disk. */
  async measuredRoom(): Promise<Room> {
    this.#book.forget();
    return this.room();
  }

  reserve(bytes: number): Promise<Reservation> {
    return this.#store.guarded<Reservation>(() => this.#book.reserve(bytes));
  }

  put(shard: ShardToPut, reservation?: Reservation, signal?: AbortSignal): Promise<void> {
    return this.#store.guarded(() => this.#shards.put(shard, reservation, signal), always);
  }

  get(ref: ShardRef, firstLeaf: number, leafCount: number): Promise<ShardRange | undefined> {
    return this.#store.guarded(() => this.#shards.get(ref, firstLeaf, leafCount), isUndefined);
  }

  stat(ref: ShardRef): Promise<{ readonly fileBytes: number } | undefined> {
    return this.#store.guarded(
      () => this.#shards.stat(ref),
      (stat) => stat === undefined || stat.fileBytes === 0,
    );
  }

  manifest(ref: ShardRef): Promise<Uint8Array | undefined> {
    return this.#store.guarded(() => this.#shards.manifest(ref), isUndefined);
  }

  inventory(options?: InventoryOptions): AsyncGenerator<InventoryEntry> {
    return this.#listed(this.#shards.inventory(options));
  }

  /** The part of the inventory with packs whose ids begin with this byte. */
  inventoryOf(firstByte: number, options?: InventoryOptions): AsyncGenerator<InventoryEntry> {
    return this.#listed(this.#shards.inventoryOf(firstByte, options));
  }

  async *#listed(entries: AsyncIterable<InventoryEntry>): AsyncGenerator<InventoryEntry> {
    await this.#guard();
    try {
      yield* entries;
    } catch (error) {
      if (isKithError(error, 'io-error')) await this.#guard();
      throw error;
    }
    // A disk that went away while it was listed has an end too early, not fewer shards.
    await this.#guard();
  }

  verify(ref: ShardRef): Promise<'good' | 'damaged' | 'missing'> {
    return this.#store.guarded(
      () => this.#shards.verify(ref),
      (result) => result !== 'good',
    );
  }

  delete(ref: ShardRef): Promise<boolean> {
    return this.#store.guarded(
      () => this.#shards.delete(ref),
      (deleted) => !deleted,
    );
  }

  settle(refs: readonly ShardRef[]): Promise<void> {
    return this.#store.guarded(() => this.#shards.settle(refs), always);
  }

  putKeyRecord(bytes: Uint8Array): Promise<void> {
    return this.#store.guarded(() => this.#keyRecord.put(bytes), always);
  }

  getKeyRecord(): Promise<Uint8Array | undefined> {
    return this.#store.guarded(() => this.#keyRecord.get(), isUndefined);
  }

  async #measure(): Promise<number> {
    const shards = await this.#shards.measure();
    const logs = await this.#segments.measure();
    const keys = await this.#keyRecord.measure();
    // Were the disk gone since the last look, this would be a count of nothing.
    await this.#guard();
    return shards + logs + keys;
  }
}

function always(): boolean {
  return true;
}

function isUndefined(result: unknown): boolean {
  return result === undefined;
}
