import { join } from 'node:path';
import { idKey, textOf, toHex, utf8 } from '../base/bytes.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';

/** Bytes of the file at most; a line is 133 bytes, so this is some 120,000 bad shards. */
const bookBytesMax = 16 * 1024 * 1024;

/**
 * Shards whose bytes turned out bad where they are held, remembered in the home (`damaged`: a line each of holder id, pack id and
 * index): a listing shows such a shard as if nothing were wrong, so without this the next backup would build on it. An entry
 * goes when the shard is replaced there, or reads as good again.
 */
export class DamageBook {
  readonly #disk: Disk;
  readonly #home: string;
  readonly #entries = new Set<string>();
  #changed = false;

  private constructor(disk: Disk, home: string) {
    this.#disk = disk;
    this.#home = home;
  }

  /** Reads the book of a home; lines that make no sense are left out. */
  static async load(disk: Disk, home: string): Promise<DamageBook> {
    const book = new DamageBook(disk, home);
    const bytes = await disk.readWhole(join(home, 'damaged'), bookBytesMax);
    for (const line of (textOf(bytes ?? new Uint8Array(0)) ?? '').split('\n')) {
      if (/^[0-9a-f]{64} [0-9a-f]{64} \d{1,2}$/.test(line)) book.#entries.add(line);
    }
    return book;
  }

  has(holderId: string, packId: Uint8Array, index: number): boolean {
    return this.#entries.size > 0 && this.#entries.has(lineOf(holderId, packId, index));
  }

  add(holderId: string, packId: Uint8Array, index: number): void {
    const line = lineOf(holderId, packId, index);
    if (this.#entries.has(line) || (this.#entries.size + 1) * (line.length + 1) > bookBytesMax) return;
    this.#entries.add(line);
    this.#changed = true;
  }

  remove(holderId: string, packId: Uint8Array, index: number): void {
    if (this.#entries.size > 0 && this.#entries.delete(lineOf(holderId, packId, index))) this.#changed = true;
  }

  /** Writes the book if it changed; durable when it returns. */
  async save(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    await writeDurably(this.#disk, {
      tempFolder: join(this.#home, 'tmp'),
      path: join(this.#home, 'damaged'),
      parts: [utf8([...this.#entries].map((line) => `${line}\n`).join(''))],
      mode: 0o600,
    });
  }
}

function lineOf(holderId: string, packId: Uint8Array, index: number): string {
  return `${holderId} ${toHex(packId)} ${index}`;
}

/** A key for one shard at one holder within a process. */
export function shardKey(holderId: string, packId: Uint8Array, index: number): string {
  return `${holderId}/${index}/${idKey(packId)}`;
}
