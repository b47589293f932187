import { idKey } from '../../base/bytes.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import { classBytes, leafBytes } from '../../base/limits.ts';
import { leafHashes, verifyRange } from '../../crypto/merkle.ts';
import type { Manifest } from '../../format/manifest.ts';
import type { Holder, ShardRange } from '../../holders/holder.ts';
import type { ErasureCoder } from '../../kernels/reed-solomon.ts';
import type { LeafSource } from '../../pipeline/pack-reader.ts';
import { bringBack, type NamedHolder } from '../../placement/words.ts';
import type { RowFile, RowRange, RowSource } from '../../workers/open-job.ts';
import { shardKey } from './damage-book.ts';
import { inTime } from '../holders/in-time.ts';
import { ReadPace, type PaceTime } from './read-pace.ts';
import { RememberedLeaves } from './remembered-leaves.ts';
import type { Problem } from '../types.ts';

/** Leaves that are fetched together at most: 512 KiB, about a frame. */
export const windowLeaves = 8;
/** A friend has so long to give a range of at most 512 KiB: less than 10 kB/s is of no use to anybody who waits. */
const getMsMax = 60_000;
/** How often a holder that didn't answer, and then seems to be back, is asked again by one operation. */
const timesGoneMax = 3;
/** Files of a holder that threads may fail to read: each costs its whole batch a second turn. */
const filesFailedMax = 3;
const withheldWords = 'it lists a part of your backup that it does not give; others are used';
const alteredWords = 'a part of what it holds was altered; another copy is used';

/** What is known of the rows of a pack in one range of leaves. */
interface KnownRows {
  /** Verified bytes of the range. */
  readonly whole: Map<number, Uint8Array>;
  /** Rows whose holders have all been asked for the range, and didn't give it whole. */
  readonly failed: Set<number>;
}

/** Where shards may be: holders that have been seen with a shard come first. */
export interface ShardPlaces {
  /** Holders to ask for a shard, best first. */
  holdersOf(manifest: Manifest, index: number): readonly Holder[];
  /** True of a holder that is known to have a shard, by its listing or the ledger. */
  isKnownAt(holder: Holder, manifest: Manifest, index: number): boolean;
  /** Holders that are away and may have shards of a pack: for the message when too few are here. */
  away(manifest: Manifest): readonly NamedHolder[];
  /** True if a holder that didn't answer can be asked again. */
  isBack(holder: Holder): Promise<boolean>;
}

/**
 * Reads leaves of shards from whichever holder has them, verifies each range against its signed root before
 * anything else sees it, and decodes from k other shards what no holder gives whole.
 */
export class ShardReader implements LeafSource {
  readonly #places: ShardPlaces;
  readonly #coder: ErasureCoder;
  readonly #onProblem: (problem: Problem) => void;
  readonly #remembered = new RememberedLeaves(windowLeaves);
  /** Shards of which some range was bad: told once. Other ranges of them may still serve. */
  readonly #bad = new Set<string>();
  /** The same without the holder. */
  readonly #badRows = new Set<string>();
  /** Shards that their holders don't have, though they list them, or are friends: not asked for again. */
  readonly #withheld = new Set<string>();
  readonly #onDamage: (holder: Holder, packId: Uint8Array, index: number) => void;
  readonly #onWithheld: (holder: Holder, packId: Uint8Array, index: number) => boolean;
  /** Holders that didn't answer: left out, until too few others are left and they are back. */
  readonly #gone = new Map<string, Holder>();
  readonly #timesGone = new Map<string, number>();
  /** Paths of a holder's files that threads couldn't read, by its id: `filesFailedMax` each at most. */
  readonly #filesFailed = new Map<string, Set<string>>();
  /** How often some holder came back, for those who wait side by side. */
  #returns = 0;
  readonly #pace: ReadPace;
  #replaced = 0;
  #bytesRead = 0;

