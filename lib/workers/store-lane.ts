import { setImmediate } from 'node:timers/promises';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { chunkBytesMax } from '../base/limits.ts';
import { hashBytes } from '../crypto/hash.ts';
import { blobKinds } from '../format/blob.ts';
import { entryTypes, type TreeEntry } from '../format/tree-entry.ts';
import type { Chunker } from '../kernels/chunker.ts';
import { ownFrameBytes, type BlobPacker } from '../pipeline/blob-packer.ts';
import type { Stages } from '../pipeline/stages.ts';
import type { Accounts } from '../source/accounts.ts';
import { ReadAhead, systemAskAhead, type AskAhead } from '../source/read-ahead.ts';
import { openForRead, type SourceFile } from '../source/read.ts';
import { lookAgain } from '../source/walk-tree.ts';
import {
  startFailed,
  startUnknown,
  type FileToStore,
  type StoredFile,
  type StoredStretch,
  type StretchToStore,
} from './store-messages.ts';

/** Bytes of a stretch of a large file at most: a few chunks, so that threads take turns quickly. */
export const stretchBytes: number = 8 * 1024 * 1024;

/** Bytes of the memory that a lane reads files into: a stretch and the chunk that reaches into it. */
export const laneReadBytes: number = stretchBytes + chunkBytesMax;

/** Times that a file is opened: it may be replaced or written to while it is read. */
const attemptsMax = 3;

const noIds = new Uint8Array(0);

interface ReadFile {
  readonly ids: Uint8Array;
  readonly entry: TreeEntry;
  readonly bytes: number;
  readonly changed: boolean;
  readonly losses: readonly string[];
}

/** What a lane works with. */
export interface StoreLaneOptions {
  readonly packer: BlobPacker;
  readonly chunker: Chunker;
  readonly accounts: Accounts;
  readonly stages: Stages;
  /** laneReadBytes of memory. */
  readonly memory: Uint8Array;
  /** Aborted: what is under way stops at the next file or chunk. */
  readonly signal: { readonly aborted: boolean } | undefined;
  /** Waited for before each chunk of a large file, until another pack may be made; undefined where the packer waits by itself. */
  readonly room?: () => Promise<void>;
  /** Asks for files that are read soon; the system unless given. */
  readonly ahead?: ReadAhead;
  /** Milliseconds by a clock that only goes forward; performance.now unless given. */
  readonly now?: () => number;
}

/** Reads files, cuts them into chunks and stores these, in the calling thread: one lane a thread, all alike. */
export class StoreLane {
  readonly #options: StoreLaneOptions;
  readonly #ahead: ReadAhead;
  readonly #now: () => number;
  /** Milliseconds that the file at hand took to open and read. */
  #readMs = 0;

  constructor(options: StoreLaneOptions) {
    this.#options = options;
    this.#ahead = options.ahead ?? new ReadAhead(askOnStage(options.stages));
    this.#now = options.now ?? ((): number => performance.now());
  }

  /**
   * To be called before each file of a list is given to `file`, from the first to the last: where reads were slow, the system is asked
   * for some of those that follow. Opens each of them for a moment, and never throws.
   */
  lookAhead(files: readonly FileToStore[], at: number): void {
    this.#ahead.before(files, at);
  }

  /** Reads a file; again if it was written to meanwhile, and looks again if another stands in its place. */
  async file(walked: FileToStore): Promise<StoredFile> {
    const { accounts } = this.#options;
    let { entry, device } = walked;
    for (let attempt = 1; ; attempt++) {
      try {
        const read = await this.#readOnce(walked.path, entry, device);
        if (read.changed && attempt < attemptsMax) continue;
        const same = !read.changed && entry === walked.entry && looksSame(read.entry, entry);
        return { outcome: 'stored', ...read, entry: same ? undefined : read.entry };
      } catch (error) {
        if (!isKithError(error, 'source-unreadable')) throw error;
        if (error.details['replaced'] !== true || attempt === attemptsMax)
          return { outcome: 'unreadable', message: messageOf(error) };
        ({ entry, device } = lookAgain(walked.path, entry.name, accounts));
        if (entry.type === entryTypes.file) continue;
        if (entry.type === entryTypes.unreadable || entry.type === entryTypes.folder)
          return { outcome: 'unreadable', message: messageOf(error) };
        return { outcome: 'replaced', entry };
      }
    }
  }

