/** Names one shard: row `index` of the coded pack. `packId` is 32 bytes. */
export interface ShardRef {
  readonly packId: Uint8Array;
  readonly index: number;
}

/** All that a holder needs to keep a shard and to vouch for it. Nothing is kept of the arrays after the call. */
export interface ShardToPut extends ShardRef {
  readonly k: number;
  /** Number of the size class; the payload has exactly that size. */
  readonly class: number;
  readonly keyEpoch: number;
  readonly payload: Uint8Array;
  /** Leaf hashes of the payload, 32 bytes each. */
  readonly leaves: Uint8Array;
  /** The pack's signed manifest (docs/formats/pack.md). */
  readonly manifest: Uint8Array;
  /**
   * True where this process has computed `leaves` from this very `payload` just now: a drive then doesn't hash it a second time.
   * Never for a payload from a disk or the network. At a friend it changes nothing.
   */
  readonly leavesAreFresh?: boolean;
}

export interface GetOptions {
  /**
   * True: a drive gives the payload as it lies on the disk, without hashing it, to a caller who verifies it against the proof and a
   * signed root in any case, and takes what fails for `shard-damaged`. At a friend it changes nothing.
   */
  readonly asStored?: boolean;
  /**
   * Aborted: nobody waits for the answer any more. A friend is told, so that the rest of it doesn't come, and the call ends at once with
   * KithError `interrupted`, or the signal's reason if that is a KithError. A drive gives what it was asked for all the same.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Whole leaves of a payload and the siblings that lead to the shard's root (crypto/merkle verifyRange). Fresh arrays. */
export interface ShardRange {
  readonly bytes: Uint8Array;
  readonly proof: Uint8Array;
}

/** One shard that a holder says it has, from its listing. */
export interface InventoryEntry extends ShardRef {
  /** Size class, as the file's head says; undefined if that can't be read. */
  readonly class: number | undefined;
  readonly fileBytes: number;
  /** When it came, ms since 1970 by the holder's clock: a hint. */
  readonly sinceMs: number;
  /** Why the file can't be whole (wrong size, unreadable head), in words; its bytes are only read by `verify`. */
  readonly damaged: string | undefined;
}

/** Something in a holder's folders that isn't what belongs there. */
export interface InventoryProblem {
  readonly name: string;
  readonly message: string;
}

/** What the file of any shard of a pack is like, by the manifest that the asker has. */
export interface ExpectedFile {
  readonly fileBytes: number;
  readonly class: number;
}

export interface InventoryOptions {
  readonly signal?: AbortSignal;
  /**
   * A file of just this length is listed without being opened: of a terabyte's shards that saves most of the time. Its bytes are no more
   * vouched for than those of any that is listed. Files of another length, and those of packs that this doesn't know, are looked into.
   * A hint: a holder may look all the same.
   */
  readonly expected?: ((packId: Uint8Array) => ExpectedFile | undefined) | undefined;
  /** Told of files that are no shards; they are left alone. */
  readonly onProblem?: (problem: InventoryProblem) => void;
}

/** What a holder may take, in bytes. */
export interface Room {
  /** Undefined: no quota, only the disk's own limits. */
  readonly quotaBytes: number | undefined;
  /** Bytes of all the vault's files. */
  readonly usedBytes: number;
  readonly reservedBytes: number;
  /** What a put may still take, all limits counted; never negative. */
  readonly freeBytes: number;
}

/** Bytes held for puts to come. Lives in memory: it ends with `release`, or with the process. */
export interface Reservation {
  /** What is left of it: puts that use it take from it. */
  readonly bytes: number;
  /** Gives back what is left. Harmless when repeated. */
  release(): void;
}

export type Availability =
  | { readonly available: true }
  | { readonly available: false; readonly foreign: boolean; readonly reason: string };

/** What a holder keeps of one log. */
export interface HeldLog {
  readonly logKey: Uint8Array;
  /** By first index, ascending. */
  readonly segments: readonly { readonly firstIndex: number; readonly bytes: number }[];
}

/** The owner's logs as a holder keeps them: plain files of sealed records (docs/formats/log.md). */
export interface HolderLogs {
  list(): Promise<HeldLog[]>;
  /**
   * Keeps a segment durably, after checking that it is authentic, of this vault and so named. Segments never change:
   * the same bytes again are fine, a damaged one is replaced, other authentic bytes in its place are KithError
   * `log-forked`.
   */
  putSegment(logKey: Uint8Array, firstIndex: number, bytes: Uint8Array): Promise<void>;
  /** The bytes as they are on the disk: the reader checks them. */
  getSegment(logKey: Uint8Array, firstIndex: number): Promise<Uint8Array | undefined>;
}

/**
 * Where shards of one vault go: a drive, or a friend over the network. A holder sees nothing but sealed bytes, and is
 * believed in nothing: who reads from it verifies against signed roots.
 *
 * All calls but `check` throw KithError `holder-unavailable` (with `details.holder`, and `details.foreign`) while the
 * holder can't be reached, its disk isn't there, or another one is in its place: *unavailable* says nothing about what
 * it holds, and must never be read as *missing*. `undefined` and `false` do say that the holder is there and lacks it.
 * Other errors: `io-error`, `disk-full`, and what the calls name.
 */
export interface Holder {
  /** 64 hex digits. */
  readonly id: string;
  readonly kind: 'drive' | 'friend';
  readonly name: string;
  readonly household: string | undefined;

