import { closeSync, constants, fstatSync, openSync, read as readAsync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import type { BigIntStats } from 'node:fs';
import { displayText } from '../base/bytes.ts';
import { throwIfAborted } from '../base/concurrency.ts';
import { KithError, systemCode } from '../base/errors.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { Accounts } from './accounts.ts';
import { entryOf } from './entry.ts';
import type { TellLoss } from './extras.ts';
import { withFileExtras } from './extras.ts';
import { withReach } from './path.ts';
import { reasonOf } from './problem.ts';
import { numbersOf } from './stat-numbers.ts';

const readInto = promisify(readAsync);

/** Reads up to this many bytes are made at once: they cost less than a trip through the thread pool. */
const syncReadBytesMax: number = 256 * 1024;

/** What the walk knew of a file. */
export interface ExpectedFile {
  readonly inode: bigint;
  readonly device: bigint;
}

/**
 * A file of a source, open for reading; close it, whatever happens. Every failure is KithError `source-unreadable`.
 */
export class SourceFile {
  readonly #path: Uint8Array;
  readonly #handle: number;
  /** As the file was when it was opened. */
  readonly opened: BigIntStats;
  #open = true;
  /** Where a read met the end before the size it should have. */
  #endedAt: number | undefined;

  /** @internal Use openForRead. */
  constructor(path: Uint8Array, handle: number, opened: BigIntStats) {
    this.#path = path;
    this.#handle = handle;
    this.opened = opened;
  }

  /** Bytes when it was opened. */
  get size(): number {
    return Number(this.opened.size);
  }

  /**
   * The entry that the walk gave, with the size, times and the rest as they were when the file was opened, and with
   * extended attributes and sparse map as they are now: best asked after reading. `tell` hears what is left out.
   */
  entry(walked: TreeEntry, accounts: Accounts, tell: TellLoss = () => undefined): TreeEntry {
    const entry = entryOf(walked.name, this.opened, accounts);
    return withFileExtras(entry, this.#handle, this.opened, tell, this.#endedAt);
  }

  /** Like read, in this thread. */
  readNow(into: Uint8Array, position: number): number {
    let filled = 0;
    try {
      while (filled < into.length) {
        const count = readSync(this.#handle, into, filled, into.length - filled, position + filled);
        if (count === 0) {
          this.#endedAt = Math.min(this.#endedAt ?? this.size, position + filled);
          break;
        }
        filled += count;
      }
    } catch (error) {
      throw unreadable(this.#path, error);
    }
    return filled;
  }

  /** Whether it had this size and these times when it was opened. */
  isAs(entry: TreeEntry): boolean {
    const { size, mtimeNs, ctimeNs } = this.opened;
    return Number(size) === entry.size && mtimeNs === entry.mtimeNs && ctimeNs === entry.ctimeNs;
  }

  /** Fills `into` from `position` on; gives the number of bytes read, which is less only at the end of the file. */
  async read(into: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < into.length) {
      const rest = into.length - filled;
      let count: number;
      try {
        count =
          rest <= syncReadBytesMax
            ? readSync(this.#handle, into, filled, rest, position + filled)
            : (await readInto(this.#handle, into, filled, rest, position + filled)).bytesRead;
      } catch (error) {
        throw unreadable(this.#path, error);
      }
      if (count === 0) {
        this.#endedAt = Math.min(this.#endedAt ?? this.size, position + filled);
        break;
      }
      filled += count;
    }
    return filled;
  }

  /**
   * The file's bytes in order, in pieces that fill `buffer` (but the last). Each piece is a view of `buffer`, which
   * the next one overwrites. Ends at the size that the file had when it was opened, or where it now ends.
   */
  async *chunks(buffer: Uint8Array, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    for (let position = 0; position < this.size;) {
      throwIfAborted(signal);
      const wanted = Math.min(buffer.length, this.size - position);
      const count = await this.read(buffer.subarray(0, wanted), position);
      if (count > 0) yield buffer.subarray(0, count);
      if (count < wanted) return;
      position += count;
    }
  }

  /** Whether the file was written to since it was opened: what was read is then a mixture, worth reading once more. */
  state(): 'same' | 'changed' {
    try {
      const now = fstatSync(this.#handle, { bigint: true });
      const same =
        now.size === this.opened.size &&
        now.mtimeNs === this.opened.mtimeNs &&
        now.ctimeNs === this.opened.ctimeNs;
      return same ? 'same' : 'changed';
    } catch (error) {
      throw unreadable(this.#path, error);
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    try {
      closeSync(this.#handle);
    } catch {
      // It was only read: nothing is lost, whatever a network file system says now.
    }
  }
}

/**
 * Opens a file that the walk met. Never follows a symlink at its name and never waits for the other end of a FIFO.
 * KithError `source-unreadable` if it can't be read or is no longer the file that the walk saw; in the latter case its
 * `details.replaced` is true, and lookAgain tells what is there now: editors replace a file when they save it.
 */
export function openForRead(path: Uint8Array, expected: ExpectedFile): SourceFile {
  let handle: number | undefined;
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    handle = withReach(path, (at) => openSync(at, flags));
    const opened = fstatSync(handle, { bigint: true });
    const { inode, device } = numbersOf(opened);
    if (opened.isFile() && inode === expected.inode && device === expected.device) {
      return new SourceFile(path, handle, opened);
    }
    throw unreadable(
      path,
      new Error('another thing stands under its name since the folder was listed'),
      true,
    );
  } catch (error) {
    if (handle !== undefined) closeSync(handle);
    if (error instanceof KithError) throw error;
    // What O_NOFOLLOW says of a symlink, and an open of a socket: the walk saw a file.
    const system = systemCode(error);
    throw unreadable(path, error, system === 'ELOOP' || system === 'ENXIO');
  }
}

function unreadable(path: Uint8Array, error: unknown, replaced = false): KithError {
  return new KithError('source-unreadable', `can't be read: ${reasonOf(error)}`, {
    details: { path: displayText(path), replaced },
    cause: error,
  });
}
