import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import { forEachLimited, throwIfAborted } from '../../base/concurrency.ts';
import { systemClock, type Clock } from '../../base/clock.ts';
import type { Placement } from '../../format/ledger-records.ts';
import { rankHolders, type Candidate } from '../../placement/choose.ts';
import { shardFileBytesOf, type CodedShard } from '../../pipeline/coded-pack.ts';
import { holdersAtOnce } from '../holders/holder-book.ts';
import { inTime } from '../holders/in-time.ts';
import type { Availability } from '../../holders/holder.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import { PutRace } from './put-race.ts';
import { putMsMaxDefault } from './put-time.ts';
import { idBytes } from '../session.ts';
import type { Problem } from '../types.ts';

/** Room that shards leave on a holder with a quota, so that the logs of the same backup still fit. */
const logReserveBytes = 512 * 1024;
/** I/O errors in a row after which a holder is left alone: one bad sector is no dead disk. Of a friend, errors of any kind. */
const errorsInARowMax = 3;
/** What says that the next shard would fare no better. */
const givenUpAtOnce: ReadonlySet<string> = new Set(['holder-unavailable', 'not-granted', 'peer-refused']);

/** A friend that was unavailable is asked whether it is back this often (ms) … */
const awayMsMin = 5_000;
/** … and taken again so often in one operation: one that comes and goes costs others' time. */
const returnsMax = 3;

/** A friend whose connection went. */
interface Away {
  /** When it was last found away, or asked; undefined while it is being asked, and once it was taken again. */
  sinceMs: number | undefined;
  returns: number;
}

/** A pack whose shards are to be placed. */
export interface PackToPlace {
  readonly packId: Uint8Array;
  readonly k: number;
  readonly class: number;
  readonly keyEpoch: number;
  readonly manifest: Uint8Array;
  /** True where leaf hashes of all shards given were computed from their payloads in this process just now (holders/holder.ts). */
  readonly leavesAreFresh?: boolean;
}

/** Where shards went. */
export interface PlacementResult {
  readonly placed: readonly Placement[];
  readonly missing: readonly number[];
  readonly bytesSent: number;
}

/** How a placer works. */
export interface ShardPlacerOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds that a friend has to take a shard of so many bytes; then it counts as gone, and another gets the shard. */
  readonly putMsMax?: (shardBytes: number) => number;
  /** Milliseconds that friends have once k others took so many for their shards of the same pack, if a spare one could take over. */
  readonly patienceMs?: (tookMs: number) => number;
  readonly clock?: Pick<Clock, 'monotonicMs'>;
}

/** A friend has so long to hold room for a shard. */
const reserveMsMax = 60_000;

/** Three times as long as the others in all, and never less than half a minute more. */
function patienceMsDefault(tookMs: number): number {
  return Math.max(30_000, 2 * tookMs);
}

/**
 * Puts shards at holders: ranks holders per pack, sends all shards at once, and goes to the next holder when one is full,
 * slow, or gone. Remembers rooms and failures for as long as it lives (one operation). A holder is given up when it is
 * unavailable, refuses us, or fails at one write after another; another error says something of one shard only. A friend whose
 * connection went is taken again once it is back; one that was too slow isn't.
 */
export class ShardPlacer {
  readonly #holders: readonly KnownHolder[];
  readonly #free = new Map<string, number>();
  /** Those whose room has a quota: logs need some of it too. */
  readonly #limited = new Set<string>();
  readonly #failed = new Set<string>();
  /** Friends of those that failed, or did, whose connection went. */
  readonly #away = new Map<string, Away>();
  /** Friends who were there, and took too long. */
  readonly #slow = new Set<string>();
  /** Bytes of the smallest shard that a holder had no room for: only smaller ones are tried. */
  readonly #tooLarge = new Map<string, number>();
  readonly #errorsInARow = new Map<string, number>();
  readonly #told = new Set<string>();
  readonly #onProblem: (problem: Problem) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #putMsMax: (shardBytes: number) => number;
  readonly #patienceMs: (tookMs: number) => number;
  readonly #clock: Pick<Clock, 'monotonicMs'>;

  private constructor(
    holders: readonly KnownHolder[],
    onProblem: (problem: Problem) => void,
    options: ShardPlacerOptions,
  ) {
    this.#holders = holders;
    this.#onProblem = onProblem;
    this.#signal = options.signal;
    this.#putMsMax = options.putMsMax ?? putMsMaxDefault;
    this.#patienceMs = options.patienceMs ?? patienceMsDefault;
    this.#clock = options.clock ?? systemClock;
  }

  /** Asks every holder for its room. */
  static async create(
    holders: readonly KnownHolder[],
    onProblem: (problem: Problem) => void,
    options: ShardPlacerOptions = {},
  ): Promise<ShardPlacer> {
    const placer = new ShardPlacer(holders, onProblem, options);
    await forEachLimited(holders, holdersAtOnce, async (keeper) => {
      try {
        const room = await keeper.holder.room();
        placer.#free.set(keeper.id, room.freeBytes);
        if (room.quotaBytes !== undefined) placer.#limited.add(keeper.id);
      } catch (error) {
        placer.#note(keeper, error, undefined);
      }
    });
    return placer;
  }

