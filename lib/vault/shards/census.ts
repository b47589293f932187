import { idKey } from '../../base/bytes.ts';
import { mapLimited, throwIfAborted } from '../../base/concurrency.ts';
import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import { rowCountMax } from '../../base/limits.ts';
import type { KnownPack } from '../../catalog/pack-table.ts';
import { shardFileBytes } from '../../format/shard-file.ts';
import type { ExpectedFile, InventoryOptions } from '../../holders/holder.ts';
import type { DamageBook } from './damage-book.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Problem } from '../types.ts';

type Expected = NonNullable<InventoryOptions['expected']>;

/** A shard that a holder says it has, by its listing. */
export interface CountedShard {
  readonly index: number;
  readonly keeper: KnownHolder;
  /** Why it can't be whole, in words; undefined when nothing speaks against it. */
  readonly damaged: string | undefined;
  /** True where `damaged` only says that the holder could not be asked, or doesn't give it: nothing is known of its bytes. */
  readonly unasked: boolean;
}

const noShards: readonly number[] = [];

/** Holders that list at once. */
const listedAtOnce = 8;

/** A friend has so long to list what it has: a million shards in pages, even over a slow line. */
const listMsMax = 120_000;

/** Shards that one holder may list: some terabytes of the largest, and 100 MB here while they are sorted. */
export const inventoryEntriesMax = 1_000_000;

/** Why a shard counts as damaged that an earlier operation found so. */
const foundDamaged = 'it was found damaged before';

/** What one holder listed. */
interface Listed {
  readonly key: string;
  readonly packId: Uint8Array;
  readonly index: number;
  readonly damaged: string | undefined;
}

/**
 * Which holder has which shard, from listings made now: the truth that ledger hints are held against. Kept small: one number a shard.
 */
export class Census {
  readonly #holders: readonly KnownHolder[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #shards = new Map<string, number[]>();
  readonly #damaged = new Map<string, string>();
  readonly #packIds = new Map<string, Uint8Array>();
  /** Damaged ones that are of the right length. */
  readonly #partly = new Set<string>();
  /** Those that were disregarded. */
  readonly #unasked = new Set<string>();
  readonly #failed = new Set<string>();
  readonly #inPart = new Set<string>();
  readonly #book: DamageBook | undefined;

  private constructor(holders: readonly KnownHolder[], book: DamageBook | undefined) {
    this.#holders = holders;
    this.#numbers = new Map(holders.map(({ id }, number) => [id, number]));
    this.#book = book;
  }

  /** Has every holder listed. One that fails in the middle is left out and reported: its shards count as away. */
  static async take(
    holders: readonly KnownHolder[],
    onProblem: (problem: Problem) => void,
    options: {
      readonly signal?: AbortSignal | undefined;
      readonly damage?: DamageBook;
      readonly expected?: Expected;
    } = {},
  ): Promise<{ census: Census; failed: KnownHolder[] }> {
    const { signal, damage, expected } = options;
    const census = new Census(holders, damage);
    const lists = await mapLimited(holders, listedAtOnce, async (keeper) => {
      try {
        // Before and after: what went away meanwhile may not have been listed, what came may have come too late.
        const before = keeper.holder.partAway?.();
        const listed = await listOf(keeper, onProblem, { signal, damage, expected });
        if ((before ?? keeper.holder.partAway?.()) !== undefined) census.#inPart.add(keeper.id);
        return listed;
      } catch (error) {
        if (!isKithError(error) || error.code === 'interrupted') throw error;
        onProblem({ item: keeper.name, message: messageOf(error), code: error.code });
        return undefined;
      }
    });
    const failed = holders.filter((_, number) => lists[number] === undefined);
    for (const { id } of failed) census.#failed.add(id);
    for (const [number, listed] of lists.entries())
      for (const shard of listed ?? [])
        census.#add(shard.key, shard.packId, shard.index, number, shard.damaged);
    return { census, failed };
  }

