import { copyBytes } from '../../base/bytes.ts';
import { classBytes } from '../../base/limits.ts';
import type { KnownPack } from '../../catalog/catalog-state.ts';
import { decodePackDirectory } from '../../format/pack-directory.ts';
import {
  checkPack,
  type PackCheckKeys,
  type PackVerdict,
  type ShardCopy,
} from '../../pipeline/check-pack.ts';
import type { CheckJob, CheckResult, CheckSetup } from '../../workers/check-job.ts';
import { defaultThreads, WorkPool } from '../../workers/pool.ts';
import { BufferPool } from './buffer-pool.ts';
import { noThreads } from '../no-threads.ts';
import type { Session } from '../session.ts';

/** Packs at once, at least: while one is checked, others are read. */
const packsAtOnceMin = 3;
/** Packs that are read while each thread has one; with one more a check of 200 MB of text had 30 MB more in memory. */
const packsAhead = 1;
/** Payload bytes of all packs at once, but for the least number of them: 24 MiB each at 4/6, 64 MiB at most. */
const bytesAtOnceMax = 160 * 1024 * 1024;
/**
 * Payload bytes that are checked in this thread: starting threads costs some 0.2 s of processor time each, as much as checking 80 MB, and
 * Node's own threads decompress meanwhile in any case.
 */
const inlineBytesMax = 256 * 1024 * 1024;

/**
 * Checks packs: few in this thread, many in worker threads, over shared memory that shards are read into. Whoever makes it closes it,
 * whatever happens.
 */
export class CheckLanes {
  readonly #session: Session;
  readonly #keys: PackCheckKeys;
  #pool: WorkPool | undefined;
  readonly #buffers: BufferPool;
  /** Packs whose shards may be in memory at once. */
  readonly packsAtOnce: number;

  /** `payloadBytes` is what there is to read in all; of `packs` the largest tells how many may be in memory. */
  constructor(session: Session, packs: readonly KnownPack[], payloadBytes: number) {
    const { device, surroundings } = session;
    this.#session = session;
    this.#keys = {
      vaultId: device.vaultId,
      isDevice: session.authority.isDevice,
      sealingKeys: (keyEpoch) => session.sealingKeys(keyEpoch),
      namer: session.namer,
      coder: surroundings.coder,
      compressor: session.compressor,
    };
    const threads = surroundings.threads ?? (payloadBytes > inlineBytesMax ? defaultThreads() : 0);
    const largest = packs.reduce((most, { manifest }) => {
      return Math.max(most, manifest.n * (classBytes[manifest.class] ?? 0));
    }, 1);
    const fitting = Math.floor(bytesAtOnceMax / largest);
    this.packsAtOnce = Math.max(packsAtOnceMin, Math.min(threads + packsAhead, fitting));
    this.#buffers = new BufferPool({ shared: threads > 0 });
    const setup: CheckSetup = { vaultId: device.vaultId, blobIdKey: device.blobIdKey };
    if (threads === 0) return;
    this.#pool = new WorkPool({
      kind: 'check',
      threads,
      setup: () => setup,
      module: surroundings.threadModule,
    });
  }

  /** Memory to read shards into, so many of so many bytes each; `give` takes it back once their pack was checked. */
  take(count: number, bytes: number): Uint8Array[] {
    return Array.from({ length: count }, () => this.#buffers.take(bytes));
  }

  give(buffers: readonly Uint8Array[]): void {
    this.#buffers.give(buffers);
  }

  /** What `checkPack` says, with its errors. The copies must not change until it has. */
  async check(pack: KnownPack, copies: readonly ShardCopy[], content: boolean): Promise<PackVerdict> {
    const { manifestBytes } = pack;
    const pool = await this.#usablePool();
    if (pool === undefined) return await checkPack(this.#keys, { manifest: manifestBytes, copies, content });
    const job: CheckJob = {
      // Alone: of a view, all that it is a view of would be copied.
      pack: { manifest: copyBytes(manifestBytes), copies, content },
      devices: this.#session.certifiedDevices,
      sealingKeys: this.#session.sealingKeys(pack.manifest.keyEpoch).map(copyBytes),
    };
    return verdictOf((await pool.call(job)) as CheckResult);
  }

  /** The threads; undefined where there are none, or none are to be had, which is told once. */
  async #usablePool(): Promise<WorkPool | undefined> {
    const pool = this.#pool;
    const failure = await pool?.started();
    if (failure === undefined) return pool;
    if (this.#pool === pool) {
      this.#pool = undefined;
      this.#session.problem(noThreads(failure));
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }
}

function verdictOf({ copies, content }: CheckResult): PackVerdict {
  if (content === undefined) return { copies, content };
  const { directory } = content;
  return {
    copies,
    content: {
      ...content,
      directory: directory === undefined ? undefined : decodePackDirectory(directory),
    },
  };
}
