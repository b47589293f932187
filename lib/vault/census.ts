import { idKey } from '../base/bytes.ts';
import { isKithError, messageOf } from '../base/errors.ts';
import type { DamageBook } from './damage-book.ts';
import type { KnownDrive } from './session.ts';
import type { Problem } from './types.ts';

/** A shard that a holder says it has, by its listing. */
export interface CountedShard {
  readonly index: number;
  readonly drive: KnownDrive;
  /** Why it can't be whole, in words; undefined when nothing speaks against it. */
  readonly damaged: string | undefined;
}

const noShards: readonly number[] = [];

/** Why a shard counts as damaged that an earlier operation found so. */
const foundDamaged = 'it was found damaged before';

/**
 * Which holder has which shard, from listings made now: the truth that ledger hints are held against. Kept small: one number a shard.
 */
export class Census {
  readonly #drives: readonly KnownDrive[];
  readonly #shards = new Map<string, number[]>();
  readonly #damaged = new Map<string, string>();
  readonly #packIds = new Map<string, Uint8Array>();
  /** Damaged ones that are of the right length. */
  readonly #partly = new Set<string>();
  readonly #failed = new Set<KnownDrive>();
  readonly #book: DamageBook | undefined;

  private constructor(drives: readonly KnownDrive[], book: DamageBook | undefined) {
    this.#drives = drives;
    this.#book = book;
  }

  /** Lists every drive given. One that fails in the middle is left out and reported: its shards count as away. */
  static async take(
    drives: readonly KnownDrive[],
    onProblem: (problem: Problem) => void,
    options: { readonly signal?: AbortSignal | undefined; readonly damage?: DamageBook } = {},
  ): Promise<{ census: Census; failed: KnownDrive[] }> {
    const { signal, damage } = options;
    const census = new Census(drives, damage);
    const failed: KnownDrive[] = [];
    for (const [number, drive] of drives.entries()) {
      const found: { key: string; packId: Uint8Array; index: number; damaged: string | undefined }[] = [];
      try {
        for await (const entry of drive.holder.inventory({
          ...(signal === undefined ? {} : { signal }),
          onProblem: ({ name, message }) =>
            onProblem({ item: `${drive.name}: ${name}`, message, code: 'malformed' }),
        })) {
          const { packId, index } = entry;
          const remembered = damage?.has(drive.id, packId, index) === true ? foundDamaged : undefined;
          found.push({ key: idKey(packId), packId, index, damaged: entry.damaged ?? remembered });
        }
      } catch (error) {
        if (!isKithError(error) || error.code === 'interrupted') throw error;
        failed.push(drive);
        census.#failed.add(drive);
        onProblem({ item: drive.name, message: messageOf(error), code: error.code });
        continue;
      }
      for (const shard of found) census.#add(shard.key, shard.packId, shard.index, number, shard.damaged);
    }
    return { census, failed };
  }

  /** The drives that were listed, in full or until they failed. */
  get drives(): readonly KnownDrive[] {
    return this.#drives.filter((drive) => !this.#failed.has(drive));
  }

  #add(key: string, packId: Uint8Array, index: number, drive: number, damaged: string | undefined): void {
    const shards = this.#shards.get(key);
    const code = drive * 256 + index;
    if (shards === undefined) {
      this.#shards.set(key, [code]);
      this.#packIds.set(key, packId.slice());
    } else {
      shards.push(code);
    }
    if (damaged !== undefined) this.#damaged.set(`${key}${code}`, damaged);
    if (damaged === foundDamaged) this.#partly.add(`${key}${code}`);
  }

  /** All shards of a pack, in order of drives. */
  shards(packId: Uint8Array): CountedShard[] {
    const key = idKey(packId);
    const counted: CountedShard[] = [];
    for (const code of this.#shards.get(key) ?? noShards) {
      const drive = this.#drives[Math.floor(code / 256)];
      if (drive !== undefined)
        counted.push({ index: code % 256, drive, damaged: this.#damaged.get(`${key}${code}`) });
    }
    return counted;
  }

  /** Shards of a pack that seem whole. */
  good(packId: Uint8Array): CountedShard[] {
    return this.shards(packId).filter((shard) => shard.damaged === undefined);
  }

  /** Leaves a shard out of this operation: it could not be asked about, which says nothing of its bytes. */
  disregard(packId: Uint8Array, index: number, drive: KnownDrive, reason: string): void {
    this.#damaged.set(`${idKey(packId)}${this.#drives.indexOf(drive) * 256 + index}`, reason);
  }

  /**
   * Shards of a pack that are there in full length, those included of which some bytes were found bad: other ranges of them may still
   * serve where too few whole ones are left.
   */
  readable(packId: Uint8Array): CountedShard[] {
    const key = idKey(packId);
    return this.shards(packId).filter(({ index, drive, damaged }) => {
      return damaged === undefined || this.#partly.has(`${key}${this.#drives.indexOf(drive) * 256 + index}`);
    });
  }

  /** Notes that a shard turned out bad when its bytes were read; remembered beyond this operation. */
  markDamaged(packId: Uint8Array, index: number, drive: KnownDrive, reason: string): void {
    const key = `${idKey(packId)}${this.#drives.indexOf(drive) * 256 + index}`;
    this.#damaged.set(key, reason);
    this.#partly.add(key);
    this.#book?.add(drive.id, packId, index);
  }

  /** Forgets what was only remembered as damaged: every byte is about to be read. */
  forgetRemembered(): void {
    for (const [key, reason] of this.#damaged) if (reason === foundDamaged) this.#damaged.delete(key);
  }

  /** Notes a shard that was just put, or whose every byte was read and is right. */
  markHeld(packId: Uint8Array, index: number, drive: KnownDrive): void {
    const number = this.#drives.indexOf(drive);
    if (number < 0) return;
    const key = idKey(packId);
    const code = number * 256 + index;
    this.#damaged.delete(`${key}${code}`);
    this.#partly.delete(`${key}${code}`);
    this.#book?.remove(drive.id, packId, index);
    if (this.#shards.get(key)?.includes(code) !== true) this.#add(key, packId, index, number, undefined);
  }

  /** Every pack of which any drive has a shard. */
  packIds(): IterableIterator<Uint8Array> {
    return this.#packIds.values();
  }
}
