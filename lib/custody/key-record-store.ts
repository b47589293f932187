import { toHex } from '../base/bytes.ts';
import { KithError, isKithError } from '../base/errors.ts';
import {
  decodeKeyRecord,
  keyRecordBytesMax,
  keyRecordCovers,
  verifyKeyRecord,
  type KeyRecord,
} from '../format/key-record.ts';
import type { Reservation } from '../holders/holder.ts';
import { KeyedLocks } from './keyed-locks.ts';
import type { Hold, RoomBook } from './room-book.ts';
import { isUnreadable, type Place, type StoreFolder } from './store-folder.ts';

/**
 * One vault's key record in a holder's folder: `keys/<vault>.keys` (docs/formats/keys.md). It is the way back into
 * everything, so it is only replaced by one that has all of it.
 */
export class KeyRecordStore {
  readonly #folder: StoreFolder;
  readonly #book: RoomBook;
  readonly #vaultId: Uint8Array;
  readonly #place: Place;
  readonly #locks = new KeyedLocks();

  constructor(folder: StoreFolder, book: RoomBook, vaultId: Uint8Array) {
    this.#folder = folder;
    this.#book = book;
    this.#vaultId = vaultId;
    this.#place = { folders: folder.layout.keys, name: `${toHex(vaultId)}.keys` };
  }

  /** Room for a record of so many bytes, less what there is. */
  async hold(bytes: number): Promise<Hold> {
    const there = (await this.#folder.bytesAt(this.#place)) ?? 0;
    return await this.#book.hold(Math.max(0, bytes - there));
  }

  /** KithError `key-record-stale` if the one kept has keys or certificates that this one lacks. */
  async put(bytes: Uint8Array, reservation?: Reservation): Promise<void> {
    const record = decodeKeyRecord(bytes);
    verifyKeyRecord(record, this.#vaultId);
    await this.#locks.run('', async () => {
      const there = await this.#sound();
      if (there !== undefined && !keyRecordCovers(record, there)) {
        const { id, name } = this.#folder.holder;
        throw new KithError(
          'key-record-stale',
          `"${name}" holds a key record with keys that this one lacks: read it, merge them, and store the union`,
          { details: { holder: id } },
        );
      }
      await this.#folder.save(this.#place, [bytes], this.#book, reservation);
    });
  }

  async get(): Promise<Uint8Array | undefined> {
    if ((await this.#folder.list(this.#place.folders)) === undefined) return undefined;
    return await this.#folder.disk.readWhole(this.#folder.pathOf(this.#place), keyRecordBytesMax);
  }

  async measure(): Promise<number> {
    return await this.#folder.bytesIn(this.#place.folders, (name) => name === this.#place.name);
  }

  /** The record kept, if it can be read and is authentic. */
  async #sound(): Promise<KeyRecord | undefined> {
    if ((await this.#folder.bytesAt(this.#place)) === undefined) return undefined;
    try {
      const bytes = await this.get();
      if (bytes === undefined) return undefined;
      const record = decodeKeyRecord(bytes);
      verifyKeyRecord(record, this.#vaultId);
      return record;
    } catch (error) {
      if (isKithError(error, 'malformed', 'limit-exceeded', 'not-authentic')) return undefined;
      if (isUnreadable(error)) return undefined;
      throw error;
    }
  }
}
