import { throwIfAborted } from '../../base/concurrency.ts';
import { KithError, isKithError } from '../../base/errors.ts';
import { leafBytes } from '../../base/limits.ts';
import type { Stages } from '../../pipeline/stages.ts';
import { BatchOpener } from '../../workers/open-batch.ts';
import type { ChunkEnd, FileEnd, OpenJob, OpenResult, OpenSetup } from '../../workers/open-job.ts';
import { WorkPool } from '../../workers/pool.ts';
import { errorToWire } from '../../workers/wire-error.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import { RestoreBatch, type BatchSource, type ChunkTask, type FileTask } from './restore-batch.ts';

/** Sealed bytes that are being fetched, or wait for a thread, or are opened: what a restore holds in memory is a few times this. */
const bytesInFlightMax = 32 * 1024 * 1024;
/** Batches for each lane: one at work, the others on their way. */
const batchesPerLane = 4;
/** How much one batch changes what the next are taken to cost. */
const costWeight = 1 / 4;
/** What is restored here before any thread is started: those cost a tenth of a second each. */
const inlineBytes = 8 * 1024 * 1024;
const inlineFiles = 512;

/** Is told how each task ended. The next batch's answers don't wait for what it does. */
export interface LaneListener {
  /** No threads are to be had: all is done in this one. Told once. */
  onNoThreads(why: KithError): void;
  /** Undefined: written, with nothing more to say. */
  onFile(task: FileTask, end: Omit<FileEnd, 'file'> | undefined): Promise<void>;
  onChunk(task: ChunkTask, end: Omit<ChunkEnd, 'chunk'> | undefined): Promise<void>;
}

export interface LaneOptions {
  readonly reader: BlobReader;
  readonly setup: OpenSetup;
  readonly listener: LaneListener;
  /** Worker threads; 0: all is done in this one. */
  readonly threads: number;
  /** What they run, where tests want something else. */
  readonly threadModule?: URL | undefined;
  /** Starts them with the first batch, however little there is. */
  readonly atOnce: boolean;
  /** Leaves that are asked for together at most. */
  readonly spanLeavesMax: number;
  readonly stages: Stages;
  readonly signal: AbortSignal | undefined;
}

/**
 * Writes files in batches: fetches what each needs, several batches ahead, and has it verified, opened and written by worker threads, or
 * here while there is little. Files come in the order of the walk; they end in any. Memory is bounded by what is in flight.
 */
