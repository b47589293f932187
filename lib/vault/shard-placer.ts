import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { throwIfAborted } from '../base/concurrency.ts';
import type { Placement } from '../format/ledger-records.ts';
import { rankHolders, type Candidate } from '../placement/choose.ts';
import { shardFileBytesOf, type CodedShard } from '../pipeline/coded-pack.ts';
import { idBytes, type KnownDrive } from './session.ts';
import type { Problem } from './types.ts';

/** Room that shards leave on a holder with a quota, so that the logs of the same backup still fit. */
const logReserveBytes = 512 * 1024;

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
 * slow to exist, or gone. Remembers rooms and failures for as long as it lives (one operation).
 */
export class ShardPlacer {
  readonly #drives: readonly KnownDrive[];
  readonly #free = new Map<string, number>();
  readonly #failed = new Set<string>();
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
        placer.#note(drive, error);
      }
    }
    return placer;
  }

  /** Drives that still answer. */
  get drives(): readonly KnownDrive[] {
    return this.#drives.filter((drive) => !this.#failed.has(drive.id));
  }

  #note(drive: KnownDrive, error: unknown): void {
    if (!isKithError(error) || error.code === 'interrupted' || error.code === 'internal') throw error;
    if (error.code === 'quota-exceeded' || error.code === 'disk-full') {
      const known = (this.#free.get(drive.id) ?? 0) > 0;
      this.#free.set(drive.id, 0);
      if (known) this.#onProblem({ item: drive.name, message: messageOf(error), code: error.code });
      return;
    }
    if (this.#failed.has(drive.id)) return;
    this.#failed.add(drive.id);
    this.#onProblem({ item: drive.name, message: messageOf(error), code: error.code });
  }

  #candidates(): Candidate[] {
    return this.drives
      .filter((drive) => !drive.whole)
      .map((drive) => ({
        id: drive.id,
        household: drive.household,
        freeBytes: Math.max(
          0,
          (this.#free.get(drive.id) ?? 0) - (drive.quotaBytes === undefined ? 0 : logReserveBytes),
        ),
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
      const results = await Promise.all(
        round.map(async (shard, i) => {
          const drive = this.#drives.find((candidate) => candidate.id === ranked[i]);
          if (drive === undefined) return undefined;
          used.add(drive.id);
          return (await this.#send(pack, shard, drive, shardBytes)) ? { shard, drive } : undefined;
        }),
      );
      for (const result of results) {
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
      if (!this.#failed.has(drive.id) && (await this.#send(pack, shard, drive, shardBytes))) {
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
      return true;
    } catch (error) {
      throwIfAborted(this.#signal);
      if (!(error instanceof KithError)) throw error;
      this.#free.set(drive.id, (this.#free.get(drive.id) ?? 0) + shardBytes);
      this.#note(drive, error);
      return false;
    }
  }
}
