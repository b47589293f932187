import { classBytes, leafBytes } from '../base/limits.ts';
import { KithError } from '../base/errors.ts';
import { hashBytes } from '../crypto/hash.ts';
import { decodePackDirectory, type PackDirectory } from '../format/pack-directory.ts';
import { createKernelMemory, sharedBufferOf } from '../kernels/kernel-memory.ts';
import { compiledKernels } from '../kernels/process-kernels.ts';
import { kernelScratchBytes } from '../kernels/scratch.ts';
import type { CodedShard, UnsignedPack } from '../pipeline/coded-pack.ts';
import type { Spread } from '../placement/spread.ts';
import { WorkPool } from './pool.ts';
import type { SharedClaims } from './shared-claims.ts';
import { layoutFor, SlotTable, type StoreLayout } from './store-memory.ts';
import type {
  FileToStore,
  PackNotice,
  StoredFile,
  StoreJob,
  StoredStretch,
  StoreRest,
  StretchToStore,
} from './store-messages.ts';
import { packFiles, unpackStored, type StoredBatch } from './store-codec.ts';
import type { StoreKeys, StoreSetup } from './store-thread.ts';

/** Jobs that a thread may have before it: one to work on, and the next. */
const jobsPerThread = 2;

/** What a pool is made with. */
export interface StorePoolOptions {
  readonly threads: number;
  readonly spread: Spread;
  readonly spare: number;
  readonly packBytes?: number | undefined;
  readonly keys: StoreKeys;
  /** What the vault has already; threads add to it. */
  readonly claims: SharedClaims;
  /** Takes a pack; its rows lie in shared memory until `release` is called. */
  readonly onPack: (pack: UnsignedPack, directory: PackDirectory, release: () => void) => void;
  /** Told where a pack could not be taken. */
  readonly onError: (error: unknown) => void;
  /** What threads run, where tests want something else. */
  readonly module?: URL | undefined;
}

/** Threads that read files and make packs of them, over one shared memory. Its owner closes it, whatever happens. */
export class StorePool {
  readonly #options: StorePoolOptions;
  readonly #layout: StoreLayout;
  readonly #buffer: SharedArrayBuffer;
  readonly #slots: SlotTable;
  readonly #pool: WorkPool;

  constructor(options: StorePoolOptions) {
    const { threads, spread, spare, packBytes, keys, claims } = options;
    this.#options = options;
    this.#layout = layoutFor({ threads, spread, spare, packBytes, scratchBytes: kernelScratchBytes });
    const memory = createKernelMemory(this.#layout.totalBytes);
    this.#buffer = sharedBufferOf(memory);
    this.#slots = new SlotTable(this.#layout.slots);
    this.#pool = new WorkPool({
      kind: 'store',
      threads: this.#layout.lanes,
      module: options.module,
      setup: (lane): StoreSetup => ({
        lane,
        layout: this.#layout,
        memory,
        kernels: compiledKernels(),
        slots: this.#slots.buffer,
        claims: claims.buffers,
        keys,
        spread,
        spare,
      }),
      onNotice: (notice) => {
        try {
          this.#onPack(notice as PackNotice);
        } catch (error) {
          this.#options.onError(error);
        }
      },
    });
  }

  /** As for WorkPool. To be waited for before anything is stored: stretches of a file wait for each other. */
  started(): Promise<KithError | undefined> {
    return this.#pool.started();
  }

  /** Whether some thread would begin a job soon. */
  get hasRoom(): boolean {
    return this.#pool.idlest.waiting < jobsPerThread;
  }

  /** Reads and stores files, in one thread. */
  async files(files: readonly FileToStore[]): Promise<Iterable<StoredFile>> {
    const job = { kind: 'files', claims: this.#claims(), files: packFiles(files) } satisfies StoreJob;
    return unpackStored((await this.#pool.call(job)) as StoredBatch, files);
  }

  /** Reads and stores a stretch of a large file, in one thread. Stretches of one file must be given in order. */
  async stretch(stretch: StretchToStore): Promise<StoredStretch> {
    const job = { kind: 'stretch', claims: this.#claims(), stretch } satisfies StoreJob;
    return (await this.#pool.call(job)) as StoredStretch;
  }

  /** What the threads have left, one thread's after the other: each may be a whole pack. Nothing may be stored afterwards. */
  async *rest(): AsyncGenerator<StoreRest, void, undefined> {
    const job = { kind: 'rest' } satisfies StoreJob;
    for (const thread of this.#pool.threads) yield (await thread.call(job)) as StoreRest;
  }

  /** Has all threads stop at their next file or chunk: what they are asked for then fails with `interrupted`. */
  stop(): void {
    this.#slots.abort();
  }

  /** Stops all threads, in the middle of what they do, and frees their memory. */
  async close(): Promise<void> {
    this.stop();
    await this.#pool.close();
  }

  #claims(): readonly SharedArrayBuffer[] {
    const { claims } = this.#options;
    claims.grow();
    return claims.buffers;
  }

  #onPack(notice: PackNotice): void {
    const { slot, keyEpoch, k, n, rowsAt, leaves, roots } = notice;
    const payloadBytes = classBytes[notice.class];
    if (payloadBytes === undefined) throw new KithError('internal', 'a thread made a pack of no class');
    const leafHashBytes = (payloadBytes / leafBytes) * hashBytes;
    const shards: CodedShard[] = rowsAt.map((at, index) => ({
      index,
      payload: new Uint8Array(this.#buffer, at, payloadBytes),
      leaves: leaves.subarray(index * leafHashBytes, (index + 1) * leafHashBytes),
    }));
    const rootList = Array.from({ length: roots.length / hashBytes }, (_, i) =>
      roots.subarray(i * hashBytes, (i + 1) * hashBytes),
    );
    const pack = { keyEpoch, k, n, class: notice.class, shards, roots: rootList };
    this.#options.onPack(pack, decodePackDirectory(notice.directory), () => this.#slots.release(slot));
  }
}
