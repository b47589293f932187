import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  unlinkSync,
  write as writeAsync,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { KithError } from '../base/errors.ts';
import { toHex } from '../base/bytes.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import { nameBytes } from './path.ts';
import { problemCode, reasonOf } from './problem.ts';
import { partsToWrite } from './restore-holes.ts';
import type { MetadataSetter } from './restore-metadata.ts';
import { setFileMetadata } from './restore-metadata.ts';

const writeFrom = promisify(writeAsync);

/** Writes up to this many bytes are made at once: they cost less than a trip through the thread pool. */
const syncWriteBytesMax: number = 256 * 1024;

const tempPrefix = '.kith-restore-';
const tempPattern = /^\.kith-restore-[0-9a-f]{32}$/;

/** A name for something that is not whole yet; it is renamed once it is. */
export function tempName(random: RandomSource): Uint8Array {
  return nameBytes(tempPrefix + toHex(random(16)));
}

/** Whether a name is one that an interrupted restore left behind. */
export function isTempName(latin1: string): boolean {
  return tempPattern.test(latin1);
}

/** How a sink ended; inode and mtime are those of the file under its real name. */
export type SinkEnd =
  | {
      readonly outcome: 'written';
      readonly device: bigint;
      readonly inode: bigint;
      readonly mtimeNs: bigint;
    }
  | { readonly outcome: 'failed' | 'aborted' };

/** A folder as a sink needs it. */
export interface SinkFolder {
  /** Path of a child, which is not followed if it is a symlink. */
  at(name: Uint8Array): Buffer;
  release(): void;
}

/** What a sink needs from the writer. */
export interface SinkPlace {
  /** Retained for the sink, which releases it. */
  readonly folder: SinkFolder;
  readonly entry: TreeEntry;
  /** The path for people. */
  readonly shown: string;
  readonly random: RandomSource;
  readonly setter: MetadataSetter;
  /** Owner, attributes, mode or times that could not be set: the file is there nevertheless. */
  readonly onMetadataFailure: (error: unknown) => void;
  readonly onEnd: (end: SinkEnd) => void;
  /** True in a thread that nothing else waits for: all writes are then made at once. */
  readonly atOnce?: boolean;
}

/** Writes all of `bytes` at `offset` of an open file at once. System errors. */
export function writeAllAt(handle: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;)
    done += writeSync(handle, bytes, done, bytes.length - done, offset + done);
}

/**
 * A file on its way back, under a name of its own until `commit` gives it the real one: whatever interrupts, there is
 * never half a file under that. End every sink with commit or abort, before its folder is left.
 * Failures are KithErrors (`disk-full`, `io-error`, `damaged`), after which the sink has ended and left nothing.
 */
export class FileSink {
  readonly #place: SinkPlace;
  readonly #temp: Uint8Array;
  readonly #handle: number;
  #written = 0;
  #open = true;

  /** @internal Throws a system error if the file can't be made; the folder is then still the caller's to release. */
  constructor(place: SinkPlace) {
    this.#place = place;
    this.#temp = tempName(place.random);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    this.#handle = openSync(place.folder.at(this.#temp), flags, 0o600);
  }

  /** For somebody else who writes into the file at places of its own (writeAllAt), and says so by `wrote`. Good until the sink ends. */
  get handle(): number {
    this.#mustBeOpen();
    return this.#handle;
  }

  /** Counts bytes that somebody else wrote. */
  wrote(bytes: number): void {
    this.#written += bytes;
  }

  /** Writes all of `bytes` at `offset`, in any order, but for zeros where the entry has a hole; the bytes may be reused once it resolves. */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    this.#mustBeOpen();
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + bytes.length > this.#place.entry.size) {
      throw this.#fail(new KithError('damaged', `${this.#place.shown}: more bytes than its size allows`));
    }
    try {
      for (const { start, end } of partsToWrite(this.#place.entry.sparse, bytes, offset)) {
        for (let done = start; done < end;) {
          const rest = end - done;
          done +=
            rest <= syncWriteBytesMax || this.#place.atOnce === true
              ? writeSync(this.#handle, bytes, done, rest, offset + done)
              : (await writeFrom(this.#handle, bytes, done, rest, offset + done)).bytesWritten;
        }
      }
    } catch (error) {
      throw this.#fail(error);
    }
    this.#written += bytes.length;
  }

  /** Sets owner, attributes, mode and mtime and gives the file its name. KithError `damaged` if bytes are missing. */
  async commit(): Promise<void> {
    this.#mustBeOpen();
    const { folder, entry, shown, setter } = this.#place;
    try {
      // Where it ends in a hole, nothing was written up to its end.
      if (entry.sparse !== undefined && this.#written === entry.size) ftruncateSync(this.#handle, entry.size);
      const stats = fstatSync(this.#handle, { bigint: true });
      if (this.#written !== entry.size || stats.size !== BigInt(entry.size)) {
        throw new KithError('damaged', `${shown}: ${this.#written} of ${entry.size} bytes are there`);
      }
      const from = folder.at(this.#temp);
      try {
        setFileMetadata(setter, this.#handle, from, entry);
      } catch (error) {
        this.#place.onMetadataFailure(error);
      }
      const { dev: device, ino: inode, mtimeNs } = fstatSync(this.#handle, { bigint: true });
      renameSync(from, folder.at(entry.name));
      this.#end({ outcome: 'written', device, inode, mtimeNs });
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Gives up and removes what was written. Nothing happens to a sink that has ended. */
  async abort(): Promise<void> {
    this.abortNow();
  }

  /** @internal */
  abortNow(): void {
    if (!this.#open) return;
    this.#remove();
    this.#end({ outcome: 'aborted' });
  }

  #fail(error: unknown): KithError {
    if (this.#open) {
      this.#remove();
      this.#end({ outcome: 'failed' });
    }
    if (error instanceof KithError) return error;
    const message = `${this.#place.shown} could not be written: ${reasonOf(error)}`;
    return new KithError(problemCode(error), message, { cause: error });
  }

  #remove(): void {
    try {
      unlinkSync(this.#place.folder.at(this.#temp));
    } catch {
      // The next restore into this folder clears away what is left.
    }
  }

  #end(end: SinkEnd): void {
    this.#open = false;
    closeSync(this.#handle);
    this.#place.folder.release();
    this.#place.onEnd(end);
  }

  #mustBeOpen(): void {
    if (!this.#open) throw new KithError('internal', `${this.#place.shown}: written to after its end`);
  }
}