  /** Holders that still answer. */
  get holders(): readonly KnownHolder[] {
    return this.#holders.filter((keeper) => !this.#failed.has(keeper.id));
  }

  /** Those of some holders that are worth talking to for the rest of the operation: all drives, and friends who still answer. */
  answering(holders: readonly KnownHolder[]): KnownHolder[] {
    return holders.filter(({ kind, id }) => kind === 'drive' || !this.#failed.has(id));
  }

  /** Leaves a friend alone that didn't answer elsewhere. */
  giveUp(keeper: KnownHolder): void {
    if (keeper.kind !== 'friend') return;
    this.#failed.add(keeper.id);
    this.#away.delete(keeper.id);
  }

  /** Asks friends whose connection went whether they are back, without waiting for what they say. */
  #lookForAway(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const keeper of this.#holders) {
      const away = this.#away.get(keeper.id);
      if (away?.sinceMs === undefined || nowMs - away.sinceMs < awayMsMin) continue;
      away.sinceMs = undefined;
      const told = ({ available }: Availability): void => {
        // Given up for something else meanwhile.
        if (this.#away.get(keeper.id) !== away || this.#slow.has(keeper.id)) return;
        if (!available) away.sinceMs = this.#clock.monotonicMs();
        else {
          away.returns++;
          this.#failed.delete(keeper.id);
        }
      };
      // It throws for nobody who is away, and is asked no more if it does.
      void keeper.holder.check().then(told, () => undefined);
    }
  }

