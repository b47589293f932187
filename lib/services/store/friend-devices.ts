import { KithError } from '../../base/errors.ts';
import type {
  Availability,
  GetOptions,
  HeldLog,
  Holder,
  HolderLogs,
  InventoryEntry,
  InventoryOptions,
  Reservation,
  Room,
  ShardRange,
  ShardRef,
  ShardToPut,
} from '../../holders/holder.ts';

/** One computer of a friend as a holder, and whether it can be called now. */
export interface FriendDevice {
  /** 64 hex digits: its signing key. */
  readonly deviceId: string;
  readonly holder: Holder;
  readonly connected: boolean;
}

export interface FriendDevicesOptions {
  /** The friend's identity, 64 hex digits. */
  readonly id: string;
  readonly name: string;
  readonly household: string | undefined;
  /** All that the friend's card names and has not revoked, as it is now; each is the same object every time. */
  readonly devices: () => readonly FriendDevice[];
  /** Why none is connected, in words. */
  readonly whyAway: () => string;
}

/**
 * A friend with all its computers as one holder. Each of them has a store of its own, and any may have a part of what is ours: so a shard is
 * absent only where all of them are here and lack it. New ones go where most is already. With one computer it is that one.
 */
export class FriendDevices implements Holder {
  readonly id: string;
  readonly kind = 'friend' as const;
  readonly name: string;
  readonly household: string | undefined;
  readonly logs: HolderLogs;
  readonly #options: FriendDevicesOptions;
  /** Bytes of ours that each computer said it has, by its id. */
  readonly #usedBytes = new Map<string, number>();
  readonly #reservedAt = new WeakMap<Reservation, Holder>();