  async #readOnce(path: Uint8Array, entry: TreeEntry, device: bigint): Promise<ReadFile> {
    const { accounts } = this.#options;
    this.#readMs = 0;
    const file = this.#read(() => openForRead(path, { inode: entry.inode, device }));
    try {
      const { ids, bytes } = file.size < ownFrameBytes ? this.#small(file) : await this.#large(file);
      const changed = file.state() === 'changed' || bytes !== file.size;
      const losses: string[] = [];
      const found = file.entry(entry, accounts, (message) => void losses.push(message));
      return { ids, entry: { ...found, size: bytes }, bytes, changed, losses };
    } finally {
      file.close();
    }
  }

  /** A step of reading the file at hand. */
  #read<T>(step: () => T): T {
    const start = this.#now();
    try {
      return step();
    } finally {
      const milliseconds = this.#now() - start;
      this.#readMs += milliseconds;
      this.#options.stages.add('read', milliseconds);
    }
  }

  /** A file of one small chunk, read to where it will lie. */
  #small(file: SourceFile): { ids: Uint8Array; bytes: number } {
    const { packer, signal } = this.#options;
    throwIfStopped(signal);
    if (file.size === 0) return { ids: noIds, bytes: 0 };
    const chunk = packer.smallChunk(file.size);
    const bytes = this.#read(() => file.readNow(chunk, 0));
    this.#ahead.took(this.#readMs);
    if (bytes === 0) return { ids: noIds, bytes };
    return { ids: packer.storeSmallChunk(chunk.subarray(0, bytes)), bytes };
  }

  async #large(file: SourceFile): Promise<{ ids: Uint8Array; bytes: number }> {
    const { packer, chunker, stages, memory, signal, room } = this.#options;
    const ids = new IdList();
    let start = 0;
    let end = 0;
    let scannedTo = 0;
    let position = 0;
    let ended = false;
    for (;;) {
      throwIfStopped(signal);
      if (!ended && end - start < chunkBytesMax) {
        memory.copyWithin(0, start, end);
        scannedTo = Math.max(0, scannedTo - start);
        end -= start;
        start = 0;
        const wanted = Math.min(memory.length - end, file.size - position);
        const into = memory.subarray(end, end + wanted);
        const count = stages.run('read', () => file.readNow(into, position));
        end += count;
        position += count;
        ended = count < wanted || position >= file.size;
        // Native packages give memory back in a turn of the event loop; a huge file would pile up without one.
        await setImmediate();
      }
      // It was cut short since it was opened, right where a chunk ends; the caller sees that it changed.
      if (ended && start === end) break;
      const cut = stages.run('chunk', () => chunker.cut(memory, start, end, ended, scannedTo));
      if (cut === undefined) {
        scannedTo = end;
        continue;
      }
      await room?.();
      ids.add(packer.store(blobKinds.data, memory.subarray(start, cut)));
      start = cut;
      scannedTo = cut;
    }
    return { ids: ids.bytes(), bytes: position };
  }

  /**
   * Stores the chunks that end in a stretch of a large file. Where they begin, the thread with the stretch before it tells through
   * `starts` as soon as it has found its cuts, so that the cuts are those of the whole file, and all but the search for them is
   * done at once. Never throws for the file's sake: then the ids are undefined.
   */
  stretch(stretch: StretchToStore): StoredStretch {
    const starts = new BigInt64Array(stretch.starts);
    const next = stretch.index + 1;
    try {
      return { ids: this.#stretch(stretch, starts) };
    } catch (error) {
      if (!isKithError(error, 'source-unreadable')) throw error;
      return { ids: undefined };
    } finally {
      if (Atomics.load(starts, next) === startUnknown) tellStart(starts, next, startFailed);
    }
  }

  #stretch(stretch: StretchToStore, starts: BigInt64Array): Uint8Array | undefined {
    const { packer, stages, memory, signal } = this.#options;
    const { from, to, index } = stretch;
    const { path, entry, device } = stretch.file;
    const file = stages.run('read', () => openForRead(path, { inode: entry.inode, device }));
    try {
      const isSame = (): boolean => file.isAs(entry) && file.state() === 'same';
      if (!isSame()) return undefined;
      const here = memory.subarray(chunkBytesMax, chunkBytesMax + to - from);
      if (stages.run('read', () => file.readNow(here, from)) < here.length) return undefined;
      const start = stages.run('turn', () => waitForStart(starts, index, signal));
      if (start === undefined) return undefined;
      const head = from - start;
      if (head < 0 || head > chunkBytesMax) return undefined;
      const before = memory.subarray(chunkBytesMax - head, chunkBytesMax);
      if (head > 0 && stages.run('read', () => file.readNow(before, start)) < head) return undefined;
      const ends = stages.run('chunk', () => this.#cuts(chunkBytesMax - head, here, to === entry.size));
      const last = ends.at(-1) ?? chunkBytesMax - head;
      tellStart(starts, index + 1, BigInt(from + last - chunkBytesMax));
      const ids = new IdList();
      let at = chunkBytesMax - head;
      for (const end of ends) {
        throwIfStopped(signal);
        ids.add(packer.store(blobKinds.data, memory.subarray(at, end)));
        at = end;
      }
      return isSame() ? ids.bytes() : undefined;
    } finally {
      file.close();
    }
  }

  /** Where chunks end in the memory, from `start` on to the end of what was read. */
  #cuts(start: number, here: Uint8Array, atEnd: boolean): number[] {
    const { memory, chunker } = this.#options;
    const end = chunkBytesMax + here.length;
    const ends: number[] = [];
    // What lies before the stretch was looked at by whoever had the one before it.
    for (let at = start, scannedTo = chunkBytesMax; at < end;) {
      const cut = chunker.cut(memory, at, end, atEnd, Math.max(at, scannedTo));
      if (cut === undefined) break;
      ends.push(cut);
      at = cut;
      scannedTo = cut;
    }
    return ends;
  }
}

