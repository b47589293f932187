import { equalBytes, toHex } from '../base/bytes.ts';
import { mapLimited, throwIfAborted } from '../base/concurrency.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { classBytes, leafBytes } from '../base/limits.ts';
import { hashBytes } from '../crypto/hash.ts';
import { MerkleTree } from '../crypto/merkle.ts';
import type { DiskEntry, DiskStat } from '../disk/disk.ts';
import {
  checkShardPayload,
  parseShardFileName,
  shardFileLayout,
  shardFileName,
  shardHeadBytes,
  type ShardHead,
} from '../format/shard-file.ts';
import type {
  GetOptions,
  InventoryEntry,
  InventoryOptions,
  Reservation,
  ShardRange,
  ShardRef,
  ShardToPut,
} from '../holders/holder.ts';
import { KeyedLocks } from './keyed-locks.ts';
import type { Hold, RoomBook } from './room-book.ts';
import { isUnreadable, type Place, type StoreFolder } from './store-folder.ts';
import {
  flawOfShardFile,
  flawOfTail,
  headOf,
  nameOf,
  shardFileBytesMax,
  shardFileParts,
  type IsDevice,
} from './verify-shard.ts';

/** Heads read at a time while listing. */
const headsAtOnce = 16;

/** Tails that are remembered, of 5 to 10 KiB each: those of the packs that a restore is at. */
const tailsMax = 128;

/** What stands around a shard's payload. */
interface ShardTail {
  readonly head: ShardHead;
  readonly tree: MerkleTree;
  readonly manifest: Uint8Array;
}

/**
 * One vault's shards in a holder's folder, a file each: `shards/<vault>/<xx>/<pack>-<index>.shard`
 * (docs/formats/store.md). The promises are those of holders/holder.ts; callers guard against an absent disk.
 */
export class ShardStore {
  readonly #folder: StoreFolder;
  readonly #book: RoomBook;
  readonly #vaultId: Uint8Array;
  readonly #vaultFolders: readonly string[];
  readonly #isDevice: IsDevice;
  readonly #locks = new KeyedLocks();
  readonly #tails = new Map<string, { bytes: number; mtimeMs: number; tail: ShardTail }>();

  constructor(folder: StoreFolder, book: RoomBook, vaultId: Uint8Array, isDevice: IsDevice) {
    this.#folder = folder;
    this.#book = book;
    this.#vaultId = vaultId;
    this.#vaultFolders = [...folder.layout.shards, toHex(vaultId)];
    this.#isDevice = isDevice;
  }

