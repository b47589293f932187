import { idKey } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { classBytes, leafBytes } from '../base/limits.ts';
import { leafHashes, verifyRange } from '../crypto/merkle.ts';
import type { Manifest } from '../format/manifest.ts';
import type { Holder } from '../holders/holder.ts';
import type { ErasureCoder } from '../kernels/reed-solomon.ts';
import type { LeafSource } from '../pipeline/pack-reader.ts';
import { bringBack, type NamedHolder } from '../placement/words.ts';
import { shardKey } from './damage-book.ts';
import { inTime } from './in-time.ts';
import type { Problem } from './types.ts';

/** Leaves that are fetched together: 512 KiB, about a frame. */
export const windowLeaves = 8;
/** A friend has so long to give a range of at most 512 KiB: less than 10 kB/s is of no use to anybody who waits. */
const getMsMax = 60_000;
/** How often a holder that didn't answer, and then seems to be back, is asked again by one operation. */
const timesGoneMax = 3;
const withheldWords = 'it lists a part of your backup that it does not give; others are used';
/** Windows that are remembered: 48 MiB. */
const windowsMax = 96;

/** Where shards may be: holders that have been seen with a shard come first. */
export interface ShardPlaces {
  /** Holders to ask for a shard, best first. */
  holdersOf(manifest: Manifest, index: number): readonly Holder[];
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
  readonly #windows = new Map<string, Promise<Uint8Array>>();
  /** Shards of which some range was bad: told once. Other ranges of them may still serve. */
  readonly #bad = new Set<string>();
  /** Shards that their holders don't have, though they list them, or are friends: not asked for again. */
  readonly #withheld = new Set<string>();
  readonly #onDamage: (holder: Holder, packId: Uint8Array, index: number) => void;
  readonly #onWithheld: (holder: Holder, packId: Uint8Array, index: number) => boolean;
  /** Holders that didn't answer: left out, until too few others are left and they are back. */
  readonly #gone = new Map<string, Holder>();
  readonly #timesGone = new Map<string, number>();
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
  }) {
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

  async leaves(manifest: Manifest, index: number, firstLeaf: number, leafCount: number): Promise<Uint8Array> {
    const total = (classBytes[manifest.class] ?? 0) / leafBytes;
    const span = Math.min(windowLeaves, total);
    const firstWindow = Math.floor(firstLeaf / span);
    const lastWindow = Math.floor((firstLeaf + leafCount - 1) / span);
    const windows = await Promise.all(
      Array.from({ length: lastWindow - firstWindow + 1 }, (_, i) =>
        this.#window(manifest, index, firstWindow + i, span),
      ),
    );
    const from = (firstLeaf - firstWindow * span) * leafBytes;
    const [only] = windows;
    if (windows.length === 1 && only !== undefined) return only.subarray(from, from + leafCount * leafBytes);
    const joined = new Uint8Array(leafCount * leafBytes);
    for (const [i, window] of windows.entries()) {
      const windowStart = i * span * leafBytes - from;
      const part = window.subarray(Math.max(0, -windowStart), Math.max(0, joined.length - windowStart));
      joined.set(part, Math.max(0, windowStart));
    }
    return joined;
  }

  #window(manifest: Manifest, index: number, window: number, span: number): Promise<Uint8Array> {
    const key = `${idKey(manifest.packId)}${index}/${window}`;
    const known = this.#windows.get(key);
    if (known !== undefined) {
      this.#windows.delete(key);
      this.#windows.set(key, known);
      return known;
    }
    const fetched = this.#fetch(manifest, index, window * span, span);
    this.#windows.set(key, fetched);
    fetched.catch(() => this.#windows.delete(key));
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= windowsMax) break;
      this.#windows.delete(oldest);
    }
    return fetched;
  }

  async #fetch(manifest: Manifest, index: number, firstLeaf: number, leafCount: number): Promise<Uint8Array> {
    const direct = await this.verified(manifest, index, firstLeaf, leafCount);
    if (direct !== undefined) return direct;
    const [decoded] = await this.decoded(manifest, firstLeaf, leafCount, [index]);
    if (decoded === undefined) throw new KithError('internal', 'the coder returned nothing');
    return decoded;
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
    const available = await this.#anyRows(manifest, firstLeaf, leafCount);
    if (available.length === manifest.k) return this.#coder.reconstruct(manifest.k, available, wanted);
    if (await this.#someAreBack()) return this.decoded(manifest, firstLeaf, leafCount, wanted);
    if (leafCount === 1) throw tooFew(manifest, available.length, this.#awayOf(manifest));
    const parts = wanted.map(() => new Uint8Array(leafCount * leafBytes));
    for (let leaf = 0; leaf < leafCount; leaf++) {
      const rows = await this.decoded(manifest, firstLeaf + leaf, 1, wanted);
      for (const [i, row] of rows.entries()) parts[i]?.set(row, leaf * leafBytes);
    }
    return parts;
  }

  /** A range of up to k different shards, each verified, from whoever has them. */
  async #anyRows(
    manifest: Manifest,
    firstLeaf: number,
    leafCount: number,
  ): Promise<{ index: number; bytes: Uint8Array }[]> {
    const available: { index: number; bytes: Uint8Array }[] = [];
    for (let at = 0; at < manifest.roots.length && available.length < manifest.k;) {
      const until = Math.min(manifest.roots.length, at + manifest.k - available.length);
      const batch = Array.from({ length: until - at }, (_, i) => at + i);
      at = until;
      const results = await Promise.all(
        batch.map(async (row) => ({ row, bytes: await this.verified(manifest, row, firstLeaf, leafCount) })),
      );
      for (const { row, bytes } of results) if (bytes !== undefined) available.push({ index: row, bytes });
    }
    return available;
  }

  /** A range of one shard as some holder has it, verified; undefined if none has it whole. */
  async verified(
    manifest: Manifest,
    index: number,
    firstLeaf: number,
    leafCount: number,
  ): Promise<Uint8Array | undefined> {
    const root = manifest.roots[index];
    if (root === undefined) return undefined;
    const total = (classBytes[manifest.class] ?? 0) / leafBytes;
    const ref = { packId: manifest.packId, index };
    for (const holder of this.#places.holdersOf(manifest, index)) {
      const shard = shardKey(holder.id, manifest.packId, index);
      if (this.#gone.has(holder.id) || this.#withheld.has(shard)) continue;
      try {
        const range = await inTime(holder, getMsMax, () => holder.get(ref, firstLeaf, leafCount));
        if (range === undefined) {
          if (holder.kind === 'friend') this.#withheld.add(shard);
          if (this.#onWithheld(holder, manifest.packId, index)) {
            this.#withheld.add(shard);
            this.#reject(holder, manifest, index, withheldWords, 'shard-missing');
          }
          continue;
        }
        this.#bytesRead += range.bytes.length;
        const whole = range.bytes.length === leafCount * leafBytes;
        if (whole && verifyRange(leafHashes(range.bytes, leafBytes), firstLeaf, total, range.proof, root))
          return range.bytes;
        this.#reject(holder, manifest, index, 'a part of what it holds was altered; another copy is used');
      } catch (error) {
        if (!isKithError(error) || error.code === 'interrupted') throw error;
        if (error.code === 'holder-unavailable') {
          this.#gone.set(holder.id, holder);
          continue;
        }
        this.#reject(holder, manifest, index, messageOf(error), error.code);
      }
    }
    return undefined;
  }

  /** Lets holders that are back be asked again, each a few times at most. True if there are any. */
  async #someAreBack(): Promise<boolean> {
    let some = false;
    for (const [id, holder] of this.#gone) {
      const times = this.#timesGone.get(id) ?? 0;
      if (times >= timesGoneMax || !(await this.#places.isBack(holder))) continue;
      this.#timesGone.set(id, times + 1);
      some = this.#gone.delete(id) || some;
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
    this.#replaced++;
    this.#onProblem({ item: holder.name, message, code });
    if (code === 'shard-damaged') this.#onDamage(holder, manifest.packId, index);
  }
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
