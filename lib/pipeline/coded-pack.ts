import { classBytes } from '../base/limits.ts';
import { leafBytes } from '../base/limits.ts';
import { leafHashes, merkleRoot } from '../crypto/merkle.ts';
import { encodeManifest, packIdOf } from '../format/manifest.ts';
import { shardHeadBytes } from '../format/shard-file.ts';
import type { ErasureCoder } from '../kernels/reed-solomon.ts';
import type { SealedPack } from './pack-builder.ts';

/** A shard ready to be stored: payload (class bytes) and its leaf hashes. */
export interface CodedShard {
  readonly index: number;
  readonly payload: Uint8Array;
  readonly leaves: Uint8Array;
}

/** A coded pack: its n shards (data shards are views of the pack's payload) and the signed list of roots, spares included. */
export interface CodedPack {
  readonly packId: Uint8Array;
  readonly keyEpoch: number;
  readonly k: number;
  readonly n: number;
  readonly class: number;
  readonly shards: readonly CodedShard[];
  readonly manifest: Uint8Array;
}

/** Who signs manifests. */
export interface ManifestSigner {
  readonly vaultId: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly deviceSecretKey: Uint8Array;
}

/** The k data shards of a pack, as views. */
export function dataShards(payload: Uint8Array, k: number): Uint8Array[] {
  const bytes = payload.length / k;
  return Array.from({ length: k }, (_, i) => payload.subarray(i * bytes, (i + 1) * bytes));
}

/** A pack's shards and all its roots, spares included, before anybody signs them. */
export interface UnsignedPack {
  readonly keyEpoch: number;
  readonly k: number;
  readonly n: number;
  readonly class: number;
  readonly shards: readonly CodedShard[];
  /** n + spare of 32 bytes each. */
  readonly roots: readonly Uint8Array[];
}

/** How a pack is coded. */
export interface CodeOptions {
  readonly n: number;
  /** Rows beyond n that are hashed, and whose memory is the caller's again afterwards. */
  readonly spare: number;
  readonly coder: ErasureCoder;
  /** Where a row k … n + spare − 1 of so many bytes is to lie; a fresh array unless given. */
  readonly memory?: ((row: number, bytes: number) => Uint8Array) | undefined;
}

/** Codes a sealed pack into n shards and hashes `spare` more rows. */
export function codeShards(pack: SealedPack, options: CodeOptions): UnsignedPack {
  const { n, spare, coder, memory } = options;
  const data = dataShards(pack.payload, pack.k);
  const rows = Array.from({ length: n + spare - pack.k }, (_, i) => pack.k + i);
  const shardBytes = pack.payload.length / pack.k;
  const coded = rows.map((row) => memory?.(row, shardBytes) ?? new Uint8Array(shardBytes));
  coder.encodeInto(pack.k, data, rows, coded);
  const shards = [...data, ...coded].map((payload, index) => ({
    index,
    payload,
    leaves: leafHashes(payload, leafBytes),
  }));
  const roots = shards.map((shard) => merkleRoot(shard.leaves));
  return { keyEpoch: pack.keyEpoch, k: pack.k, n, class: pack.class, shards: shards.slice(0, n), roots };
}

/** Names a coded pack and signs its roots. */
export function signPack(pack: UnsignedPack, signer: ManifestSigner): CodedPack {
  const { keyEpoch, k, n, roots, shards } = pack;
  const packId = packIdOf(k, pack.class, roots.slice(0, k));
  const manifest = encodeManifest(
    {
      vaultId: signer.vaultId,
      packId,
      keyEpoch,
      generation: 1,
      k,
      n,
      spare: roots.length - n,
      class: pack.class,
      roots,
      signer: signer.deviceId,
    },
    signer.deviceSecretKey,
  );
  return { packId, keyEpoch, k, n, class: pack.class, shards, manifest };
}

/** Exact bytes of a shard's file at a holder. */
export function shardFileBytesOf(sizeClass: number, manifestBytes: number): number {
  const payload = classBytes[sizeClass] ?? 0;
  return shardHeadBytes + payload + (payload / leafBytes) * 32 + manifestBytes;
}
