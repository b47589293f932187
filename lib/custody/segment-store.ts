import { equalBytes, fromHex, toHex } from '../base/bytes.ts';
import { mapLimited } from '../base/concurrency.ts';
import { KithError, isKithError } from '../base/errors.ts';
import { hashBytes } from '../crypto/hash.ts';
import {
  decodeSegment,
  parseSegmentFileName,
  segmentBytesMax,
  segmentFileName,
  verifySegment,
} from '../format/segment.ts';
import type { HeldLog, Reservation } from '../holders/holder.ts';
import { KeyedLocks } from './keyed-locks.ts';
import type { Hold, RoomBook } from './room-book.ts';
import { isUnreadable, statsAtOnce, type Place, type StoreFolder } from './store-folder.ts';
import type { IsDevice, TrustedLength } from './verify-shard.ts';

export interface SegmentCounts {
  readonly segments: number;
  readonly logs: number;
}

/**
 * Segments and logs of one vault: each is a file or a folder, and a quota counts bytes alone. Far above what honest devices write in
 * decades (an append is a segment, a recovery two logs).
 */
export const segmentCountsMax: SegmentCounts = { segments: 256 * 1024, logs: 4096 };

/**
 * One vault's logs in a holder's folder: `logs/<vault>/<log key>/<first>.seg` (docs/formats/store.md). Segments are
 * checked before they are kept and never change after; callers guard against an absent disk.
 */
export class SegmentStore {
  readonly #folder: StoreFolder;
  readonly #book: RoomBook;
  readonly #vaultId: Uint8Array;
  readonly #vaultFolders: readonly string[];
  readonly #isDevice: IsDevice;
  readonly #most: SegmentCounts;
  readonly #trustedLength: TrustedLength;
  readonly #locks = new KeyedLocks();
  /** Segments by log key in hex, learned by one listing before the first new one. */
  #counts: Promise<Map<string, number>> | undefined;

  constructor(
    folder: StoreFolder,
    book: RoomBook,
    vaultId: Uint8Array,
    isDevice: IsDevice,
    most: SegmentCounts = segmentCountsMax,
    trustedLength: TrustedLength = () => Number.POSITIVE_INFINITY,
  ) {
    this.#most = most;
    this.#trustedLength = trustedLength;
    this.#folder = folder;
    this.#book = book;
    this.#vaultId = vaultId;
    this.#vaultFolders = [...folder.layout.logs, toHex(vaultId)];
    this.#isDevice = isDevice;
  }

  /** Tells the book what segments take. */
  async list(): Promise<HeldLog[]> {
    const counted = this.#book.counting('logs');
    const logs: HeldLog[] = [];
    let sum = 0;
    for (const logKey of await this.#logKeys()) {
      const folders = this.#foldersOf(logKey);
      const names = ((await this.#folder.listInside(folders)) ?? []).map(({ name }) => name);
      const found = await mapLimited(names, statsAtOnce, async (name) => {
        const firstIndex = parseSegmentFileName(name);
        const bytes = firstIndex === undefined ? undefined : await this.#folder.bytesAt({ folders, name });
        return firstIndex === undefined || bytes === undefined ? [] : [{ firstIndex, bytes }];
      });
      const segments = found.flat();
      for (const { bytes } of segments) sum += bytes;
      logs.push({ logKey, segments });
    }
    counted(sum);
    return logs;
  }

  /** Room for a segment of so many bytes, less what lies in its place. */
  async hold(logKey: Uint8Array, firstIndex: number, bytes: number): Promise<Hold> {
    const there = (await this.#folder.bytesAt(this.#placeOf(logKey, firstIndex))) ?? 0;
    return await this.#book.hold(Math.max(0, bytes - there));
  }

  async put(
    logKey: Uint8Array,
    firstIndex: number,
    bytes: Uint8Array,
    reservation?: Reservation,
  ): Promise<void> {
    const flaw = this.#flawOf(logKey, firstIndex, bytes);
    if (flaw !== undefined) throw new KithError('not-authentic', flaw);
    this.#refuseVoid(logKey, bytes);
    const place = this.#placeOf(logKey, firstIndex);
    await this.#locks.run(this.#folder.pathOf(place), async () => {
      const there = await this.#sound(logKey, firstIndex, place);
      if (there === undefined) {
        await this.#count(logKey, place, () => this.#folder.save(place, [bytes], this.#book, reservation));
      } else if (equalBytes(there, bytes)) {
        await this.#folder.settle(place);
      } else {
        const { id, name } = this.#folder.holder;
        throw new KithError(
          'log-forked',
          `"${name}" holds other records of this log from number ${firstIndex} on: the log must not be continued`,
          { details: { holder: id, log: toHex(logKey), firstIndex } },
        );
      }
    });
  }

  async get(logKey: Uint8Array, firstIndex: number): Promise<Uint8Array | undefined> {
    return await this.#folder.disk.readWhole(
      this.#folder.pathOf(this.#placeOf(logKey, firstIndex)),
      segmentBytesMax,
    );
  }