  /** The holders that were listed in full. */
  get holders(): readonly KnownHolder[] {
    return this.#holders.filter((keeper) => !this.#failed.has(keeper.id));
  }

  /** Those of them that have nothing beside what they listed: what they didn't list, they lack. */
  get wholeHolders(): readonly KnownHolder[] {
    return this.holders.filter((keeper) => !this.#inPart.has(keeper.id));
  }

  /** Those that listed a part of what they have: another part of them is away. */
  get inPart(): readonly KnownHolder[] {
    return this.holders.filter((keeper) => this.#inPart.has(keeper.id));
  }

  /** Shards that a holder listed, bad ones included; 0 for one that wasn't listed. */
  countOf(holderId: string): number {
    const number = this.#numbers.get(holderId);
    let count = 0;
    for (const codes of this.#shards.values())
      for (const code of codes) if (Math.floor(code / 256) === number) count++;
    return count;
  }

  #add(key: string, packId: Uint8Array, index: number, number: number, damaged: string | undefined): void {
    const shards = this.#shards.get(key);
    const code = number * 256 + index;
    if (shards === undefined) {
      this.#shards.set(key, [code]);
      this.#packIds.set(key, packId.slice());
    } else {
      shards.push(code);
    }
    if (damaged !== undefined) this.#damaged.set(`${key}${code}`, damaged);
    if (damaged === foundDamaged) this.#partly.add(`${key}${code}`);
  }

  /** All shards of a pack, in order of holders. */
  shards(packId: Uint8Array): CountedShard[] {
    const key = idKey(packId);
    const counted: CountedShard[] = [];
    for (const code of this.#shards.get(key) ?? noShards) {
      const keeper = this.#holders[Math.floor(code / 256)];
      if (keeper === undefined || this.#failed.has(keeper.id)) continue;
      const damaged = this.#damaged.get(`${key}${code}`);
      counted.push({ index: code % 256, keeper, damaged, unasked: this.#unasked.has(`${key}${code}`) });
    }
    return counted;
  }

  /** Shards of a pack that seem whole. */
  good(packId: Uint8Array): CountedShard[] {
    return this.shards(packId).filter((shard) => shard.damaged === undefined);
  }

  #shardKey(packId: Uint8Array, index: number, { id }: KnownHolder): string {
    return `${idKey(packId)}${(this.#numbers.get(id) ?? -1) * 256 + index}`;
  }

  /** True if the holder listed the shard. */
  lists(packId: Uint8Array, index: number, { id }: KnownHolder): boolean {
    const number = this.#numbers.get(id);
    return number !== undefined && this.#shards.get(idKey(packId))?.includes(number * 256 + index) === true;
  }

  /** Leaves a shard out of this operation: it could not be asked about, which says nothing of its bytes. */
  disregard(packId: Uint8Array, index: number, keeper: KnownHolder, reason: string): void {
    const key = this.#shardKey(packId, index, keeper);
    this.#damaged.set(key, reason);
    this.#unasked.add(key);
  }

  /** A holder went away: what it listed counts from now on as what others have that are away. */
  lose(keeper: KnownHolder): void {
    this.#failed.add(keeper.id);
  }

  /**
   * Shards of a pack that are there in full length, those included of which some bytes were found bad: other ranges of them may still
   * serve where too few whole ones are left.
   */
  readable(packId: Uint8Array): CountedShard[] {
    return this.shards(packId).filter(({ index, keeper, damaged }) => {
      return damaged === undefined || this.#partly.has(this.#shardKey(packId, index, keeper));
    });
  }

  /** Notes that a shard turned out bad when its bytes were read; remembered beyond this operation. */
  markDamaged(packId: Uint8Array, index: number, keeper: KnownHolder, reason: string): void {
    const key = this.#shardKey(packId, index, keeper);
    this.#damaged.set(key, reason);
    this.#partly.add(key);
    this.#unasked.delete(key);
    this.#book?.add(keeper.id, packId, index);
  }

  /** Forgets what was only remembered as damaged, of all packs or of these (by id key): every byte is about to be read. */
  forgetRemembered(packs?: ReadonlySet<string>): void {
    for (const [key, reason] of this.#damaged) {
      if (reason !== foundDamaged) continue;
      if (packs === undefined || packs.has(key.slice(0, 32))) this.#damaged.delete(key);
    }
  }

  /** Notes a shard that was just put, or whose every byte was read and is right. */
  markHeld(packId: Uint8Array, index: number, keeper: KnownHolder): void {
    const number = this.#numbers.get(keeper.id);
    if (number === undefined) return;
    const key = idKey(packId);
    const code = number * 256 + index;
    this.#damaged.delete(`${key}${code}`);
    this.#partly.delete(`${key}${code}`);
    this.#unasked.delete(`${key}${code}`);
    this.#book?.remove(keeper.id, packId, index);
    if (this.#shards.get(key)?.includes(code) !== true) this.#add(key, packId, index, number, undefined);
  }

  /** Every pack of which any holder has a shard. */
  packIds(): IterableIterator<Uint8Array> {
    return this.#packIds.values();
  }
}

interface ListOptions {
  readonly signal: AbortSignal | undefined;
  readonly damage: DamageBook | undefined;
  readonly expected: Expected | undefined;
}

/** What files of packs that the vault knows must be like; each pack is looked up once. */
export function expectedFiles(pack: (packId: Uint8Array) => KnownPack | undefined): Expected {
  const known = new Map<string, ExpectedFile | undefined>();
  return (packId) => {
    const key = idKey(packId);
    if (known.has(key)) return known.get(key);
    const found = pack(packId);
    const file =
      found === undefined
        ? undefined
        : {
            class: found.manifest.class,
            fileBytes: shardFileBytes({
              class: found.manifest.class,
              manifestBytes: found.manifestBytes.length,
            }),
          };
    known.set(key, file);
    return file;
  };
}

async function listOf(
  keeper: KnownHolder,
  onProblem: (problem: Problem) => void,
  { signal, damage, expected }: ListOptions,
): Promise<Listed[]> {
  const tooSlow = new AbortController();
  const timer = keeper.kind === 'drive' ? undefined : setTimeout(() => tooSlow.abort(), listMsMax);
  try {
    const signals = signal === undefined ? [tooSlow.signal] : [signal, tooSlow.signal];
    return await readList(keeper, onProblem, { signal: AbortSignal.any(signals), damage, expected });
  } catch (error) {
    if (!tooSlow.signal.aborted || signal?.aborted === true) throw error;
    throw new KithError('holder-unavailable', 'it took too long to list what it has', { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function readList(
  keeper: KnownHolder,
  onProblem: (problem: Problem) => void,
  { signal, damage, expected }: ListOptions & { readonly signal: AbortSignal },
): Promise<Listed[]> {
  const listed: Listed[] = [];
  const seen = new Set<string>();
  const entries = keeper.holder.inventory({
    signal,
    expected,
    onProblem: ({ name, message }) =>
      onProblem({ item: `${keeper.name}: ${name}`, message, code: 'malformed' }),
  });
  for await (const { packId, index, damaged } of entries) {
    throwIfAborted(signal);
    if (listed.length >= inventoryEntriesMax) {
      throw new KithError('limit-exceeded', `it lists more than ${inventoryEntriesMax} parts`);
    }
    if (!Number.isInteger(index) || index < 0 || index >= rowCountMax || packId.length !== 32) {
      throw new KithError('malformed', 'it lists what can be no part of a backup');
    }
    const key = idKey(packId);
    // Once: who says it twice has it once.
    if (seen.has(`${key}${index}`)) continue;
    seen.add(`${key}${index}`);
    const remembered = damage?.has(keeper.id, packId, index) === true ? foundDamaged : undefined;
    listed.push({ key, packId, index, damaged: damaged ?? remembered });
  }
  return listed;
}
