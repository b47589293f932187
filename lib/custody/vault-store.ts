import { isKithError } from '../base/errors.ts';
import type {
  GetOptions,
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
import { RoomBook, type CountedBytes, type DiskAccount, type Hold, type RoomLimits } from './room-book.ts';
import { SegmentStore, segmentCountsMax } from './segment-store.ts';
import { ShardStore } from './shard-store.ts';
import type { StoreFolder } from './store-folder.ts';
import type { IsDevice, TrustedLength } from './verify-shard.ts';

export interface VaultStoreOptions {
  /** Shared by all vaults of the store: it knows what others have under way in the temporary folder. */
  readonly folder: StoreFolder;
  readonly vaultId: Uint8Array;
  readonly isDevice: IsDevice;
  /** All records count unless given. */
  readonly trustedLength?: TrustedLength | undefined;
  readonly limits: RoomLimits;
  /** Room of the disk; undefined where that can't be told. */
  readonly diskRoom: () => Promise<{ readonly free: number; readonly total: number } | undefined>;
  /** Shared by all vaults on the disk; one of its own unless given. */
  readonly account?: DiskAccount;
}

/**
 * All that one vault keeps in a store's folder, with the promises of holders/holder.ts: shards, logs and the key record, in one
 * account. A drive has one; a device that keeps data for friends has one for each of them.
 */
export class VaultStore {
  readonly logs: HolderLogs;
  readonly #store: StoreFolder;
  readonly #book: RoomBook;
  readonly #shards: ShardStore;
  readonly #segments: SegmentStore;
  readonly #keyRecord: KeyRecordStore;

  constructor(options: VaultStoreOptions) {
    const { folder, vaultId, isDevice, trustedLength, limits, diskRoom, account } = options;
    this.#store = folder;
    this.#book = new RoomBook(
      { name: folder.holder.name, measure: (counted) => this.#measure(counted), disk: diskRoom },
      limits,
      account,
    );
    this.#shards = new ShardStore(this.#store, this.#book, vaultId, isDevice);
    this.#segments = new SegmentStore(
      this.#store,
      this.#book,
      vaultId,
      isDevice,
      segmentCountsMax,
      trustedLength,
    );
    this.#keyRecord = new KeyRecordStore(this.#store, this.#book, vaultId);
    this.logs = {
      list: () => this.#store.guarded(() => this.#segments.list(), always),
      putSegment: (logKey, firstIndex, bytes) => this.putSegment(logKey, firstIndex, bytes),
      getSegment: (logKey, firstIndex) =>
        this.#store.guarded(() => this.#segments.get(logKey, firstIndex), isUndefined),
    };
  }

  /** The store was away, or another one was in its place: what was counted may be so no longer. */
  forget(): void {
    this.#book.forget();
  }

  room(): Promise<Room> {
    return this.#store.guarded(() => this.#book.room(), always);
  }

  /** Sets aside what a shard's file will take, before its bytes are here. Errors as for `reserve`. */
  holdShard(ref: ShardRef, fileBytes: number, reservation?: Reservation): Promise<Hold> {
    return this.#store.guarded(() => this.#shards.hold(ref, fileBytes, reservation));
  }

  holdSegment(logKey: Uint8Array, firstIndex: number, bytes: number): Promise<Hold> {
    return this.#store.guarded(() => this.#segments.hold(logKey, firstIndex, bytes));
  }

  holdKeyRecord(bytes: number): Promise<Hold> {
    return this.#store.guarded(() => this.#keyRecord.hold(bytes));
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

  get(
    ref: ShardRef,
    firstLeaf: number,
    leafCount: number,
    options?: GetOptions,
  ): Promise<ShardRange | undefined> {
    return this.#store.guarded(() => this.#shards.get(ref, firstLeaf, leafCount, options), isUndefined);
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

  async *inventory(options?: InventoryOptions): AsyncGenerator<InventoryEntry> {
    await this.#store.look();
    try {
      yield* this.#shards.inventory(options);
    } catch (error) {
      if (isKithError(error, 'io-error')) await this.#store.look();
      throw error;
    }
    // A disk that went away while it was listed has an end too early, not fewer shards.
    await this.#store.look();
  }

  /**
   * Runs `work`, which lists parts of the inventory by the first bytes of pack ids, on a store that is there before and after:
   * one look for many parts.
   */
  async listing<T>(
    work: (
      inventoryOf: (firstByte: number, options?: InventoryOptions) => AsyncIterable<InventoryEntry>,
    ) => Promise<T>,
  ): Promise<T> {
    return await this.#store.guarded(
      () => work((firstByte, options) => this.#shards.inventoryOf(firstByte, options)),
      always,
    );
  }

  /** Where a shard's file lies, or would. */
  shardPath(ref: ShardRef): string {
    return this.#shards.pathOf(ref);
  }

  shardFile(ref: ShardRef, into?: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#store.guarded(() => this.#shards.file(ref, into), isUndefined);
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

  /** As in `logs`, out of room that is held already. */
  putSegment(
    logKey: Uint8Array,
    firstIndex: number,
    bytes: Uint8Array,
    reservation?: Reservation,
  ): Promise<void> {
    return this.#store.guarded(() => this.#segments.put(logKey, firstIndex, bytes, reservation), always);
  }

  putKeyRecord(bytes: Uint8Array, reservation?: Reservation): Promise<void> {
    return this.#store.guarded(() => this.#keyRecord.put(bytes, reservation), always);
  }

  getKeyRecord(): Promise<Uint8Array | undefined> {
    return this.#store.guarded(() => this.#keyRecord.get(), isUndefined);
  }

  async #measure(counted: CountedBytes): Promise<number> {
    const shards = counted.shards ?? (await this.#shards.measure());
    const logs = counted.logs ?? (await this.#segments.measure());
    const keys = await this.#keyRecord.measure();
    // Were the disk gone since the last look, this would be a count of nothing.
    await this.#store.look();
    return shards + logs + keys;
  }
}

function always(): boolean {
  return true;
}

function isUndefined(result: unknown): boolean {
  return result === undefined;
}
