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

/** Codes a sealed pack into n shards, hashes `spare` more rows, and signs the roots. */
export function codePack(
  pack: SealedPack,
  options: {
    readonly n: number;
    readonly spare: number;
    readonly coder: ErasureCoder;
    readonly signer: ManifestSigner;
  },
): CodedPack {
  const { n, spare, coder, signer } = options;
  const data = dataShards(pack.payload, pack.k);
  const rows = Array.from({ length: n + spare - pack.k }, (_, i) => pack.k + i);
  const payloads = [...data, ...coder.encodeRows(pack.k, data, rows)];
  const shards = payloads.map((payload, index) => ({
    index,
    payload,
    leaves: leafHashes(payload, leafBytes),
  }));
  const roots = shards.map((shard) => merkleRoot(shard.leaves));
  const packId = packIdOf(pack.k, pack.class, roots.slice(0, pack.k));
  const manifest = encodeManifest(
    {
      vaultId: signer.vaultId,
      packId,
      keyEpoch: pack.keyEpoch,
      generation: 1,
      k: pack.k,
      n,
      spare,
      class: pack.class,
      roots,
      signer: signer.deviceId,
    },
    signer.deviceSecretKey,
  );
  return {
    packId,
    keyEpoch: pack.keyEpoch,
    k: pack.k,
    n,
    class: pack.class,
    shards: shards.slice(0, n),
    manifest,
  };
}

/** Exact bytes of a shard's file at a holder. */
export function shardFileBytesOf(sizeClass: number, manifestBytes: number): number {
  const payload = classBytes[sizeClass] ?? 0;
  return shardHeadBytes + payload + (payload / leafBytes) * 32 + manifestBytes;
}
