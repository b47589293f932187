import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { throwIfAborted } from '../base/concurrency.ts';
import type { Placement } from '../format/ledger-records.ts';
import { rankHolders, type Candidate } from '../placement/choose.ts';
import { shardFileBytesOf, type CodedShard } from '../pipeline/coded-pack.ts';
import { idBytes, type KnownDrive } from './session.ts';
import type { Problem } from './types.ts';

/** Room that shards leave on a holder with a quota, so that the logs of the same backup still fit. */
const logReserveBytes = 512 * 1024;
/** I/O errors in a row after which a holder is left alone: one bad sector is no dead disk. */
const ioErrorsMax = 3;

/** A pack whose shards are to be placed. */
export interface PackToPlace {
  readonly packId: Uint8Array;
  readonly k: number;
  readonly class: number;
  readonly keyEpoch: number;
  readonly manifest: Uint8Array;
}

/** Where shards went. */
export interface PlacementResult {
  readonly placed: readonly Placement[];
  readonly missing: readonly number[];
  readonly bytesSent: number;
}

/**
 * Puts shards at holders: ranks holders per pack, sends all shards at once, and goes to the next holder when one is full,
 * slow to exist, or gone. Remembers rooms and failures for as long as it lives (one operation). A holder is given up when it is
 * unavailable, or fails at one write after another; another error says something of one shard only.
 */
export class ShardPlacer {
  readonly #drives: readonly KnownDrive[];
  readonly #free = new Map<string, number>();
  readonly #failed = new Set<string>();
  /** Bytes of the smallest shard that a holder had no room for: only smaller ones are tried. */
  readonly #tooLarge = new Map<string, number>();
  readonly #ioErrors = new Map<string, number>();
  readonly #told = new Set<string>();
  readonly #onProblem: (problem: Problem) => void;
  readonly #signal: AbortSignal | undefined;

  private constructor(
    drives: readonly KnownDrive[],
    onProblem: (problem: Problem) => void,
    signal: AbortSignal | undefined,
  ) {
    this.#drives = drives;
    this.#onProblem = onProblem;
    this.#signal = signal;
  }

  /** Asks every drive for its room. */
  static async create(
    drives: readonly KnownDrive[],
    onProblem: (problem: Problem) => void,
    signal?: AbortSignal,
  ): Promise<ShardPlacer> {
    const placer = new ShardPlacer(drives, onProblem, signal);
    for (const drive of drives) {
      try {
        const room = await drive.holder.room();
        placer.#free.set(drive.id, room.freeBytes);
      } catch (error) {
        placer.#note(drive, error, undefined);
      }
    }
    return placer;
  }

  /** Drives that still answer. */
  get drives(): readonly KnownDrive[] {
    return this.#drives.filter((drive) => !this.#failed.has(drive.id));
  }