  /** Room for a shard file of so many bytes, less what lies in its place. */
  async hold(ref: ShardRef, fileBytes: number, reservation?: Reservation): Promise<Hold> {
    const there = (await this.#folder.bytesAt(this.#placeOf(ref))) ?? 0;
    return await this.#book.hold(Math.max(0, fileBytes - there), reservation);
  }

  async put(shard: ShardToPut, reservation?: Reservation, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const place = this.#placeOf(shard);
    const parts = shardFileParts(shard, this.#vaultId, this.#isDevice);
    await this.#locks.run(place.name, async () => {
      throwIfAborted(signal);
      const bytesBefore = await this.#folder.bytesAt(place);
      if (bytesBefore !== undefined && (await this.#hasSame(shard, place))) await this.#folder.settle(place);
      else await this.#folder.save(place, parts, this.#book, reservation, bytesBefore ?? 0);
    });
  }

  async get(
    ref: ShardRef,
    firstLeaf: number,
    leafCount: number,
    { asStored = false }: GetOptions = {},
  ): Promise<ShardRange | undefined> {
    if (!Number.isInteger(firstLeaf) || !Number.isInteger(leafCount) || firstLeaf < 0 || leafCount < 1) {
      throw new KithError('usage', `no range of leaves: ${leafCount} from ${firstLeaf}`);
    }
    const found = await this.#tailOf(ref);
    if (found === undefined) return undefined;
    const { payloadAt } = shardFileLayout(found.head);
    if (firstLeaf + leafCount > found.tree.leaves.length / hashBytes) {
      throw new KithError(
        'usage',
        `${nameOf(ref)} has no leaves ${firstLeaf} to ${firstLeaf + leafCount - 1}`,
      );
    }
    const bytes = await this.#read(ref, payloadAt + firstLeaf * leafBytes, leafCount * leafBytes);
    if (bytes === undefined) return undefined;
    const isWhole = bytes.length === leafCount * leafBytes;
    if (!isWhole || !(asStored || checkShardPayload(bytes, firstLeaf, found.tree.leaves))) {
      throw this.#damaged(ref, "the payload isn't what its leaf hashes say");
    }
    return { bytes, proof: found.tree.rangeProof(firstLeaf, leafCount) };
  }

  async stat(ref: ShardRef): Promise<{ readonly fileBytes: number } | undefined> {
    const fileBytes = await this.#folder.bytesAt(this.#placeOf(ref));
    return fileBytes === undefined ? undefined : { fileBytes };
  }

  async manifest(ref: ShardRef): Promise<Uint8Array | undefined> {
    return (await this.#readTail(ref))?.manifest;
  }

  /** A file's bytes, whatever they are, in `into` if they fit. KithError `shard-damaged` where they can't be read, or are more than any shard has. */
  async file(ref: ShardRef, into?: Uint8Array): Promise<Uint8Array | undefined> {
    try {
      return await this.#folder.disk.readWhole(this.pathOf(ref), shardFileBytesMax, into);
    } catch (error) {
      if (isKithError(error, 'limit-exceeded') || isUnreadable(error)) {
        throw this.#damaged(ref, messageOf(error), error);
      }
      throw error;
    }
  }

  async verify(ref: ShardRef): Promise<'good' | 'damaged' | 'missing'> {
    try {
      const bytes = await this.#folder.disk.readWhole(this.pathOf(ref), shardFileBytesMax);
      if (bytes === undefined) return 'missing';
      return flawOfShardFile(bytes, ref, this.#vaultId, this.#isDevice) === undefined ? 'good' : 'damaged';
    } catch (error) {
      if (isKithError(error, 'limit-exceeded') || isUnreadable(error)) return 'damaged';
      throw error;
    }
  }

  async delete(ref: ShardRef): Promise<boolean> {
    const place = this.#placeOf(ref);
    return await this.#locks.run(place.name, () => this.#folder.remove(place, this.#book));
  }

  /** Makes the names of shards durable; their bytes were, before they got them. */
  async settle(refs: readonly ShardRef[]): Promise<void> {
    const folders = new Map<string, Place>();
    for (const ref of refs) {
      const place = this.#placeOf(ref);
      if ((await this.#folder.bytesAt(place)) !== undefined) folders.set(place.folders.join('/'), place);
    }
    for (const place of folders.values()) await this.#folder.settle(place);
  }

  /** Bytes of all shard files, whole or not. */
  async measure(): Promise<number> {
    let sum = 0;
    for (const folders of await this.#folders()) {
      sum += await this.#folder.bytesInside(folders, (name) => parseShardFileName(name) !== undefined);
    }
    return sum;
  }

  /**
   * By pack id and index, folder by folder: at most one folder's names are in memory. One that is read to its end tells the
   * book what shards take.
   */
  async *inventory(options: InventoryOptions = {}): AsyncGenerator<InventoryEntry> {
    const counted = this.#book.counting('shards');
    const strays: string[] = [];
    let bytes = 0;
    for (const folders of await this.#folders(strays)) {
      const entries = await this.#folder.listInside(folders);
      for await (const entry of this.#listFolder(folders, entries, options, strays)) {
        bytes += entry.fileBytes;
        yield entry;
      }
      bytes += await this.#misplacedBytes(folders, entries);
      reportStrays(strays, options);
    }
    reportStrays(strays, options);
    counted(bytes);
  }

  /** The part of an inventory that lies in one folder: shards of packs whose ids begin with this byte. */
  async *inventoryOf(firstByte: number, options: InventoryOptions = {}): AsyncGenerator<InventoryEntry> {
    const folders = [...this.#vaultFolders, toHex(new Uint8Array([firstByte]))];
    const strays: string[] = [];
    yield* this.#listFolder(folders, await this.#folder.list(folders), options, strays);
    reportStrays(strays, options);
  }

  async *#listFolder(
    folders: readonly string[],
    entries: readonly DiskEntry[] | undefined,
    options: InventoryOptions,
    strays: string[],
  ): AsyncGenerator<InventoryEntry> {
    throwIfAborted(options.signal);
    const refs: ShardRef[] = [];
    for (const { name, isFile } of entries ?? []) {
      const ref = isFile ? parseShardFileName(name) : undefined;
      if (ref === undefined || !isPlaced(ref, folders)) {
        strays.push([...folders, name].join('/'));
      } else refs.push(ref);
    }
    for (let at = 0; at < refs.length; at += headsAtOnce) {
      throwIfAborted(options.signal);
      const some = await mapLimited(refs.slice(at, at + headsAtOnce), headsAtOnce, (ref) =>
        this.#look(ref, options),
      );
      for (const entry of some) if (entry !== undefined) yield entry;
    }
  }

  /** Bytes of files with the names of shards whose place is another folder: no inventory has them, and they take room. */
  async #misplacedBytes(
    folders: readonly string[],
    entries: readonly DiskEntry[] | undefined,
  ): Promise<number> {
    let sum = 0;
    for (const { name, isFile } of entries ?? []) {
      const ref = isFile ? parseShardFileName(name) : undefined;
      if (ref === undefined || isPlaced(ref, folders)) continue;
      sum += (await this.#folder.bytesAt({ folders, name })) ?? 0;
    }
    return sum;
  }

  #placeOf(ref: ShardRef): Place {
    if (ref.packId.length !== hashBytes) throw new RangeError('a pack id has 32 bytes');
    const xx = toHex(ref.packId.subarray(0, 1));
    return { folders: [...this.#vaultFolders, xx], name: shardFileName(ref.packId, ref.index) };
  }

  pathOf(ref: ShardRef): string {
    return this.#folder.pathOf(this.#placeOf(ref));
  }

  /** The folders by first byte; other things' names go to `strays`. */
  async #folders(strays: string[] = []): Promise<string[][]> {
    const folders: string[][] = [];
    for (const { name, isFolder } of (await this.#folder.list(this.#vaultFolders)) ?? []) {
      if (isFolder && /^[0-9a-f]{2}$/.test(name)) folders.push([...this.#vaultFolders, name]);
      else strays.push([...this.#vaultFolders, name].join('/'));
    }
    return folders;
  }

  /** What a listing tells of one shard; undefined if it vanished meanwhile. */
  async #look(ref: ShardRef, { expected }: InventoryOptions): Promise<InventoryEntry | undefined> {
    const place = this.#placeOf(ref);
    const stat = await this.#folder.statAt(place);
    if (stat === undefined) return undefined;
    const { bytes: fileBytes, mtimeMs: sinceMs } = stat;
    const entry = { packId: ref.packId, index: ref.index, fileBytes, sinceMs };
    const likeness = expected?.(ref.packId);
    if (likeness?.fileBytes === fileBytes) return { ...entry, class: likeness.class, damaged: undefined };
    try {
      const bytes = await this.#folder.disk.read(this.#folder.pathOf(place), 0, shardHeadBytes);
      if (bytes === undefined) return undefined;
      const found = headOf(bytes, fileBytes, ref, this.#vaultId);
      if ('flaw' in found) return { ...entry, class: undefined, damaged: found.flaw };
      return { ...entry, class: found.head.class, damaged: undefined };
    } catch (error) {
      // A file of a newer kith is no damage; what it is, that kith knows.
      if (isKithError(error, 'too-new')) return { ...entry, class: undefined, damaged: undefined };
      if (isUnreadable(error)) return { ...entry, class: undefined, damaged: messageOf(error) };
      throw error;
    }
  }

  async #read(ref: ShardRef, offset: number, length: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#folder.disk.read(this.pathOf(ref), offset, length);
    } catch (error) {
      if (isUnreadable(error)) throw this.#damaged(ref, messageOf(error), error);
      throw error;
    }
  }

  /** Like #readTail, remembered while the file looks the same: a restore asks for many ranges of few shards. */
  async #tailOf(ref: ShardRef): Promise<ShardTail | undefined> {
    const path = this.pathOf(ref);
    const stat = await this.#statOf(path);
    const known = this.#tails.get(path);
    if (known !== undefined && known.bytes === stat?.bytes && known.mtimeMs === stat.mtimeMs) {
      return known.tail;
    }
    this.#tails.delete(path);
    const tail = await this.#readTail(ref);
    if (tail === undefined || stat === undefined) return tail;
    this.#tails.set(path, { bytes: stat.bytes, mtimeMs: stat.mtimeMs, tail });
    for (const oldest of this.#tails.keys()) {
      if (this.#tails.size <= tailsMax) break;
      this.#tails.delete(oldest);
    }
    return tail;
  }

  /** Undefined where the disk can't even be asked: then nothing is remembered. */
  async #statOf(path: string): Promise<DiskStat | undefined> {
    try {
      return await this.#folder.disk.stat(path);
    } catch (error) {
      if (isUnreadable(error)) return undefined;
      throw error;
    }
  }

  /** Head, leaf hashes and manifest of a shard, which bear each other out (the signature is the reader's to check). */
  async #readTail(ref: ShardRef): Promise<ShardTail | undefined> {
    const [fileBytes, headBytes] = await Promise.all([
      this.#folder.bytesAt(this.#placeOf(ref)),
      this.#read(ref, 0, shardHeadBytes),
    ]);
    if (headBytes === undefined || fileBytes === undefined) return undefined;
    const found = headOf(headBytes, fileBytes, ref, this.#vaultId);
    if ('flaw' in found) throw this.#damaged(ref, found.flaw);
    const { leavesAt, manifestAt, total } = shardFileLayout(found.head);
    const tail = await this.#read(ref, leavesAt, total - leavesAt);
    if (tail === undefined) return undefined;
    const leaves = tail.subarray(0, manifestAt - leavesAt);
    const manifest = tail.subarray(manifestAt - leavesAt);
    const flaw = flawOfTail(found.head, leaves, manifest);
    if (flaw !== undefined) throw this.#damaged(ref, flaw);
    return { head: found.head, tree: new MerkleTree(leaves), manifest };
  }

  /** True if the very payload is in the file that is there, and that is good (its manifest may be an older one). */
  async #hasSame(shard: ShardToPut, place: Place): Promise<boolean> {
    let bytes: Uint8Array | undefined;
    try {
      bytes = await this.#folder.disk.readWhole(this.#folder.pathOf(place), shardFileBytesMax);
    } catch (error) {
      if (isKithError(error, 'limit-exceeded') || isUnreadable(error)) return false;
      throw error;
    }
    if (bytes === undefined || flawOfShardFile(bytes, shard, this.#vaultId, this.#isDevice) !== undefined) {
      return false;
    }
    const payload = bytes.subarray(shardHeadBytes, shardHeadBytes + (classBytes[shard.class] ?? 0));
    return equalBytes(payload, shard.payload);
  }

  #damaged(ref: ShardRef, why: string, cause?: unknown): KithError {
    const { id, name } = this.#folder.holder;
    return new KithError('shard-damaged', `${nameOf(ref)} at "${name}" is damaged: ${why}`, {
      details: { holder: id, pack: toHex(ref.packId), index: ref.index },
      cause,
    });
  }
}

/** True if a shard belongs into the folder: its name is the first byte of the pack id. */
function isPlaced({ packId }: ShardRef, folders: readonly string[]): boolean {
  return toHex(packId.subarray(0, 1)) === folders.at(-1);
}

function reportStrays(strays: string[], options: InventoryOptions): void {
  for (const name of strays.splice(0)) options.onProblem?.({ name, message: 'not a shard; left alone' });
}
