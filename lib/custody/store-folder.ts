import { dirname, join } from 'node:path';
import { KithError, isKithError } from '../base/errors.ts';
import { mapLimited, SharedWork } from '../base/concurrency.ts';
import type { Disk, DiskEntry } from '../disk/disk.ts';
import { isTempName, writeDurably } from '../disk/write-durably.ts';
import type { Reservation } from '../holders/holder.ts';
import type { RoomBook } from './room-book.ts';

/** Looks at a time: enough to keep a disk's queue filled, few enough for any limit on open files. */
export const statsAtOnce = 32;

/** What the system says of a file whose bytes can't be had though the disk is there: as good as garbled. */
const unreadable: readonly unknown[] = ['EIO', 'ELOOP', 'EISDIR', 'EBADMSG', 'EUCLEAN', 'not-a-file'];

/** True for the error of a file that is there and can't be read, other than for want of rights or handles. */
export function isUnreadable(error: unknown): boolean {
  return isKithError(error, 'io-error') && unreadable.includes(error.details['system']);
}

/** Folders known to be there; beyond it they are looked at again. */
const knownFoldersMax = 8192;

/** Which folder each kind of file lies in, below the store's own; folders' names from the top down. */
export interface StoreLayout {
  readonly shards: readonly string[];
  readonly logs: readonly string[];
  readonly keys: readonly string[];
  readonly temp: readonly string[];
}

/** A drive's, and that of a folder that `store set` names. */
export const driveLayout: StoreLayout = { shards: ['shards'], logs: ['logs'], keys: ['keys'], temp: ['tmp'] };

export interface StoreFolderOptions {
  readonly disk: Disk;
  /** The folder below which everything lies. */
  readonly folder: string;
  /** A drive's unless given. */
  readonly layout?: StoreLayout;
  /** The holder, for error details. */
  readonly holder: { readonly id: string; readonly name: string };
  /** Throws KithError `holder-unavailable` unless the marker is there and the right one; looks each time. */
  readonly guard: () => Promise<void>;
}

/** A file's place: folders below the store's folder, and its name. */
export interface Place {
  readonly folders: readonly string[];
  readonly name: string;
}

/**
 * A holder's folder as files in places, with the promises that all kinds of them share: nothing is made where the
 * marker isn't, nothing is reached through a link, a file is whole and durable before a write returns, and an error or
 * an absence counts only if the marker is still there after it.
 */
export class StoreFolder {
  readonly disk: Disk;
  readonly holder: { readonly id: string; readonly name: string };
  readonly layout: StoreLayout;
  readonly #folder: string;
  /** Whatever happens here at the same time shares a look. */
  readonly #look: SharedWork<void>;
  /** Flushes of folders that are under way. */
  readonly #flushes = new Map<string, SharedWork<void>>();
  readonly #known = new Set<string>();
  #emptied: Promise<void> | undefined;

  constructor(options: StoreFolderOptions) {
    this.disk = options.disk;
    this.holder = options.holder;
    this.layout = options.layout ?? driveLayout;
    this.#folder = options.folder;
    this.#look = new SharedWork(options.guard);
  }