  #note(drive: KnownDrive, error: unknown, shardBytes: number | undefined): void {
    if (!isKithError(error) || error.code === 'interrupted' || error.code === 'internal') throw error;
    if (error.code === 'quota-exceeded' || error.code === 'disk-full') {
      const before = this.#tooLarge.get(drive.id) ?? Number.POSITIVE_INFINITY;
      this.#tooLarge.set(drive.id, Math.min(before, shardBytes ?? before));
    } else if (error.code === 'io-error') {
      const inARow = (this.#ioErrors.get(drive.id) ?? 0) + 1;
      this.#ioErrors.set(drive.id, inARow);
      if (inARow >= ioErrorsMax) this.#failed.add(drive.id);
    } else if (error.code === 'holder-unavailable') {
      this.#failed.add(drive.id);
    }
    // Once a kind: a disk that is full says so for every shard.
    const key = `${drive.id} ${error.code}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#onProblem({ item: drive.name, message: messageOf(error), code: error.code });
  }

  /** Bytes of a shard that a holder may be asked to take. */
  #roomAt(drive: KnownDrive): number {
    const reserve = drive.quotaBytes === undefined ? 0 : logReserveBytes;
    const tooLarge = this.#tooLarge.get(drive.id) ?? Number.POSITIVE_INFINITY;
    return Math.max(0, Math.min((this.#free.get(drive.id) ?? 0) - reserve, tooLarge - 1));
  }

  #candidates(): Candidate[] {
    return this.drives
      .filter((drive) => !drive.whole)
      .map((drive) => ({
        id: drive.id,
        household: drive.household,
        freeBytes: this.#roomAt(drive),
      }));
  }

  /**
   * Places shards that no holder has yet. `taken` are holders that have another shard of the pack. Never two shards of
   * a pack at one holder. What finds no place is returned as missing.
   */
  async place(
    pack: PackToPlace,
    shards: readonly CodedShard[],
    taken: ReadonlySet<string>,
  ): Promise<PlacementResult> {
    const shardBytes = shardFileBytesOf(pack.class, pack.manifest.length);
    const used = new Set(taken);
    const placed: Placement[] = [];
    let waiting = [...shards];
    let bytesSent = 0;
    while (waiting.length > 0) {
      throwIfAborted(this.#signal);
      const ranked = rankHolders(pack.packId, this.#candidates(), shardBytes, used);
      const round = waiting.slice(0, ranked.length);
      if (round.length === 0) break;
      // All of them end before an error is thrown: nothing may be under way when the operation gives up its lock.
      const outcomes = await Promise.allSettled(
        round.map(async (shard, i) => {
          const drive = this.#drives.find((candidate) => candidate.id === ranked[i]);
          if (drive === undefined) return undefined;
          used.add(drive.id);
          return (await this.#send(pack, shard, drive, shardBytes)) ? { shard, drive } : undefined;
        }),
      );
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') throw outcome.reason;
        const result = outcome.value;
        if (result === undefined) continue;
        placed.push({ shardIndex: result.shard.index, holderId: idBytes(result.drive.id) });
        bytesSent += shardBytes;
      }
      const done = new Set(placed.map((placement) => placement.shardIndex));
      waiting = waiting.filter((shard) => !done.has(shard.index));
    }
    return { placed, missing: waiting.map((shard) => shard.index), bytesSent };
  }

  /** Puts shards at one named drive, such as the k data shards at a `--whole` one, or a damaged one where it was. */
  async placeAt(
    pack: PackToPlace,
    shards: readonly CodedShard[],
    drive: KnownDrive,
  ): Promise<PlacementResult> {
    const shardBytes = shardFileBytesOf(pack.class, pack.manifest.length);
    const placed: Placement[] = [];
    const missing: number[] = [];
    for (const shard of shards) {
      throwIfAborted(this.#signal);
      // A damaged shard is replaced where it was, which may take no room; a copy for a full drive isn't even tried.
      const isFull = drive.whole && shardBytes >= (this.#tooLarge.get(drive.id) ?? Number.POSITIVE_INFINITY);
      if (!isFull && !this.#failed.has(drive.id) && (await this.#send(pack, shard, drive, shardBytes))) {
        placed.push({ shardIndex: shard.index, holderId: idBytes(drive.id) });
      } else {
        missing.push(shard.index);
      }
    }
    return { placed, missing, bytesSent: placed.length * shardBytes };
  }

  /** Drives that keep all data shards of everything. */
  get wholeDrives(): readonly KnownDrive[] {
    return this.drives.filter((drive) => drive.whole);
  }

  async #send(pack: PackToPlace, shard: CodedShard, drive: KnownDrive, shardBytes: number): Promise<boolean> {
    this.#free.set(drive.id, (this.#free.get(drive.id) ?? 0) - shardBytes);
    try {
      const reservation = await drive.holder.reserve(shardBytes);
      try {
        const { packId, k, keyEpoch, manifest } = pack;
        const { index, payload, leaves } = shard;
        await drive.holder.put(
          { packId, index, k, class: pack.class, keyEpoch, payload, leaves, manifest },
          reservation,
          this.#signal,
        );
      } finally {
        reservation.release();
      }
      this.#ioErrors.delete(drive.id);
      return true;
    } catch (error) {
      throwIfAborted(this.#signal);
      if (!(error instanceof KithError)) throw error;
      this.#free.set(drive.id, (this.#free.get(drive.id) ?? 0) + shardBytes);
      this.#note(drive, error, shardBytes);
      return false;
    }
  }
}
