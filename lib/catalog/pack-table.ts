import { idKey, toHex } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { viewManifest, type Manifest } from '../format/manifest.ts';
import type { Placement } from '../format/ledger-records.ts';

/** A pack of the vault: its signed manifest (highest generation seen) and where shards were put, as hints. */
export interface KnownPack {
  /** Views into `manifestBytes`. */
  readonly manifest: Manifest;
  /** A view: not to be changed. */
  readonly manifestBytes: Uint8Array;
  /** Shard index → ids (hex) of holders that acknowledged it. The truth is each holder's inventory. */
  readonly hints: ReadonlyMap<number, ReadonlySet<string>>;
}

/** Manifests lie in a row in these: an array of its own for each would cost as much again. */
const slabBytes = 1024 * 1024;

/** Holders that hints can name: drives and friends that there ever were. A code is a holder's number × 64 + shard index. */
const holdersMax = 2 ** 24;
const rows = 64;

/**
 * PackId → manifest and hints, packed: well under a kilobyte a pack, since a vault of a terabyte has some hundred thousand, and every
 * command holds them all. Manifests are kept as their bytes, which must have been decoded once, and hints as numbers; both are
 * unpacked whenever they are asked for.
 */
export class PackTable {
  readonly #numbers = new Map<string, number>();
  readonly #slabs: Uint8Array[] = [];
  #slabUsed = slabBytes;
  /** By pack number: its slab × slabBytes + offset, the length of its manifest, its hints' codes. */
  readonly #places: number[] = [];
  readonly #lengths: number[] = [];
  readonly #hints: Uint32Array[] = [];
  readonly #holders: string[] = [];
  readonly #holderNumbers = new Map<string, number>();

  /** Takes a manifest that decodes, or another for the same pack; copies it. */
  set(packId: Uint8Array, manifestBytes: Uint8Array): void {
    const key = idKey(packId);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#places.length;
      this.#numbers.set(key, number);
      this.#hints.push(new Uint32Array(0));
    }
    this.#places[number] = this.#keep(manifestBytes);
    this.#lengths[number] = manifestBytes.length;
  }

  #keep(bytes: Uint8Array): number {
    if (this.#slabUsed + bytes.length > slabBytes) {
      this.#slabs.push(new Uint8Array(slabBytes));
      this.#slabUsed = 0;
    }
    const offset = this.#slabUsed;
    this.#slabs.at(-1)?.set(bytes, offset);
    this.#slabUsed += bytes.length;
    return (this.#slabs.length - 1) * slabBytes + offset;
  }

  /** Adds to what is known of a pack's shards. Nothing happens for an unknown pack. */
  addHints(packId: Uint8Array, placements: readonly Placement[]): void {
    const number = this.#numbers.get(idKey(packId));
    if (number === undefined || placements.length === 0) return;
    const codes = new Set(this.#hints[number]);
    for (const { shardIndex, holderId } of placements) codes.add(this.#codeOf(shardIndex, holderId));
    this.#hints[number] = Uint32Array.from(codes);
  }

  /** Replaces what is known of the shards that the placements name. */
  replaceHints(packId: Uint8Array, placements: readonly Placement[]): void {
    const number = this.#numbers.get(idKey(packId));
    if (number === undefined) return;
    const replaced = new Set(placements.map(({ shardIndex }) => shardIndex));
    this.#hints[number] = (this.#hints[number] ?? new Uint32Array(0)).filter(
      (code) => !replaced.has(code % rows),
    );
    this.addHints(packId, placements);
  }

  #codeOf(shardIndex: number, holderId: Uint8Array): number {
    const id = toHex(holderId);
    let holder = this.#holderNumbers.get(id);
    if (holder === undefined) {
      holder = this.#holders.length;
      if (holder >= holdersMax) throw new KithError('limit-exceeded', 'more holders than can be counted');
      this.#holderNumbers.set(id, holder);
      this.#holders.push(id);
    }
    return holder * rows + shardIndex;
  }

  get(packId: Uint8Array): KnownPack | undefined {
    const number = this.#numbers.get(idKey(packId));
    return number === undefined ? undefined : this.#pack(number);
  }

  *values(): Generator<KnownPack, undefined, undefined> {
    for (let number = 0; number < this.#places.length; number++) yield this.#pack(number);
    return undefined;
  }

  /** Own getters, so that spreading a pack into another object reads them. */
  #pack(number: number): KnownPack {
    const bytesOf = (): Uint8Array => this.#manifestBytes(number);
    const hintsOf = (): ReadonlyMap<number, ReadonlySet<string>> => this.#hintsOf(number);
    return {
      get manifest(): Manifest {
        return viewManifest(bytesOf());
      },
      get manifestBytes(): Uint8Array {
        return bytesOf();
      },
      get hints(): ReadonlyMap<number, ReadonlySet<string>> {
        return hintsOf();
      },
    };
  }

  #manifestBytes(number: number): Uint8Array {
    const place = this.#places[number] ?? 0;
    const offset = place % slabBytes;
    const slab = this.#slabs[(place - offset) / slabBytes] ?? new Uint8Array(0);
    return slab.subarray(offset, offset + (this.#lengths[number] ?? 0));
  }

  #hintsOf(number: number): Map<number, Set<string>> {
    const hints = new Map<number, Set<string>>();
    for (const code of this.#hints[number] ?? []) {
      const index = code % rows;
      const holders = hints.get(index) ?? new Set<string>();
      hints.set(index, holders.add(this.#holders[(code - index) / rows] ?? ''));
    }
    return hints;
  }
}