  /** Its connection went: it may be back soon. */
  #noteAway(keeper: KnownHolder): void {
    const away = this.#away.get(keeper.id) ?? { sinceMs: undefined, returns: 0 };
    if (away.returns < returnsMax) away.sinceMs = this.#clock.monotonicMs();
    this.#away.set(keeper.id, away);
  }

  #note(keeper: KnownHolder, error: unknown, shardBytes: number | undefined): void {
    if (!isKithError(error) || error.code === 'interrupted' || error.code === 'internal') throw error;
    if (error.code === 'quota-exceeded' || error.code === 'disk-full') {
      const before = this.#tooLarge.get(keeper.id) ?? Number.POSITIVE_INFINITY;
      this.#tooLarge.set(keeper.id, Math.min(before, shardBytes ?? before));
    } else if (givenUpAtOnce.has(error.code)) {
      this.#failed.add(keeper.id);
      if (error.code !== 'holder-unavailable') this.#away.delete(keeper.id);
    } else if (keeper.kind === 'friend' || error.code === 'io-error') {
      const inARow = (this.#errorsInARow.get(keeper.id) ?? 0) + 1;
      this.#errorsInARow.set(keeper.id, inARow);
      if (inARow >= errorsInARowMax) this.#failed.add(keeper.id);
    }
    // Once a kind: a disk that is full says so for every shard.
    const key = `${keeper.id} ${error.code}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#onProblem({ item: keeper.name, message: messageOf(error), code: error.code });
  }

  /** Bytes of a shard that a holder may be asked to take. */
  #roomAt(keeper: KnownHolder): number {
    const reserve = this.#limited.has(keeper.id) ? logReserveBytes : 0;
    const tooLarge = this.#tooLarge.get(keeper.id) ?? Number.POSITIVE_INFINITY;
    return Math.max(0, Math.min((this.#free.get(keeper.id) ?? 0) - reserve, tooLarge - 1));
  }

  #candidates(): Candidate[] {
    return this.holders
      .filter((keeper) => !keeper.whole)
      .map((keeper) => ({
        id: keeper.id,
        household: keeper.household,
        freeBytes: this.#roomAt(keeper),
      }));
  }

  /**
   * Places shards that no holder has yet. `taken` are holders that have another shard of the pack. Never two shards of
   * a pack at one holder. Each shard goes its own way: one that has to be offered elsewhere doesn't wait for the others. What finds
   * no place is returned as missing.
   */
  async place(
    pack: PackToPlace,
    shards: readonly CodedShard[],
    taken: ReadonlySet<string>,
  ): Promise<PlacementResult> {
    this.#lookForAway();
    const shardBytes = shardFileBytesOf(pack.class, pack.manifest.length);
    const used = new Set(taken);
    const race = new PutRace({
      clock: this.#clock,
      enough: pack.k,
      patienceMs: this.#patienceMs,
      hasSpare: () => rankHolders(pack.packId, this.#candidates(), shardBytes, used).length > 0,
    });
    // All of them end before an error is thrown: nothing may be under way when the operation gives up its lock.
    const outcomes = await Promise.allSettled(
      shards.map((shard) => this.#placeOne(pack, shard, shardBytes, used, race)),
    );
    race.end();
    const placed: Placement[] = [];
    const missing: number[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') throw outcome.reason;
      if (outcome.value !== undefined) placed.push(outcome.value);
      else missing.push(shards[i]?.index ?? 0);
    }
    return { placed, missing, bytesSent: placed.length * shardBytes };
  }

  /** Offers one shard to the best holder that isn't used yet, then to the next. Undefined if none takes it. */
  async #placeOne(
    pack: PackToPlace,
    shard: CodedShard,
    shardBytes: number,
    used: Set<string>,
    race: PutRace,
  ): Promise<Placement | undefined> {
    for (;;) {
      throwIfAborted(this.#signal);
      const [best] = rankHolders(pack.packId, this.#candidates(), shardBytes, used);
      const keeper = this.#holders.find(({ id }) => id === best);
      if (keeper === undefined) return undefined;
      used.add(keeper.id);
      if (await this.#send(pack, shard, keeper, shardBytes, race))
        return { shardIndex: shard.index, holderId: idBytes(keeper.id) };
    }
  }

  /** Puts shards at one named holder, such as the k data shards at a `--whole` one, or a damaged one where it was. */
  async placeAt(
    pack: PackToPlace,
    shards: readonly CodedShard[],
    keeper: KnownHolder,
  ): Promise<PlacementResult> {
    const shardBytes = shardFileBytesOf(pack.class, pack.manifest.length);
    const placed: Placement[] = [];
    const missing: number[] = [];
    for (const shard of shards) {
      throwIfAborted(this.#signal);
      // A damaged shard is replaced where it was, which may take no room; a copy for a full drive isn't even tried.
      const isFull =
        keeper.whole && shardBytes >= (this.#tooLarge.get(keeper.id) ?? Number.POSITIVE_INFINITY);
      if (!isFull && !this.#failed.has(keeper.id) && (await this.#send(pack, shard, keeper, shardBytes))) {
        placed.push({ shardIndex: shard.index, holderId: idBytes(keeper.id) });
      } else {
        missing.push(shard.index);
      }
    }
    return { placed, missing, bytesSent: placed.length * shardBytes };
  }

  /** Holders that keep all data shards of everything. */
  get wholeHolders(): readonly KnownHolder[] {
    return this.holders.filter((keeper) => keeper.whole);
  }

  async #send(
    pack: PackToPlace,
    shard: CodedShard,
    keeper: KnownHolder,
    shardBytes: number,
    race?: PutRace,
  ): Promise<boolean> {
    this.#free.set(keeper.id, (this.#free.get(keeper.id) ?? 0) - shardBytes);
    const startMs = this.#clock.monotonicMs();
    try {
      await this.#put(pack, shard, keeper, shardBytes, race);
      this.#errorsInARow.delete(keeper.id);
      return true;
    } catch (error) {
      throwIfAborted(this.#signal);
      if (!(error instanceof KithError)) throw error;
      this.#free.set(keeper.id, (this.#free.get(keeper.id) ?? 0) + shardBytes);
      const isGone = keeper.kind === 'friend' && error.code === 'holder-unavailable';
      const isSlow = this.#slow.has(keeper.id) || this.#clock.monotonicMs() - startMs >= reserveMsMax;
      if (isGone && !isSlow) this.#noteAway(keeper);
      this.#note(keeper, error, shardBytes);
      return false;
    }
  }

  async #put(
    pack: PackToPlace,
    shard: CodedShard,
    keeper: KnownHolder,
    shardBytes: number,
    race: PutRace | undefined,
  ): Promise<void> {
    const { holder } = keeper;
    const { packId, k, keyEpoch, manifest } = pack;
    const { index, payload, leaves } = shard;
    const { leavesAreFresh = false } = pack;
    const ref = { packId, index, k, class: pack.class, keyEpoch };
    const toPut = { ...ref, payload, leaves, manifest, leavesAreFresh };
    const tooSlow = new AbortController();
    const put = async (): Promise<void> => {
      // A drive finds out at once whether there is room; a friend should, before the bytes are sent.
      if (keeper.kind === 'drive') return await holder.put(toPut, undefined, this.#signal);
      const reservation = await inTime(holder, reserveMsMax, () => holder.reserve(shardBytes));
      try {
        await this.#putInTime(keeper, shardBytes, tooSlow, (signal) =>
          holder.put(toPut, reservation, signal),
        );
      } finally {
        reservation.release();
      }
    };
    if (race === undefined) await put();
    else await race.run(tooSlow, put);
  }

  /** A friend that takes too long is like one that is gone: a spare one takes over. */
  async #putInTime(
    keeper: KnownHolder,
    shardBytes: number,
    tooSlow: AbortController,
    put: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const timer = setTimeout(() => tooSlow.abort(), this.#putMsMax(shardBytes));
    const signals = this.#signal === undefined ? [tooSlow.signal] : [this.#signal, tooSlow.signal];
    try {
      await put(AbortSignal.any(signals));
    } catch (error) {
      if (!tooSlow.signal.aborted || this.#signal?.aborted === true) throw error;
      this.#slow.add(keeper.id);
      throw new KithError('holder-unavailable', `${keeper.name} is too slow; others take its part`, {
        details: { holder: keeper.id, foreign: false },
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
  }
}
