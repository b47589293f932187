import { join } from 'node:path';
import { displayText, idKey, toHex, utf8 } from '../../base/bytes.ts';
import { Semaphore } from '../../base/concurrency.ts';
import { isKithError, messageOf } from '../../base/errors.ts';
import type { Disk } from '../../disk/disk.ts';
import { writeDurably } from '../../disk/write-durably.ts';
import type { Problem } from '../types.ts';

/** Bytes of the file at most; a line is 132 or 133 bytes, so this is some 120,000 bad shards. */
export const damageBookBytesMax: number = 16 * 1024 * 1024;

/**
 * Shards whose bytes turned out bad where they are held, remembered in the home (`damaged`: a line each of holder id, pack id and
 * index): a listing shows such a shard as if nothing were wrong, so without this the next backup would build on it. An entry
 * goes when the shard is replaced there, or reads as good again.
 */
export class DamageBook {
  readonly #disk: Disk;
  readonly #home: string;
  readonly #entries = new Set<string>();
  readonly #saving = new Semaphore(1);
  #bytes = 0;
  #changed = false;

  private constructor(disk: Disk, home: string) {
    this.#disk = disk;
    this.#home = home;
  }

  /**
   * Reads the book of a home; lines that make no sense are left out. One that can't be read or is too long is told to `onProblem`
   * and counts as empty: what it says can be found out again, and must not keep anyone from their vault.
   */
  static async load(disk: Disk, home: string, onProblem?: (problem: Problem) => void): Promise<DamageBook> {
    const book = new DamageBook(disk, home);
    const path = join(home, 'damaged');
    let bytes: Uint8Array | undefined;
    try {
      bytes = await disk.readWhole(path, damageBookBytesMax);
    } catch (error) {
      if (!isKithError(error, 'io-error', 'limit-exceeded')) throw error;
      onProblem?.({
        item: path,
        message: `the list of shards found bad can't be read and counts as empty: ${messageOf(error)}`,
        code: error.code,
      });
    }
    // Bytes that are no text spoil their own line only.
    for (const line of displayText(bytes ?? new Uint8Array(0)).split('\n')) {
      if (/^[0-9a-f]{64} [0-9a-f]{64} \d{1,2}$/.test(line)) book.#insert(line);
    }
    return book;
  }

  has(holderId: string, packId: Uint8Array, index: number): boolean {
    return this.#entries.size > 0 && this.#entries.has(lineOf(holderId, packId, index));
  }

  /** Remembers a bad shard, unless the book is full. */
  add(holderId: string, packId: Uint8Array, index: number): void {
    if (this.#insert(lineOf(holderId, packId, index))) this.#changed = true;
  }

  remove(holderId: string, packId: Uint8Array, index: number): void {
    if (this.#entries.size === 0) return;
    const line = lineOf(holderId, packId, index);
    if (!this.#entries.delete(line)) return;
    this.#bytes -= line.length + 1;
    this.#changed = true;
  }

  /** Writes the book if it changed; durable when it returns. */
  async save(): Promise<void> {
    await this.#saving.run(async () => {
      if (!this.#changed) return;
      this.#changed = false;
      try {
        await writeDurably(this.#disk, {
          tempFolder: join(this.#home, 'tmp'),
          path: join(this.#home, 'damaged'),
          parts: [utf8([...this.#entries].map((line) => `${line}\n`).join(''))],
          mode: 0o600,
        });
      } catch (error) {
        this.#changed = true;
        throw error;
      }
    });
  }

  /** True if the line is new and there is room for it and its line feed. Lines are ASCII. */
  #insert(line: string): boolean {
    if (this.#entries.has(line) || this.#bytes + line.length + 1 > damageBookBytesMax) return false;
    this.#entries.add(line);
    this.#bytes += line.length + 1;
    return true;
  }
}

function lineOf(holderId: string, packId: Uint8Array, index: number): string {
  return `${holderId} ${toHex(packId)} ${index}`;
}

/** A key for one shard at one holder within a process. */
export function shardKey(holderId: string, packId: Uint8Array, index: number): string {
  return `${holderId}/${index}/${idKey(packId)}`;
}