  /** Writes a segment if there may be one more. KithError `limit-exceeded`. */
  async #count(logKey: Uint8Array, place: Place, write: () => Promise<void>): Promise<void> {
    if ((await this.#folder.bytesAt(place)) !== undefined) {
      await write();
      return;
    }
    this.#counts ??= this.#learnCounts();
    const counts = await this.#counts.catch((error: unknown) => {
      this.#counts = undefined;
      throw error;
    });
    const key = toHex(logKey);
    const known = counts.get(key);
    let total = 0;
    for (const count of counts.values()) total += count;
    if (total >= this.#most.segments || (known === undefined && counts.size >= this.#most.logs)) {
      throw new KithError(
        'limit-exceeded',
        `"${this.#folder.holder.name}" keeps ${total} segments of ${counts.size} logs already: no more are taken`,
      );
    }
    counts.set(key, (known ?? 0) + 1);
    try {
      await write();
    } catch (error) {
      // It may have got its name all the same: counted anew at the next.
      this.#counts = undefined;
      throw error;
    }
  }

  async #learnCounts(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const logKey of await this.#logKeys()) {
      const entries = (await this.#folder.listInside(this.#foldersOf(logKey))) ?? [];
      counts.set(toHex(logKey), entries.length);
    }
    return counts;
  }

  /** Bytes of all segment files. */
  async measure(): Promise<number> {
    let sum = 0;
    for (const logKey of await this.#logKeys()) {
      sum += await this.#folder.bytesInside(
        this.#foldersOf(logKey),
        (name) => parseSegmentFileName(name) !== undefined,
      );
    }
    return sum;
  }

  #foldersOf(logKey: Uint8Array): string[] {
    if (logKey.length !== hashBytes) throw new RangeError('a log key has 32 bytes');
    return [...this.#vaultFolders, toHex(logKey)];
  }

  #placeOf(logKey: Uint8Array, firstIndex: number): Place {
    return { folders: this.#foldersOf(logKey), name: segmentFileName(firstIndex) };
  }

  /** Of the folders that are there, none of them a link. */
  async #logKeys(): Promise<Uint8Array[]> {
    const keys: Uint8Array[] = [];
    for (const { name, isFolder } of (await this.#folder.list(this.#vaultFolders)) ?? []) {
      const key = isFolder && name === name.toLowerCase() ? fromHex(name) : undefined;
      if (key?.length === hashBytes) keys.push(key);
    }
    return keys;
  }

  /** The bytes in a place if they are an authentic segment; undefined if there is none, or a bad one. */
  async #sound(logKey: Uint8Array, firstIndex: number, place: Place): Promise<Uint8Array | undefined> {
    if ((await this.#folder.bytesAt(place)) === undefined) return undefined;
    try {
      const bytes = await this.get(logKey, firstIndex);
      const isSound = bytes !== undefined && this.#flawOf(logKey, firstIndex, bytes) === undefined;
      return isSound ? bytes : undefined;
    } catch (error) {
      if (isKithError(error, 'malformed', 'limit-exceeded', 'not-authentic')) return undefined;
      if (isUnreadable(error)) return undefined;
      throw error;
    }
  }

  /** KithError `not-authentic` for what a revoked device wrote behind what is trusted of it. What lies here already stays. */
  #refuseVoid(logKey: Uint8Array, bytes: Uint8Array): void {
    const { head, records } = decodeSegment(bytes);
    if (head.firstIndex + records.length <= this.#trustedLength(head.deviceId, logKey)) return;
    throw new KithError(
      'not-authentic',
      'the log segment is of a revoked device, behind what is trusted of it',
    );
  }

  /** Throws `malformed`, `too-new` or `not-authentic`, or says why the segment isn't of this vault, log and place. */
  #flawOf(logKey: Uint8Array, firstIndex: number, bytes: Uint8Array): string | undefined {
    const segment = decodeSegment(bytes);
    verifySegment(segment);
    const { head } = segment;
    if (!equalBytes(head.vaultId, this.#vaultId)) return 'the log segment is of another vault';
    if (!equalBytes(head.logKey, logKey)) return 'the log segment is of another log';
    if (head.firstIndex !== firstIndex) return 'the log segment begins elsewhere';
    return this.#isDevice(head.deviceId, this.#vaultId)
      ? undefined
      : "the log is of a device that its vault doesn't know";
  }
}
