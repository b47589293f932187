import { join } from 'node:path';
import { isKithError } from '../base/errors.ts';
import { toHex, utf8 } from '../base/bytes.ts';
import { openRecord, sealRecord } from '../crypto/aead.ts';
import { deriveKey, hashIn } from '../crypto/hash.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Disk } from '../disk/disk.ts';
import { writeDurably } from '../disk/write-durably.ts';
import {
  decodeIndexBlob,
  encodeIndexBlobs,
  type IndexedPack,
  type ListedPack,
} from '../format/index-blob.ts';
import { encodePackDirectory, type PackDirectory } from '../format/pack-directory.ts';
import type { DeviceKeys } from '../trust/device.ts';

/** A cache file at most; one index blob, sealed. */
const cacheFileBytesMax = 16 * 1024 * 1024;
/** More files than this are merged when they are loaded. */
const cacheFilesMax = 256;

/**
 * Sealed copies of packs' directories in the home (`index/`), so that a start needn't ask holders. Each file is an
 * index blob (docs/formats/tree.md), named by its hash, immutable. Losing any or all costs time only.
 */
export class IndexCache {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #tempFolder: string;
  readonly #key: Uint8Array;
  readonly #random: RandomSource;

  constructor(options: {
    readonly disk: Disk;
    readonly home: string;
    readonly device: DeviceKeys;
    readonly random: RandomSource;
  }) {
    this.#disk = options.disk;
    this.#folder = join(options.home, 'index');
    this.#tempFolder = join(options.home, 'tmp');
    this.#key = deriveKey('localState', options.device.deviceSecretKey);
    this.#random = options.random;
  }

  /** Hands over every directory that is cached. Files that don't open are removed: packs still have their own copy. */
  async load(onPack: (packId: Uint8Array, directory: PackDirectory) => void): Promise<void> {
    const names = ((await this.#disk.list(this.#folder)) ?? [])
      .filter((entry) => entry.isFile)
      .map((entry) => entry.name);
    const merge = names.length > cacheFilesMax;
    const all: ListedPack[] = [];
    for (const name of names.sort()) {
      const packs = await this.#read(name);
      if (packs === undefined) await this.#disk.unlink(join(this.#folder, name));
      for (const { packId, directory } of packs ?? []) {
        onPack(packId, directory);
        if (merge) all.push({ packId, directory: encodePackDirectory(directory) });
      }
    }
    if (!merge) return;
    const kept = new Set(await this.save(all));
    for (const name of names) if (!kept.has(name)) await this.#disk.unlink(join(this.#folder, name));
  }

  async #read(name: string): Promise<IndexedPack[] | undefined> {
    try {
      const sealed = await this.#disk.readWhole(join(this.#folder, name), cacheFileBytesMax);
      const plain = sealed === undefined ? undefined : openRecord(this.#key, utf8('index cache'), sealed);
      return plain === undefined ? undefined : decodeIndexBlob(plain);
    } catch (error) {
      if (!isKithError(error, 'malformed', 'limit-exceeded', 'too-new')) throw error;
      return undefined;
    }
  }

  /** Keeps directories, durably. Returns the names of the files. */
  async save(packs: readonly ListedPack[]): Promise<string[]> {
    const names: string[] = [];
    if (packs.length === 0) return names;
    await this.#disk.makeFolder(this.#folder, 0o700);
    for (const blob of encodeIndexBlobs(packs)) {
      const name = toHex(hashIn('checksum', blob)).slice(0, 32);
      await writeDurably(this.#disk, {
        tempFolder: this.#tempFolder,
        path: join(this.#folder, name),
        parts: [sealRecord(this.#key, utf8('index cache'), blob, this.#random)],
        mode: 0o600,
      });
      names.push(name);
    }
    return names;
  }
}
