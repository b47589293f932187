import { classBytes, leafBytes } from '../lib/base/limits.ts';
import { leafHashes, merkleRoot } from '../lib/crypto/merkle.ts';
import { signKeyPair } from '../lib/crypto/sign.ts';
import { encodeManifest, packIdOf } from '../lib/format/manifest.ts';
import type { ShardToPut } from '../lib/holders/holder.ts';
import { noise } from './corpora.ts';

/** Rows of each pack, and how many of them bring it back. */
export const packRows = 6;
const dataRows = 4;

/** Size class of the shards: 4 MiB. */
const sizeClass = classBytes.indexOf(4 * 1024 * 1024);
export const shardPayloadBytes: number = classBytes[sizeClass] ?? 0;

const identity = signKeyPair(new Uint8Array(32).fill(1));
const device = signKeyPair(new Uint8Array(32).fill(2));

/** The vault that the packs belong to, and its one device. */
export const sampleVaultId: Uint8Array = identity.publicKey;
export const sampleDeviceId: Uint8Array = device.publicKey;

/**
 * Packs as a backup would send them, with signed manifests, out of little memory: rows of two packs differ in their first bytes
 * only, which are put in place when the pack is asked for.
 */
export class SamplePacks {
  readonly #leaves: readonly (readonly Uint8Array[])[];
  readonly #manifests: readonly { readonly packId: Uint8Array; readonly manifest: Uint8Array }[];
  readonly #first: number;
  readonly #slots: Uint8Array[][] = [];

  /** `first` tells packs of one run from those of another. */
  constructor(count: number, first = 0) {
    this.#first = first;
    const rows = this.newSlot();
    this.#slots.push(rows);
    const rest = rows.map((row) => leafHashes(row, leafBytes));
    const leaves: Uint8Array[][] = [];
    const manifests: { packId: Uint8Array; manifest: Uint8Array }[] = [];
    for (let pack = 0; pack < count; pack++) {
      this.#stamp(rows, pack);
      const own = rows.map((row, index) => {
        const hashes = new Uint8Array(rest[index] ?? []);
        hashes.set(leafHashes(row.subarray(0, leafBytes), leafBytes));
        return hashes;
      });
      const roots = own.map((hashes) => merkleRoot(hashes));
      const packId = packIdOf(dataRows, sizeClass, roots.slice(0, dataRows));
      const facts = { vaultId: identity.publicKey, packId, keyEpoch: 0, generation: 1, k: dataRows };
      const shape = { n: packRows, spare: 0, class: sizeClass, roots, signer: device.publicKey };
      leaves.push(own);
      manifests.push({ packId, manifest: encodeManifest({ ...facts, ...shape }, device.secretKey) });
    }
    this.#leaves = leaves;
    this.#manifests = manifests;
  }

  get count(): number {
    return this.#manifests.length;
  }

  /** Lends the shards of a pack, in memory that is given back by `giveBack`. */
  take(pack: number): { readonly shards: readonly ShardToPut[]; readonly giveBack: () => void } {
    const rows = this.#slots.pop() ?? this.newSlot();
    this.#stamp(rows, pack);
    const { packId, manifest } = this.#manifests[pack] ?? {
      packId: new Uint8Array(32),
      manifest: new Uint8Array(),
    };
    const shards = rows.map((payload, index) => {
      const leaves = this.#leaves[pack]?.[index] ?? new Uint8Array();
      return { packId, index, k: dataRows, class: sizeClass, keyEpoch: 0, payload, leaves, manifest };
    });
    return { shards, giveBack: () => void this.#slots.push(rows) };
  }

  newSlot(): Uint8Array[] {
    return Array.from(
      { length: packRows },
      (_, index) => new Uint8Array(noise(shardPayloadBytes, 50 + index)),
    );
  }

  #stamp(rows: readonly Uint8Array[], pack: number): void {
    for (const row of rows) new DataView(row.buffer, row.byteOffset).setUint32(0, this.#first + pack);
  }
}
