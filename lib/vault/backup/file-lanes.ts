import { TaskSet, throwIfAborted } from '../../base/concurrency.ts';
import { isKithError } from '../../base/errors.ts';
import { hashBytes } from '../../crypto/hash.ts';
import { blobKinds } from '../../format/blob.ts';
import { ContentBuilder, inlineIdsMax, type Content } from '../../format/content.ts';
import type { TreeEntry } from '../../format/tree.ts';
import { threadKernels } from '../../kernels/process-kernels.ts';
import type { BlobWriter } from '../../pipeline/blob-writer.ts';
import type { Stages } from '../../pipeline/stages.ts';
import type { Accounts } from '../../source/accounts.ts';
import { openForRead } from '../../source/read.ts';
import { StoreLane, laneReadBytes, stretchBytes } from '../../workers/store-lane.ts';
import { startUnknown, type FileToStore, type StoredFile } from '../../workers/store-messages.ts';
import type { StorePool } from '../../workers/store-pool.ts';

/** A batch of small files: enough for a trip to a thread, few enough that all threads have some. */
const batchFilesMax = 128;
const batchBytesMax = 2 * 1024 * 1024;

/** Up to so much is read in this thread, before others are started: most backups are that small. */
const inlineFilesMax = 256;
const inlineBytesMax = 6 * 1024 * 1024;

/** Larger files are read by several threads at once. */
const splitFromBytes = 4 * stretchBytes;

/** A file's place among those that are being stored. */
export interface FileTicket {
  /** Undefined until it is known. */
  result: StoredContent | undefined;
}

/** What became of a file, with its content where it was stored. */
export type StoredContent =
  | {
      readonly outcome: 'stored';
      readonly content: Content;
      /** Its entry as it was read, without content; undefined where it is the one that the walk saw. */
      readonly entry: TreeEntry | undefined;
      readonly bytes: number;
      readonly changed: boolean;
      readonly losses: readonly string[];
    }
  | Exclude<StoredFile, { readonly outcome: 'stored' }>;

/** What lanes work with. */
export interface FileLanesOptions {
  readonly writer: BlobWriter;
  readonly cutKey: Uint8Array;
  readonly accounts: Accounts;
  readonly stages: Stages;
  /** Starts threads, and gives undefined where there are none to be had; undefined where all is to be done in this one. */
  readonly startPool: (() => Promise<StorePool | undefined>) | undefined;
  /** Threads from the first file on, however little there is. */
  readonly atOnce: boolean;
  /** Resolves when this thread may make another pack. */
  readonly room: () => Promise<void>;
  /** Told of every chunk of a file. */
  readonly onChunk: (blobId: Uint8Array) => void;
  /** Told of bytes of a file that are stored. */
  readonly onBytes: (bytes: number, file: FileToStore) => void;
  readonly signal: AbortSignal | undefined;
}

interface Waiting {
  readonly file: FileToStore;
  readonly ticket: FileTicket;
}

/**
 * Stores files: few of them in this thread, many in a pool of threads, in batches, and large ones in stretches by all threads at
 * once. Files end in any order; the caller puts them in theirs by their tickets.
 */
export class FileLanes {
  readonly #options: FileLanesOptions;
  #batch: Waiting[] = [];
  #batchBytes = 0;
  #inline: StoreLane | undefined;
  #inlineFiles = 0;
  #inlineBytes = 0;
  #pool: StorePool | undefined;
  /** Threads were asked for, and none are to be had. */
  #noThreads = false;
  readonly #underWay = new TaskSet();
  #failure: { readonly error: unknown } | undefined;

  constructor(options: FileLanesOptions) {
    this.#options = options;
  }

  /** Takes a file. What is given is begun by the next `advance` or by those after it. */
  give(file: FileToStore): FileTicket {
    const ticket: FileTicket = { result: undefined };
    this.#batch.push({ file, ticket });
    this.#batchBytes += file.entry.size;
    return ticket;
  }

  /** True if enough was given for a batch. */
  get isFull(): boolean {
    return this.#batch.length >= batchFilesMax || this.#batchBytes >= batchBytesMax;
  }