  pathOf(place: Place): string {
    return join(this.#folder, ...place.folders, place.name);
  }

  /** Throws KithError `holder-unavailable` unless the store is there now. */
  async look(): Promise<void> {
    await this.#look.run();
  }

  /** Runs `work` on a store that is there. Where it ends in a disk error, or in a result to `doubt`, looks again. */
  async guarded<T>(work: () => Promise<T>, doubt: (result: T) => boolean = () => false): Promise<T> {
    await this.#look.run();
    let result: T;
    try {
      result = await work();
    } catch (error) {
      this.#known.clear();
      if (isKithError(error, 'io-error', 'shard-damaged')) await this.#look.run();
      throw error;
    }
    if (doubt(result)) await this.#look.run();
    return result;
  }

  /**
   * Bytes of a plain file; undefined where there is none; 0 of one that the disk can't even be asked about, so that a
   * bad spot doesn't stop all else.
   */
  async bytesAt(place: Place): Promise<number | undefined> {
    return (await this.statAt(place))?.bytes;
  }

  /** Like bytesAt, with when the file was written (ms since 1970; 0 where that can't be told). */
  async statAt(place: Place): Promise<{ readonly bytes: number; readonly mtimeMs: number } | undefined> {
    try {
      const stat = await this.disk.stat(this.pathOf(place));
      return stat?.isFile === true ? { bytes: stat.bytes, mtimeMs: stat.mtimeMs } : undefined;
    } catch (error) {
      if (isUnreadable(error)) return { bytes: 0, mtimeMs: 0 };
      throw error;
    }
  }

  /** What is in a folder, sorted by name; undefined if it, or one above it, isn't a folder of this store. */
  async list(folders: readonly string[]): Promise<DiskEntry[] | undefined> {
    for (let depth = 1; depth <= folders.length; depth++) {
      const stat = await this.disk.stat(join(this.#folder, ...folders.slice(0, depth)));
      if (stat?.isFolder !== true) return undefined;
    }
    return await this.listInside(folders);
  }

  /** The same of a folder that a listing of the one above has just shown to be one. */
  async listInside(folders: readonly string[]): Promise<DiskEntry[] | undefined> {
    const entries = await this.disk.list(join(this.#folder, ...folders));
    return entries?.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Bytes of the files of a folder whose names `counts` accepts. */
  async bytesIn(folders: readonly string[], counts: (name: string) => boolean): Promise<number> {
    return await this.#bytesOf(folders, await this.list(folders), counts);
  }

  /** The same of a folder as for listInside. */
  async bytesInside(folders: readonly string[], counts: (name: string) => boolean): Promise<number> {
    return await this.#bytesOf(folders, await this.listInside(folders), counts);
  }

  async #bytesOf(
    folders: readonly string[],
    listed: readonly DiskEntry[] | undefined,
    counts: (name: string) => boolean,
  ): Promise<number> {
    const entries = (listed ?? []).filter((entry) => entry.isFile && counts(entry.name));
    const sizes = await mapLimited(entries, statsAtOnce, async ({ name }) => this.bytesAt({ folders, name }));
    return sizes.reduce<number>((sum, bytes) => sum + (bytes ?? 0), 0);
  }

  /**
   * Writes a file durably in its place, in the book's account. One write at a time for each place: callers see to it.
   * What an earlier process left half written is removed before the first write. `bytesBefore`: those of the file in its place, where
   * the caller has just looked.
   */
  async save(
    place: Place,
    parts: readonly Uint8Array[],
    book: RoomBook,
    reservation?: Reservation,
    bytesBefore?: number,
  ): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    const before = bytesBefore ?? (await this.bytesAt(place)) ?? 0;
    await book.grow(Math.max(0, bytes - before), reservation, async () => {
      try {
        await this.#write(place, parts).catch(async (error: unknown) => {
          if (!isKithError(error, 'io-error') || error.details['system'] !== 'ENOENT') throw error;
          // A folder that was there has been removed by somebody: made again, unless the store went with it.
          this.#known.clear();
          await this.#write(place, parts);
        });
        return { grown: bytes - before };
      } catch (error) {
        // It may have got its name before it failed.
        return { grown: ((await this.bytesAt(place)) ?? 0) - before, error };
      }
    });
  }

  async #write(place: Place, parts: readonly Uint8Array[]): Promise<void> {
    await this.#prepare();
    await this.#ensure(place.folders);
    await writeDurably(this.disk, {
      tempFolder: join(this.#folder, ...this.layout.temp),
      path: this.pathOf(place),
      parts,
      syncFolder: (folder) => this.#flush(folder),
    });
  }

  /** Makes the names in a folder durable; those who ask while a flush is under way share the next. */
  async #flush(folder: string): Promise<void> {
    let flush = this.#flushes.get(folder);
    if (flush === undefined) {
      flush = new SharedWork(() => this.disk.syncFolder(folder));
      this.#flushes.set(folder, flush);
    }
    try {
      await flush.run();
    } finally {
      if (flush.idle && this.#flushes.get(folder) === flush) this.#flushes.delete(folder);
    }
  }

  /** Makes what is there durable: an earlier process may have died between naming it and saying so. */
  async settle(place: Place): Promise<void> {
    await this.#prepare();
    await this.#ensure(place.folders);
    await this.#flush(join(this.#folder, ...place.folders));
  }

  /** Removes a file durably; true if there was one. */
  async remove(place: Place, book: RoomBook): Promise<boolean> {
    let removed = false;
    await book.shrink(async () => {
      const bytes = (await this.bytesAt(place)) ?? 0;
      removed = await this.disk.unlink(this.pathOf(place));
      return removed ? bytes : 0;
    });
    if (removed) await this.#flush(join(this.#folder, ...place.folders));
    return removed;
  }

  /** Makes a place's folders, each durable in the one above before something is made in it. */
  async #ensure(folders: readonly string[]): Promise<void> {
    for (let depth = 1; depth <= folders.length; depth++) {
      const path = join(this.#folder, ...folders.slice(0, depth));
      if (this.#known.has(path)) continue;
      const stat = await this.disk.stat(path);
      if (stat !== undefined && !stat.isFolder) {
        throw new KithError('io-error', `${path} is in the way: a folder belongs there. Move it elsewhere.`, {
          details: { path, system: 'not-a-folder' },
        });
      }
      // The disk may have gone since the last look; its mount point must stay empty.
      if (stat === undefined) await this.#look.run();
      // What is there beside it before the folder above is synced is durable after that, as it is.
      const beside = stat === undefined ? [] : ((await this.disk.list(dirname(path))) ?? []);
      await this.disk.makeFolder(path);
      this.#know(path);
      for (const { name, isFolder } of beside) if (isFolder) this.#know(join(dirname(path), name));
    }
  }

  #know(path: string): void {
    if (this.#known.size >= knownFoldersMax) this.#known.clear();
    this.#known.add(path);
  }

  async #prepare(): Promise<void> {
    this.#emptied ??= this.#emptyTemp().catch((error: unknown) => {
      this.#emptied = undefined;
      throw error;
    });
    await this.#emptied;
    await this.#ensure(this.layout.temp);
  }

  /** Removes only what a store wrote: the folder may have had a `tmp` of its owner's before it became a drive. */
  async #emptyTemp(): Promise<void> {
    for (const { name, isFile } of (await this.list(this.layout.temp)) ?? []) {
      if (isFile && isTempName(name)) await this.disk.unlink(join(this.#folder, ...this.layout.temp, name));
    }
  }
}
