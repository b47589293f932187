import { KithError } from '../../lib/base/errors.ts';
import type {
  Availability,
  GetOptions,
  Holder,
  HolderLogs,
  InventoryEntry,
  InventoryOptions,
  Reservation,
  Room,
  ShardRange,
  ShardRef,
  ShardToPut,
} from '../../lib/holders/holder.ts';

/** One call at a holder, as rules see it. */
export interface HolderCall {
  readonly operation:
    | 'room'
    | 'reserve'
    | 'put'
    | 'get'
    | 'stat'
    | 'manifest'
    | 'inventory'
    | 'verify'
    | 'delete'
    | 'settle'
    | 'logs.list'
    | 'logs.putSegment'
    | 'logs.getSegment'
    | 'putKeyRecord'
    | 'getKeyRecord';
  readonly ref?: ShardRef;
  /** From 0, over all calls of this operation. */
  readonly ordinal: number;
}

/**
 * A holder that fails, dawdles or lies when told to, over one that doesn't. Rules may be changed at any time; a rule
 * that throws makes the call throw.
 */
export class FaultHolder implements Holder {
  readonly id: string;
  readonly kind: 'drive' | 'friend';
  readonly name: string;
  readonly household: string | undefined;
  readonly logs: HolderLogs;
  readonly #inner: Holder;
  readonly #calls: HolderCall[] = [];
  /** Says away in `check`, and throws `holder-unavailable` in everything else. */
  away: boolean = false;
  /** Runs before each call; throw to fail it, wait to slow it down. */
  before: (call: HolderCall) => void | Promise<void> = () => undefined;
  /** Changes what `get` hands out: a copy, so that it may be changed in place. */
  lie: (range: { bytes: Uint8Array; proof: Uint8Array }, call: HolderCall) => ShardRange | undefined = (
    range,
  ) => range;
  /** What it gives for the key record in the place of what is there. */
  keyRecord: Uint8Array | undefined;
  /** What it lists beside what is there. */
  adds: readonly InventoryEntry[] = [];
  /** Shards that it keeps to itself though the inventory has them. */
  withholds: (ref: ShardRef) => boolean = () => false;

  constructor(inner: Holder, as: Pick<Holder, 'id' | 'kind' | 'name' | 'household'> = inner) {
    this.#inner = inner;
    this.id = as.id;
    this.kind = as.kind;
    this.name = as.name;
    this.household = as.household;
    this.logs = {
      list: () => this.#call('logs.list', undefined, () => inner.logs.list()),
      putSegment: (logKey, firstIndex, bytes) =>
        this.#call('logs.putSegment', undefined, () => inner.logs.putSegment(logKey, firstIndex, bytes)),
      getSegment: (logKey, firstIndex) =>
        this.#call('logs.getSegment', undefined, () => inner.logs.getSegment(logKey, firstIndex)),
    };
  }

  /** All calls so far, in the order they came. */
  get calls(): readonly HolderCall[] {
    return this.#calls;
  }

  /** Fails the call of this operation with this ordinal with a KithError of this code. */
  failOn(operation: HolderCall['operation'], ordinal: number, code: KithError['code'] = 'io-error'): void {
    const others = this.before;
    this.before = async (call) => {
      await others(call);
      if (call.operation === operation && call.ordinal === ordinal) throw new KithError(code, 'injected');
    };
  }

  async check(): Promise<Availability> {
    return this.away ? { available: false, foreign: false, reason: 'injected' } : await this.#inner.check();
  }

  room(): Promise<Room> {
    return this.#call('room', undefined, () => this.#inner.room());
  }

  reserve(bytes: number): Promise<Reservation> {
    return this.#call('reserve', undefined, () => this.#inner.reserve(bytes));
  }

  put(shard: ShardToPut, reservation?: Reservation, signal?: AbortSignal): Promise<void> {
    return this.#call('put', shard, () => this.#inner.put(shard, reservation, signal));
  }

  get(
    ref: ShardRef,
    firstLeaf: number,
    leafCount: number,
    options?: GetOptions,
  ): Promise<ShardRange | undefined> {
    return this.#call('get', ref, async (call) => {
      if (this.withholds(ref)) return undefined;
      const range = await this.#inner.get(ref, firstLeaf, leafCount, options);
      return range === undefined
        ? undefined
        : this.lie({ bytes: range.bytes.slice(), proof: range.proof.slice() }, call);
    });
  }

  stat(ref: ShardRef): Promise<{ readonly fileBytes: number } | undefined> {
    return this.#call('stat', ref, () => this.#inner.stat(ref));
  }

  manifest(ref: ShardRef): Promise<Uint8Array | undefined> {
    return this.#call('manifest', ref, () => this.#inner.manifest(ref));
  }

  async *inventory(options?: InventoryOptions): AsyncGenerator<InventoryEntry> {
    await this.#call('inventory', undefined, () => Promise.resolve());
    yield* this.#inner.inventory(options);
    yield* this.adds;
  }

  verify(ref: ShardRef): Promise<'good' | 'damaged' | 'missing'> {
    return this.#call('verify', ref, () => this.#inner.verify(ref));
  }

  delete(ref: ShardRef): Promise<boolean> {
    return this.#call('delete', ref, () => this.#inner.delete(ref));
  }

  settle(refs: readonly ShardRef[]): Promise<void> {
    return this.#call('settle', undefined, () => this.#inner.settle(refs));
  }

  putKeyRecord(bytes: Uint8Array): Promise<void> {
    return this.#call('putKeyRecord', undefined, () => this.#inner.putKeyRecord(bytes));
  }

  getKeyRecord(): Promise<Uint8Array | undefined> {
    return this.#call(
      'getKeyRecord',
      undefined,
      async () => this.keyRecord ?? (await this.#inner.getKeyRecord()),
    );
  }

  async #call<T>(
    operation: HolderCall['operation'],
    ref: ShardRef | undefined,
    work: (call: HolderCall) => Promise<T>,
  ): Promise<T> {
    const ordinal = this.#calls.filter((call) => call.operation === operation).length;
    const call: HolderCall =
      ref === undefined
        ? { operation, ordinal }
        : { operation, ordinal, ref: { packId: ref.packId, index: ref.index } };
    this.#calls.push(call);
    if (this.away) {
      throw new KithError('holder-unavailable', 'injected', { details: { holder: this.id, foreign: false } });
    }
    await this.before(call);
    return await work(call);
  }
}