export class RestoreLanes {
  readonly #options: LaneOptions;
  readonly #source: BatchSource;
  /** For threads, which may wait for a disk. */
  readonly #withFiles: BatchSource;
  readonly #verifying: BatchSource;
  #pool: WorkPool | undefined;
  #noThreads = false;
  #inline: BatchOpener | undefined;
  #batch = new RestoreBatch();
  /** Batches that are under way, with what each counts for in memory. */
  readonly #live = new Map<RestoreBatch, number>();
  /** Work that has handles of files and folders in use. */
  readonly #opening = new Set<Promise<unknown>>();
  #bytes = 0;
  #waiting: (() => void)[] = [];
  #inlineBytes = 0;
  #inlineFiles = 0;
  /**
   * What a byte has cost in memory in the last batches, on average: k where rows have to be made from others. Batches count for so much
   * until it is known what was gathered for them.
   */
  #costEach = 1;
  #bytesPeak = 0;
  #failure: { readonly error: unknown } | undefined;
  #closed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
    const { reader, spanLeavesMax } = options;
    const openPack = reader.openPack.bind(reader);
    const { shards } = reader;
    this.#source = { openPack, spanLeavesMax, rows: shards.gather.bind(shards) };
    this.#withFiles = { ...this.#source, rows: (...range) => shards.gather(...range, { files: true }) };
    this.#verifying = { openPack, spanLeavesMax, rows: shards.gatherVerified.bind(shards) };
  }

  /** The most sealed bytes that were in flight at once, as they are counted. */
  get bytesPeak(): number {
    return this.#bytesPeak;
  }

  /** Takes a file; resolves when there is room for the next. Throws what an earlier one ended the restore with. */
  async addFile(task: FileTask): Promise<void> {
    if (!this.#batch.fits(task.blobs)) await this.#send();
    this.#batch.addFile(task);
  }

  async addChunk(task: ChunkTask): Promise<void> {
    if (!this.#batch.fits([task.blob])) await this.#send();
    this.#batch.addChunk(task);
  }

  /** Sends off what was taken so far: somebody is about to wait for the end of some file. */
  async flush(): Promise<void> {
    await this.#send();
  }

  /** True if no batch is under way. */
  get isIdle(): boolean {
    return this.#live.size === 0;
  }

  /** Resolves when some batch has ended or turned out smaller, or at once if none is under way. */
  async oneEnded(): Promise<void> {
    this.#throwFailure();
    if (this.#live.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when all has ended. */
  async drain(): Promise<void> {
    await this.#send();
    while (this.#live.size > 0) await this.oneEnded();
    this.#throwFailure();
  }

  /** Gives up what is under way; when it returns nothing is written any more. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#opening.size > 0) await Promise.allSettled(this.#opening);
    for (const batch of [this.#batch, ...this.#live.keys()])
      for (const { place } of batch.files.splice(0)) place.folder.release();
    this.#live.clear();
    this.#wake();
    await this.#pool?.close();
  }

  #throwFailure(): void {
    throwIfAborted(this.#options.signal);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #send(): Promise<void> {
    this.#throwFailure();
    const batch = this.#batch;
    if (batch.isEmpty) return;
    const lanes = Math.max(1, this.#options.threads);
    const bytes = this.#leafBytesOf(batch);
    while (
      this.#live.size > 0 &&
      (this.#live.size >= lanes * batchesPerLane || this.#bytes + bytes * this.#costEach > bytesInFlightMax)
    )
      await this.oneEnded();
    this.#throwFailure();
    this.#batch = new RestoreBatch();
    this.#live.set(batch, 0);
    this.#count(batch, bytes * this.#costEach);
    this.#run(batch)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#count(batch, 0);
        this.#live.delete(batch);
        this.#wake();
      })
      .catch(() => undefined);
  }

  #leafBytesOf(batch: RestoreBatch): number {
    try {
      return batch.leafBytes(this.#options.spanLeavesMax);
    } catch (error) {
      // It comes to nothing, and that is told when it is run.
      if (isKithError(error, 'malformed')) return 0;
      throw error;
    }
  }

  /** What a batch counts for from now on. */
  #count(batch: RestoreBatch, bytes: number): void {
    const before = this.#live.get(batch);
    // All was given up.
    if (before === undefined) return;
    this.#live.set(batch, bytes);
    this.#bytes += bytes - before;
    this.#bytesPeak = Math.max(this.#bytesPeak, this.#bytes);
    if (bytes < before) this.#wake();
  }

  /** What a batch needs, counted as it comes: rows by their bytes. */
  async #gather(batch: RestoreBatch, source: BatchSource): Promise<OpenJob> {
    let gathered = 0;
    const job = await batch.job({
      ...source,
      rows: async (manifest, index, firstLeaf, leafCount) => {
        const rows = await source.rows(manifest, index, firstLeaf, leafCount);
        gathered += rows.length * leafCount * leafBytes;
        if (gathered > (this.#live.get(batch) ?? 0)) this.#count(batch, gathered);
        return rows;
      },
    });
    this.#count(batch, gathered);
    const bytes = this.#leafBytesOf(batch);
    if (bytes > 0) this.#costEach += (gathered / bytes - this.#costEach) * costWeight;
    return job;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #run(batch: RestoreBatch): Promise<void> {
    let result: OpenResult;
    try {
      const pool = await this.#poolFor(batch);
      result = await this.#open(batch, pool, pool === undefined ? this.#source : this.#withFiles);
      if (result.bad.length > 0) result = await this.#open(batch, pool, this.#verifying);
      if (result.bad.length > 0) throw new KithError('internal', 'verified bytes were found bad');
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted' || error.code === 'internal') throw error;
      // Something can't be had: each file finds out for itself whether that matters to it.
      const unread = errorToWire(error);
      result = {
        bad: [],
        files: batch.files.map((_, file) => ({ file, unread })),
        chunks: batch.chunks.map((_, chunk) => ({ chunk, unread })),
      };
    }
    await this.#busy(this.#report(batch, result));
  }

  async #open(batch: RestoreBatch, pool: WorkPool | undefined, source: BatchSource): Promise<OpenResult> {
    const { stages } = this.#options;
    const job = await stages.wait('fetch', () => this.#gather(batch, source));
    if (this.#closed) throw new KithError('interrupted', 'the restore has ended');
    const result = await this.#busy(stages.wait('open', () => this.#give(pool, job)));
    for (const { span, row } of result.bad) {
      const source = job.spans[span]?.rows[row];
      if (source !== undefined && 'path' in source) this.#options.reader.shards.fileFailed(source);
    }
    return result;
  }

  async #give(pool: WorkPool | undefined, job: OpenJob): Promise<OpenResult> {
    if (pool !== undefined) return (await pool.call(job, transferable(job))) as OpenResult;
    this.#inline ??= new BatchOpener(this.#options.setup);
    return await this.#inline.run(job);
  }

  /** The threads, once there is enough to do for them, and if there are any. */
  async #poolFor(batch: RestoreBatch): Promise<WorkPool | undefined> {
    const { threads, atOnce, setup, threadModule, listener } = this.#options;
    if (threads === 0 || this.#noThreads) return undefined;
    if (this.#pool === undefined) {
      this.#inlineBytes += batch.plainBytes;
      this.#inlineFiles += batch.files.length;
      if (!atOnce && this.#inlineBytes < inlineBytes && this.#inlineFiles < inlineFiles) return undefined;
      this.#pool = new WorkPool({ kind: 'open', threads, setup: () => setup, module: threadModule });
    }
    const failure = await this.#pool.started();
    if (failure === undefined) return this.#pool;
    if (!this.#noThreads) listener.onNoThreads(failure);
    this.#noThreads = true;
    return undefined;
  }

  async #report({ files, chunks }: RestoreBatch, result: OpenResult): Promise<void> {
    const { listener } = this.#options;
    const fileEnds = new Map(result.files.map((end) => [end.file, end]));
    const chunkEnds = new Map(result.chunks.map((end) => [end.chunk, end]));
    // Taken out one by one: what is left when something throws is released at the end.
    let at = 0;
    for (let task = files.shift(); task !== undefined; task = files.shift())
      await listener.onFile(task, fileEnds.get(at++));
    for (const [chunk, task] of chunks.entries()) await listener.onChunk(task, chunkEnds.get(chunk));
  }

  async #busy<T>(work: Promise<T>): Promise<T> {
    this.#opening.add(work);
    try {
      return await work;
    } finally {
      this.#opening.delete(work);
    }
  }
}

/** Memory that a thread may take over: of ranges that have theirs for themselves. */
function transferable({ spans }: OpenJob): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { rows } of spans) {
    for (const row of rows) {
      if ('path' in row) continue;
      const { bytes, proof } = row;
      const { buffer } = bytes;
      // What was verified here may be remembered here.
      if (proof !== undefined && buffer instanceof ArrayBuffer && bytes.length === buffer.byteLength)
        buffers.add(buffer);
    }
  }
  return [...buffers];
}