/** Asks the system, on the account of reading. */
function askOnStage(stages: Stages): AskAhead | undefined {
  const ask = systemAskAhead();
  return ask && ((path, bytes) => stages.run('read', () => ask(path, bytes)));
}

/** Collects ids in one growing array. */
class IdList {
  #bytes = new Uint8Array(16 * hashBytes);
  #length = 0;

  add(id: Uint8Array): void {
    if (this.#length + hashBytes > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(id, this.#length);
    this.#length += hashBytes;
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

function throwIfStopped(signal: { readonly aborted: boolean } | undefined): void {
  if (signal?.aborted === true)
    throw new KithError('interrupted', 'interrupted; run the same command again to go on');
}

/** Where a stretch's first chunk begins, in bytes of the file; undefined if the stretch before it failed. */
function waitForStart(
  starts: BigInt64Array,
  index: number,
  signal: { readonly aborted: boolean } | undefined,
): number | undefined {
  for (;;) {
    const start = Atomics.load(starts, index);
    if (start >= 0n) return Number(start);
    if (start === startFailed) return undefined;
    throwIfStopped(signal);
    Atomics.wait(starts, index, startUnknown, 100);
  }
}

function tellStart(starts: BigInt64Array, index: number, start: bigint): void {
  Atomics.store(starts, index, start);
  Atomics.notify(starts, index);
}

/** Whether a file was opened with the metadata that the walk saw (ctime changes with all of them), and has none beyond these. */
function looksSame(opened: TreeEntry, walked: TreeEntry): boolean {
  return (
    opened.xattrs === undefined &&
    opened.sparse === undefined &&
    opened.size === walked.size &&
    opened.mtimeNs === walked.mtimeNs &&
    opened.ctimeNs === walked.ctimeNs &&
    opened.inode === walked.inode
  );
}