  constructor(options: {
    readonly places: ShardPlaces;
    readonly coder: ErasureCoder;
    readonly onProblem: (problem: Problem) => void;
    /** Told of each shard that turned out bad, to be remembered. */
    readonly onDamage?: (holder: Holder, packId: Uint8Array, index: number) => void;
    /** Told of each shard that a holder says it lacks; true if it had said otherwise. */
    readonly onWithheld?: (holder: Holder, packId: Uint8Array, index: number) => boolean;
    /** The machine's unless given. */
    readonly time?: PaceTime;
  }) {
    this.#pace = new ReadPace(options.time);
    this.#onWithheld = options.onWithheld ?? ((): boolean => false);
    this.#onDamage = options.onDamage ?? ((): void => undefined);
    this.#places = options.places;
    this.#coder = options.coder;
    this.#onProblem = options.onProblem;
  }

  /** Shards that were bad where they were held, and so were replaced by others. */
  get shardsReplaced(): number {
    return this.#replaced;
  }

  /** Payload bytes that holders gave. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  leaves(manifest: Manifest, index: number, firstLeaf: number, leafCount: number): Promise<Uint8Array> {
    return this.#remembered.range(runKey(manifest, index), firstLeaf, leafCount, (first, count) =>
      this.#fetch(manifest, index, first, count),
    );
  }

  /**
   * Ranges of rows from which a range of a data shard can be had, not yet verified (nor read, where they lie in files on this computer), so
   * that a thread can do that: of the shard itself, or of k others. Where a copy was found bad before, and where too few rows can be had whole, it is what `leaves` would give.
   */
  async gather(
    manifest: Manifest,
    index: number,
    firstLeaf: number,
    leafCount: number,
    { files = false }: { readonly files?: boolean } = {},
  ): Promise<readonly RowSource[]> {
    if (!this.#badRows.has(rowKey(manifest, index))) {
      const ask = async (signal?: AbortSignal): Promise<readonly RowSource[] | undefined> => {
        const own = await this.#unverified(manifest, index, firstLeaf, leafCount, files, signal);
        return own === undefined ? undefined : [own];
      };
      const others = async (signal?: AbortSignal): Promise<readonly RowSource[] | undefined> => {
        const rows = await this.#anyRows(manifest, (row) =>
          row === index || this.#badRows.has(rowKey(manifest, row))
            ? Promise.resolve(undefined)
            : this.#unverified(manifest, row, firstLeaf, leafCount, files, signal),
        );
        return rows.length === manifest.k ? rows.map(({ bytes }) => bytes) : undefined;
      };
      const rows = await this.#first(manifest, index, leafCount, ask, others);
      if (rows !== undefined) return rows;
    }
    return await this.gatherVerified(manifest, index, firstLeaf, leafCount);
  }

  /** The same range, verified here: for when something that was gathered turned out bad. */
  async gatherVerified(
    manifest: Manifest,
    index: number,
    firstLeaf: number,
    leafCount: number,
  ): Promise<readonly RowRange[]> {
    const bytes = await this.#fetch(manifest, index, firstLeaf, leafCount);
    return [{ index, bytes, proof: undefined, root: rootOf(manifest, index) }];
  }

  /** A range as the first holder that has it gives it, or with `files` where it lies. */
  async #unverified(
    manifest: Manifest,
    index: number,
    firstLeaf: number,
    leafCount: number,
    files: boolean,
    signal: AbortSignal | undefined,
  ): Promise<RowSource | undefined> {
    const root = rootOf(manifest, index);
    for (const holder of this.#places.holdersOf(manifest, index)) {
      const file = files ? this.#fileAt(holder, manifest, index, root) : undefined;
      if (file !== undefined) {
        this.#bytesRead += leafCount * leafBytes;
        return file;
      }
      const range = await this.#ask(holder, manifest, index, firstLeaf, leafCount, signal);
      if (range !== undefined) return { index, bytes: range.bytes, proof: range.proof, root };
    }
    return undefined;
  }

  /** A row's file at a holder that is read on this computer, unless files there have failed before. */
  #fileAt(holder: Holder, manifest: Manifest, index: number, root: Uint8Array): RowFile | undefined {
    const failed = this.#filesFailed.get(holder.id);
    if (this.#gone.has(holder.id) || (failed?.size ?? 0) >= filesFailedMax) return undefined;
    // Elsewhere it may well not be, and that is cheaper to learn from the holder.
    if (!this.#places.isKnownAt(holder, manifest, index)) return undefined;
    const shard = shardKey(holder.id, manifest.packId, index);
    if (this.#withheld.has(shard) || this.#bad.has(shard)) return undefined;
    const path = holder.shardPath?.({ packId: manifest.packId, index });
    return path === undefined || failed?.has(path) === true
      ? undefined
      : { index, holder: holder.id, path, root };
  }

  /** A thread couldn't read a row that `gather` gave, or found it altered: after some of them the holder itself is asked. */
  fileFailed({ holder, path }: RowFile): void {
    const failed = this.#filesFailed.get(holder);
    if (failed === undefined) this.#filesFailed.set(holder, new Set([path]));
    else if (failed.size < filesFailedMax) failed.add(path);
  }

  async #fetch(manifest: Manifest, index: number, firstLeaf: number, leafCount: number): Promise<Uint8Array> {
    const known: KnownRows = { whole: new Map(), failed: new Set() };
    const read = (row: number, signal?: AbortSignal): Promise<Uint8Array | undefined> =>
      this.#knownOrVerified(known, manifest, row, firstLeaf, leafCount, signal);
    const others = async (signal?: AbortSignal): Promise<Uint8Array | undefined> => {
      const rows = await this.#anyRows(manifest, (row) =>
        row === index ? Promise.resolve(undefined) : read(row, signal),
      );
      return rows.length === manifest.k ? this.#coder.reconstruct(manifest.k, rows, [index])[0] : undefined;
    };
    const found = await this.#first(manifest, index, leafCount, (signal) => read(index, signal), others);
    if (found !== undefined) return found;
    const [decoded] = await this.#decoded(manifest, firstLeaf, leafCount, [index], known);
    if (decoded === undefined) throw new KithError('internal', 'the coder returned nothing');
    return decoded;
  }

  /** What a row's holder gives, or others where it doesn't, or a friend is much slower than they are. */
  async #first<T>(
    manifest: Manifest,
    index: number,
    leafCount: number,
    ask: (signal?: AbortSignal) => Promise<T | undefined>,
    others: (signal?: AbortSignal) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const holder = this.#firstHolder(manifest, index);
    // Without spare rows the others are never enough.
    if (manifest.roots.length <= manifest.k) return await ask();
    if (holder?.kind !== 'friend') return (await ask()) ?? (await others());
    const bytes = leafCount * leafBytes;
    const otherBytes = manifest.k * bytes;
    return await this.#pace.first({ holderId: holder.id, bytes, ask, others, otherBytes });
  }

  /** Whom a row is asked of first. */
  #firstHolder(manifest: Manifest, index: number): Holder | undefined {
    return this.#places
      .holdersOf(manifest, index)
      .find(({ id }) => !this.#gone.has(id) && !this.#withheld.has(shardKey(id, manifest.packId, index)));
  }

  /** A verified range of a row: one that is known or remembered, else from its holders, which are asked once. */
  async #knownOrVerified(
    known: KnownRows,
    manifest: Manifest,
    row: number,
    firstLeaf: number,
    leafCount: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    if (known.failed.has(row)) return undefined;
    const bytes =
      known.whole.get(row) ??
      this.#remembered.found(runKey(manifest, row), firstLeaf, leafCount) ??
      (await this.verified(manifest, row, firstLeaf, leafCount, signal));
    if (bytes === undefined) known.failed.add(row);
    else known.whole.set(row, bytes);
    return bytes;
  }

  /**
   * The same range of some shards, made from k verified others (or from themselves, where they are good). What is bad in one place may be
   * good in another: a range of which k can't be had whole is put together leaf by leaf. KithError `not-restorable` where even
   * that fails.
   */
  async decoded(
    manifest: Manifest,
    firstLeaf: number,
    leafCount: number,
    wanted: readonly number[],
  ): Promise<Uint8Array[]> {
    const known: KnownRows = { whole: new Map(), failed: new Set() };
    return await this.#decoded(manifest, firstLeaf, leafCount, wanted, known);
  }

  async #decoded(
    manifest: Manifest,
    firstLeaf: number,
    leafCount: number,
    wanted: readonly number[],
    known: KnownRows,
  ): Promise<Uint8Array[]> {
    const read = (row: number): Promise<Uint8Array | undefined> =>
      this.#knownOrVerified(known, manifest, row, firstLeaf, leafCount);
    const hadFailed = known.failed.size > 0;
    const returnsBefore = this.#returns;
    let available = await this.#anyRows(manifest, read);
    if (leafCount === 1 && available.length < manifest.k && hadFailed) {
      // What failed when the row was first asked for may have passed; leaf by leaf, longer ranges are asked for again as well.
      known.failed.clear();
      available = await this.#anyRows(manifest, read);
    }
    if (available.length === manifest.k) return this.#coder.reconstruct(manifest.k, available, wanted);
    // Fewer make nothing, but those that were asked for may be among them.
    const own = wanted.flatMap((row) => available.find(({ index }) => index === row)?.bytes ?? []);
    if (own.length === wanted.length) return own;
    // Somebody may be back for another range that was waiting at the same time.
    if ((await this.#someAreBack()) || this.#returns !== returnsBefore) {
      known.failed.clear();
      return this.#decoded(manifest, firstLeaf, leafCount, wanted, known);
    }
    if (leafCount === 1) throw tooFew(manifest, available.length, this.#awayOf(manifest));
    const parts = wanted.map(() => new Uint8Array(leafCount * leafBytes));
    for (let leaf = 0; leaf < leafCount; leaf++) {
      const whole = new Map<number, Uint8Array>();
      for (const { index, bytes } of available) {
        whole.set(index, bytes.subarray(leaf * leafBytes, (leaf + 1) * leafBytes));
      }
      const ofLeaf: KnownRows = { whole, failed: new Set() };
      const rows = await this.#decoded(manifest, firstLeaf + leaf, 1, wanted, ofLeaf);
      for (const [i, row] of rows.entries()) parts[i]?.set(row, leaf * leafBytes);
    }
    return parts;
  }

  /** What `read` gives of up to k different shards; those of holders that are behind the others come last. */
  async #anyRows<T>(
    manifest: Manifest,
    read: (row: number) => Promise<T | undefined>,
  ): Promise<{ index: number; bytes: T }[]> {
    const available: { index: number; bytes: T }[] = [];
    const isBehind = (row: number): boolean => {
      const holder = this.#firstHolder(manifest, row);
      return holder !== undefined && this.#pace.isBehind(holder.id);
    };
    const rows = manifest.roots.map((_, row) => row);
    const order = [...rows.filter((row) => !isBehind(row)), ...rows.filter(isBehind)];
    while (order.length > 0 && available.length < manifest.k) {
      const batch = order.splice(0, manifest.k - available.length);
      const results = await Promise.all(batch.map(async (row) => ({ row, bytes: await read(row) })));
      for (const { row, bytes } of results) if (bytes !== undefined) available.push({ index: row, bytes });
    }
    return available;
  }

  /**
   * A range of one shard as some holder has it, verified; undefined if none has it whole. KithError `interrupted` once the signal has
   * fired; friends are told.
   */
  async verified(
    manifest: Manifest,
    index: number,
    firstLeaf: number,
    leafCount: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const root = manifest.roots[index];
    if (root === undefined) return undefined;
    const total = (classBytes[manifest.class] ?? 0) / leafBytes;
    for (const holder of this.#places.holdersOf(manifest, index)) {
      const range = await this.#ask(holder, manifest, index, firstLeaf, leafCount, signal);
      if (range === undefined) continue;
      if (verifyRange(leafHashes(range.bytes, leafBytes), firstLeaf, total, range.proof, root))
        return range.bytes;
      this.#reject(holder, manifest, index, alteredWords);
    }
    return undefined;
  }

  /** A range of the right length from one holder, not verified; undefined where it doesn't give it, which is noted. */
  async #ask(
    holder: Holder,
    manifest: Manifest,
    index: number,
    firstLeaf: number,
    leafCount: number,
    signal: AbortSignal | undefined,
  ): Promise<ShardRange | undefined> {
    throwIfAborted(signal);
    const shard = shardKey(holder.id, manifest.packId, index);
    if (this.#gone.has(holder.id) || this.#withheld.has(shard)) return undefined;
    const ref = { packId: manifest.packId, index };
    try {
      const range = await this.#pace.timed(
        holder.id,
        leafCount * leafBytes,
        () =>
          inTime(
            holder,
            getMsMax,
            (callOff) => holder.get(ref, firstLeaf, leafCount, { signal: callOff }),
            signal,
          ),
        signal,
      );
      if (range === undefined) {
        if (holder.kind === 'friend') this.#withheld.add(shard);
        if (this.#onWithheld(holder, manifest.packId, index)) {
          this.#withheld.add(shard);
          this.#reject(holder, manifest, index, withheldWords, 'shard-missing');
        }
        return undefined;
      }
      this.#bytesRead += range.bytes.length;
      if (range.bytes.length === leafCount * leafBytes) return range;
      this.#reject(holder, manifest, index, alteredWords);
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      if (error.code === 'holder-unavailable') this.#gone.set(holder.id, holder);
      else this.#reject(holder, manifest, index, messageOf(error), error.code);
    }
    return undefined;
  }

  /** Lets holders that are back be asked again, each a few times at most. True if there are any. */
  async #someAreBack(): Promise<boolean> {
    let some = false;
    for (const [id, holder] of this.#gone) {
      const times = this.#timesGone.get(id) ?? 0;
      if (times >= timesGoneMax || !(await this.#places.isBack(holder)) || !this.#gone.delete(id)) continue;
      this.#timesGone.set(id, times + 1);
      this.#returns++;
      some = true;
    }
    return some;
  }

  /** Who might unlock a pack: those that are away, and those that didn't answer. */
  #awayOf(manifest: Manifest): NamedHolder[] {
    return [...this.#places.away(manifest), ...this.#gone.values()];
  }

  /** Tells of a shard once. Only bytes that were seen to be wrong are remembered: other failures may pass. */
  #reject(
    holder: Holder,
    manifest: Manifest,
    index: number,
    message: string,
    code: Problem['code'] = 'shard-damaged',
  ): void {
    const shard = shardKey(holder.id, manifest.packId, index);
    if (this.#bad.has(shard)) return;
    this.#bad.add(shard);
    this.#badRows.add(rowKey(manifest, index));
    this.#replaced++;
    this.#onProblem({ item: holder.name, message, code });
    if (code === 'shard-damaged') this.#onDamage(holder, manifest.packId, index);
  }
}

function runKey(manifest: Manifest, index: number): string {
  return `${idKey(manifest.packId)}${index}`;
}

function rowKey(manifest: Manifest, index: number): string {
  return `${index}/${idKey(manifest.packId)}`;
}

function rootOf(manifest: Manifest, index: number): Uint8Array {
  const root = manifest.roots[index];
  if (root === undefined) throw new KithError('internal', `no row ${index} in a pack`);
  return root;
}

/** The error for a pack of which fewer than k shards can be had. */
export function tooFew(manifest: Manifest, here: number, away: readonly NamedHolder[]): KithError {
  const unlock =
    away.length > 0
      ? `${bringBack(away)} and try again.`
      : 'Nobody that kith knows of has the missing parts; `kith status` shows what is left.';
  return new KithError(
    'not-restorable',
    `cannot be restored now: ${here} of the ${manifest.k} parts that are needed can be reached. ${unlock}`,
    { details: { needed: manifest.k, reached: here, away: [...new Set(away.map(({ name }) => name))] } },
  );
}