  /** Begins what was given, and waits while all threads have enough to do. Errors that end the backup are thrown here. */
  async advance(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    const bytes = this.#batchBytes;
    this.#batchBytes = 0;
    this.#throwFailure();
    throwIfAborted(this.#options.signal);
    if (batch.length === 0) return;
    if (this.#pool === undefined && !this.#isInline(batch.length, bytes)) {
      this.#pool = await this.#options.startPool?.();
      this.#noThreads = this.#pool === undefined;
      this.#options.signal?.addEventListener('abort', this.#stop, { once: true });
      // It may have fired while threads were started.
      throwIfAborted(this.#options.signal);
    }
    if (this.#pool === undefined) return await this.#storeHere(batch);
    const small: Waiting[] = [];
    for (const waiting of batch) {
      if (waiting.file.entry.size < splitFromBytes) small.push(waiting);
      else await this.#split(this.#pool, waiting);
    }
    if (small.length > 0) await this.#send(this.#pool, small);
  }

  /** Waits until something that is under way has ended, and throws what became of packs meanwhile. */
  async next(): Promise<void> {
    await this.#underWay.oneEnded();
    this.#throwFailure();
    await this.#options.room();
  }

  /** Ends what threads are at: after an interruption, or when a pack failed, it is in vain. */
  readonly #stop = (): void => this.#pool?.stop();

  /** Gives up, for the sake of this error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stop();
  }

  /** Waits until everything that was given is stored, and takes over what threads have left. */
  async finish(): Promise<{ readonly bytesAdded: number }> {
    await this.advance();
    while (this.#underWay.size > 0) await this.next();
    this.#throwFailure();
    let bytesAdded = 0;
    if (this.#pool === undefined) return { bytesAdded };
    for await (const rest of this.#pool.rest()) {
      bytesAdded += rest.bytesAdded;
      for (const [stage, milliseconds] of Object.entries(rest.stages))
        this.#options.stages.add(stage, milliseconds);
      await this.#options.writer.addFrames(rest.frames);
    }
    return { bytesAdded };
  }

  /** Stops the threads, whatever they are at. */
  async close(): Promise<void> {
    this.#options.signal?.removeEventListener('abort', this.#stop);
    await this.#pool?.close();
    await this.#underWay.allEnded();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #isInline(files: number, bytes: number): boolean {
    if (this.#options.startPool === undefined || this.#noThreads) return true;
    if (this.#options.atOnce) return false;
    this.#inlineFiles += files;
    this.#inlineBytes += bytes;
    return this.#inlineFiles <= inlineFilesMax && this.#inlineBytes <= inlineBytesMax;
  }

  async #storeHere(batch: readonly Waiting[]): Promise<void> {
    const { writer, cutKey, accounts, stages, signal, room } = this.#options;
    this.#inline ??= new StoreLane({
      packer: writer.packer,
      chunker: threadKernels().chunker(cutKey),
      accounts,
      stages,
      memory: new Uint8Array(laneReadBytes),
      signal,
      room,
    });
    const files = batch.map(({ file }) => file);
    for (const [at, { file, ticket }] of batch.entries()) {
      await room();
      this.#inline.lookAhead(files, at);
      this.#settle(file, ticket, await this.#inline.file(file));
    }
  }

  async #waitForThread(pool: StorePool): Promise<void> {
    while (!pool.hasRoom) await this.next();
    throwIfAborted(this.#options.signal);
  }

  async #send(pool: StorePool, batch: readonly Waiting[]): Promise<void> {
    await this.#waitForThread(pool);
    this.#begin(
      pool.files(batch.map(({ file }) => file)).then((results) => {
        let next = 0;
        for (const result of results) {
          const waiting = batch[next++];
          if (waiting !== undefined) this.#settle(waiting.file, waiting.ticket, result);
        }
      }),
    );
  }

  #begin(work: Promise<void>): void {
    const task = work.catch((error: unknown) => {
      this.#failure ??= { error };
    });
    this.#underWay.add(task);
  }

  #settle(file: FileToStore, ticket: FileTicket, result: StoredFile): void {
    if (result.outcome !== 'stored') {
      ticket.result = result;
      return;
    }
    const { ids, ...rest } = result;
    const list = this.#heard(ids);
    ticket.result = { ...rest, content: this.#content(list) };
    this.#options.onBytes(result.bytes, file);
  }

  /** Ids as a list, each of them told. */
  #heard(ids: Uint8Array): Uint8Array[] {
    const list: Uint8Array[] = [];
    for (let at = 0; at < ids.length; at += hashBytes) {
      const id = ids.subarray(at, at + hashBytes);
      this.#options.onChunk(id);
      list.push(id);
    }
    return list;
  }

  #content(ids: readonly Uint8Array[]): Content {
    if (ids.length <= inlineIdsMax) return { level: 0, ids };
    const builder = this.#contentBuilder();
    for (const id of ids) builder.add(id);
    return builder.finish();
  }

  #contentBuilder(): ContentBuilder {
    return new ContentBuilder((bytes) => this.#options.writer.packer.store(blobKinds.list, bytes));
  }

  /** Has all threads read a large file. Where it changes meanwhile, one thread reads it anew as a whole. */
  async #split(pool: StorePool, { file, ticket }: Waiting): Promise<void> {
    const { size } = file.entry;
    const count = Math.ceil(size / stretchBytes);
    const starts = new SharedArrayBuffer(8 * (count + 1));
    new BigInt64Array(starts).fill(startUnknown).set([0n]);
    const content = this.#contentBuilder();
    const state = { failed: false };
    // In order: contents are built as the stretches end, and no more of their ids is kept than what is under way.
    let before: Promise<void> = Promise.resolve();
    for (let index = 0; index < count && !state.failed; index++) {
      await this.#waitForThread(pool);
      const from = index * stretchBytes;
      const to = Math.min(size, from + stretchBytes);
      const stored = pool.stretch({ file, from, to, starts, index });
      const previous = before;
      before = stored.then(async ({ ids }) => {
        await previous;
        if (ids === undefined) state.failed = true;
        if (ids === undefined || state.failed) return;
        for (const id of this.#heard(ids)) content.add(id);
        this.#options.onBytes(to - from, file);
      });
      this.#begin(before);
    }
    this.#begin(
      before.then(async () => {
        const extras = state.failed ? undefined : this.#extrasOf(file);
        if (extras === undefined) {
          for (const result of await pool.files([file])) this.#settle(file, ticket, result);
          return;
        }
        ticket.result = {
          outcome: 'stored',
          content: content.finish(),
          bytes: size,
          changed: false,
          ...extras,
        };
      }),
    );
  }

  /** The entry of a large file with what the walk does not read; undefined where it isn't what the walk saw any more. */
  #extrasOf({
    path,
    entry,
    device,
  }: FileToStore): { entry: TreeEntry; losses: readonly string[] } | undefined {
    const losses: string[] = [];
    try {
      const file = openForRead(path, { inode: entry.inode, device });
      try {
        if (!file.isAs(entry)) return undefined;
        return { entry: file.entry(entry, this.#options.accounts, (loss) => void losses.push(loss)), losses };
      } finally {
        file.close();
      }
    } catch (error) {
      if (!isKithError(error, 'source-unreadable')) throw error;
      return undefined;
    }
  }
}