  /** Looks each time; never throws for a holder that is away. */
  check(): Promise<Availability>;
  room(): Promise<Room>;
  /** KithError `quota-exceeded`, or `disk-full` if the free-space floor would be crossed. */
  reserve(bytes: number): Promise<Reservation>;
  /**
   * Keeps a shard; returns when it is durable. Everything is verified first: payload → leaves → root → manifest →
   * PackId, and the manifest's signature (KithError `not-authentic`, `malformed`); but for `leavesAreFresh`. The exact size of the file is taken
   * from the reservation, and what that lacks is reserved anew. A whole shard of the same bytes that is there already
   * is fine and takes nothing; a damaged one is replaced.
   */
  put(shard: ShardToPut, reservation?: Reservation, signal?: AbortSignal): Promise<void>;
  /**
   * Leaves [firstLeaf, firstLeaf + leafCount) with their proof. Undefined: it doesn't have the shard. KithError
   * `shard-damaged` if what it has is truncated, garbled or another shard; `usage` for a range out of bounds.
   */
  get(
    ref: ShardRef,
    firstLeaf: number,
    leafCount: number,
    options?: GetOptions,
  ): Promise<ShardRange | undefined>;
  /** From the listing alone. */
  stat(ref: ShardRef): Promise<{ readonly fileBytes: number } | undefined>;
  /** The manifest kept with a shard; the reader verifies it. KithError `shard-damaged` as for `get`. */
  manifest(ref: ShardRef): Promise<Uint8Array | undefined>;
  /** All shards of the vault, from a listing made now, by pack id and index; an error means that it isn't complete. */
  inventory(options?: InventoryOptions): AsyncIterable<InventoryEntry>;
  /**
   * The bytes of a shard's file as they lie there, unverified; undefined: it doesn't have the shard. They are fresh, or in `into`, where that
   * is given and long enough. KithError `shard-damaged` where they can't be read. Only holders that are read on this computer have it.
   */
  shardFile?(ref: ShardRef, into?: Uint8Array): Promise<Uint8Array | undefined>;
  /**
   * Where a shard's file lies if this holder has it, for threads that read ranges of it by themselves, verify all, and take whatever
   * goes wrong there for a reason to ask the holder. Only holders whose files the system's own calls reach have it.
   */
  shardPath?(ref: ShardRef): string | undefined;
  /** Reads and verifies every byte of a shard. */
  verify(ref: ShardRef): Promise<'good' | 'damaged' | 'missing'>;
  /**
   * True if there was one; durable when it returns. KithError `not-granted` at a friend: nothing there goes at once on anybody's word
   * (docs/formats/store-service.md).
   */
  delete(ref: ShardRef): Promise<boolean>;
  /**
   * Makes shards durable that are listed though no put of them has returned: a process that died may have given them
   * their names, and a power cut may take these back. One that isn't there is passed over.
   */
  settle(refs: readonly ShardRef[]): Promise<void>;

  /**
   * Why a listing made now isn't all that this holder has, in words: a part of it can't be asked, as when another computer of a friend is
   * away. What was not listed is then *unavailable*, and not *missing*. Undefined, or left out, where it is all.
   */
  partAway?(): string | undefined;
  /** The stores behind this holder that are here, where there are several: logs and key record are exchanged with each. */
  computers?(): readonly Holder[];
  readonly logs: HolderLogs;
  /** Replaces the vault's key record, durably. */
  putKeyRecord(bytes: Uint8Array): Promise<void>;
  getKeyRecord(): Promise<Uint8Array | undefined>;
}