  constructor(options: FriendDevicesOptions) {
    this.id = options.id;
    this.name = options.name;
    this.household = options.household;
    this.#options = options;
    this.logs = {
      list: async (): Promise<HeldLog[]> => await (await this.#main()).logs.list(),
      putSegment: async (logKey, firstIndex, bytes) => {
        await (await this.#main()).logs.putSegment(logKey, firstIndex, bytes);
      },
      getSegment: async (logKey, firstIndex) =>
        await (await this.#main()).logs.getSegment(logKey, firstIndex),
    };
  }

  /** Those that are here, each as a holder of its own: logs are exchanged with each. */
  computers(): readonly Holder[] {
    return this.#here().map(({ holder }) => holder);
  }

  partAway(): string | undefined {
    const all = this.#options.devices();
    const away = all.filter(({ connected }) => !connected).length;
    if (away === 0 || away === all.length) return undefined;
    return `${away === 1 ? 'another computer' : `${away} other computers`} of "${this.name}" may have a part, and can't be asked now`;
  }

  async check(): Promise<Availability> {
    let told: Availability = { available: false, foreign: false, reason: this.#options.whyAway() };
    for (const { holder } of this.#here()) {
      told = await holder.check();
      if (told.available) return told;
    }
    return told;
  }

  async room(): Promise<Room> {
    return await (await this.#main()).room();
  }

  async reserve(bytes: number): Promise<Reservation> {
    const holder = await this.#main();
    const reservation = await holder.reserve(bytes);
    this.#reservedAt.set(reservation, holder);
    return reservation;
  }

  async put(shard: ShardToPut, reservation?: Reservation, signal?: AbortSignal): Promise<void> {
    const reservedAt = reservation === undefined ? undefined : this.#reservedAt.get(reservation);
    await (reservedAt ?? (await this.#main())).put(shard, reservation, signal);
  }

  get(
    ref: ShardRef,
    firstLeaf: number,
    leafCount: number,
    options?: GetOptions,
  ): Promise<ShardRange | undefined> {
    return this.#anywhere((holder) => holder.get(ref, firstLeaf, leafCount, options), isThere);
  }

  stat(ref: ShardRef): Promise<{ readonly fileBytes: number } | undefined> {
    return this.#anywhere((holder) => holder.stat(ref), isThere);
  }

  manifest(ref: ShardRef): Promise<Uint8Array | undefined> {
    return this.#anywhere((holder) => holder.manifest(ref), isThere);
  }

  verify(ref: ShardRef): Promise<'good' | 'damaged' | 'missing'> {
    return this.#best((holder) => holder.verify(ref), ['good', 'damaged', 'missing']);
  }

  /** What those that are here list, one after the other; `partAway` says whether that is all. */
  async *inventory(options?: InventoryOptions): AsyncGenerator<InventoryEntry> {
    for (const holder of this.#needed()) yield* holder.inventory(options);
  }

  async delete(ref: ShardRef): Promise<boolean> {
    return await (await this.#main()).delete(ref);
  }

  async settle(refs: readonly ShardRef[]): Promise<void> {
    for (const holder of this.#needed()) await holder.settle(refs);
  }

  async putKeyRecord(bytes: Uint8Array): Promise<void> {
    for (const holder of this.#needed()) await holder.putKeyRecord(bytes);
  }

  async getKeyRecord(): Promise<Uint8Array | undefined> {
    for (const holder of this.#needed()) {
      const bytes = await holder.getKeyRecord();
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  #here(): FriendDevice[] {
    return this.#options.devices().filter(({ connected }) => connected);
  }

  /** KithError `holder-unavailable` where none is here. */
  #needed(): Holder[] {
    const here = this.#here();
    if (here.length === 0) throw this.#away(this.#options.whyAway());
    return here.map(({ holder }) => holder);
  }

  /** The one of those that are here with most of what is ours; of equals the first by its id, so that it stays the same. */
  async #main(): Promise<Holder> {
    const here = this.#here();
    const [only] = here;
    if (only === undefined) throw this.#away(this.#options.whyAway());
    if (here.length === 1) return only.holder;
    for (const { deviceId, holder } of here) {
      if (this.#usedBytes.has(deviceId)) continue;
      this.#usedBytes.set(deviceId, (await holder.room()).usedBytes);
    }
    const used = ({ deviceId }: FriendDevice): number => this.#usedBytes.get(deviceId) ?? 0;
    const ordered = here.toSorted((a, b) => used(b) - used(a) || (a.deviceId < b.deviceId ? -1 : 1));
    return (ordered[0] ?? only).holder;
  }

  /**
   * Asks one after the other until one has it. That nobody has it is believed only if all the friend's computers were asked; an error of one
   * doesn't keep the others from being asked, and counts where none has it.
   */
  async #anywhere<T>(ask: (holder: Holder) => Promise<T>, has: (answer: T) => boolean): Promise<T> {
    let absent: { readonly answer: T } | undefined;
    let failure: { readonly error: unknown } | undefined;
    for (const holder of this.#needed()) {
      try {
        const answer = await ask(holder);
        if (has(answer)) return answer;
        absent = { answer };
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== undefined) throw failure.error;
    const why = this.partAway();
    if (absent === undefined || why !== undefined) throw this.#away(why ?? this.#options.whyAway());
    return absent.answer;
  }

  /** The best answer of any, by this order; the last one says that something is absent, which all of them must say. */
  async #best<T>(ask: (holder: Holder) => Promise<T>, order: readonly T[]): Promise<T> {
    const answers = new Set<T>();
    const answer = await this.#anywhere(
      async (holder) => {
        const one = await ask(holder);
        answers.add(one);
        return one;
      },
      (one) => one === order[0],
    ).catch((error: unknown) => {
      const found = order.slice(0, -1).find((each) => answers.has(each));
      if (found === undefined) throw error;
      return found;
    });
    return order.find((each) => answers.has(each)) ?? answer;
  }

  #away(why: string): KithError {
    return new KithError('holder-unavailable', `"${this.name}" can't be used now: ${why}`, {
      details: { holder: this.id, name: this.name, foreign: false },
    });
  }
}

function isThere(answer: unknown): boolean {
  return answer !== undefined;
}
