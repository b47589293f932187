import { concatBytes, equalBytes, fromHex, toHex } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { classBytes, leafBytes, rowCountMax } from '../base/limits.ts';
import { hashBytes, hashIn } from '../crypto/hash.ts';
import { leafHashes, merkleRoot } from '../crypto/merkle.ts';
import { copyId } from './blob.ts';
import { manifestBytesMax } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { dataShardsMax } from './pack-head.ts';
import { writeId } from './fields.ts';

/** Bytes of a shard file's head. */
export const shardHeadBytes = 128;

const magic = 'kithshrd';
const version = 1;

/** What a shard file says of itself; nothing of it counts before a signed manifest confirms it. */
export interface ShardHead {
  readonly k: number;
  readonly index: number;
  /** Number of the size class. */
  readonly class: number;
  readonly keyEpoch: number;
  readonly vaultId: Uint8Array;
  readonly packId: Uint8Array;
  /** Length of the manifest at the file's end. */
  readonly manifestBytes: number;
}

/** Where things lie in a shard file, in bytes from its start. */
export interface ShardLayout {
  readonly payloadAt: number;
  readonly leavesAt: number;
  readonly manifestAt: number;
  readonly total: number;
}

/** The 128 bytes that a shard file begins with. RangeError for impossible numbers. */
export function encodeShardHead(head: ShardHead): Uint8Array {
  const flaw = flawOf(head);
  if (flaw !== undefined) throw new RangeError(`shard head: ${flaw}`);
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writer.u8(head.k).u8(head.index).u8(head.class).bytes(new Uint8Array(3)).u32(head.keyEpoch);
  writeId(writer, head.vaultId);
  writeId(writer, head.packId);
  const fields = writer.u32(head.manifestBytes).u64(0n).finish();
  return concatBytes(fields, hashIn('checksum', fields));
}

/** Reads exactly 128 bytes; ids are copies. */
export function decodeShardHead(bytes: Uint8Array): ShardHead {
  const reader = new ByteReader(bytes, 'shard head');
  readFileHead(reader, magic, version);
  const k = reader.u8();
  const index = reader.u8();
  const classNumber = reader.u8();
  const reserved = reader.bytes(3);
  const keyEpoch = reader.u32();
  const vaultId = copyId(reader);
  const packId = copyId(reader);
  const manifestBytes = reader.u32();
  const isZero = reader.u64() === 0n && reserved.every((byte) => byte === 0);
  const checksum = hashIn('checksum', bytes.subarray(0, reader.offset));
  if (!equalBytes(reader.bytes(hashBytes), checksum)) throw reader.fail('checksum differs');
  reader.end();
  const head = { k, index, class: classNumber, keyEpoch, vaultId, packId, manifestBytes };
  const flaw = isZero ? flawOf(head) : 'reserved bytes are set';
  if (flaw !== undefined) throw reader.fail(flaw);
  return head;
}

/** Where payload, leaf hashes and manifest of a shard file lie. */
export function shardFileLayout(head: Pick<ShardHead, 'class' | 'manifestBytes'>): ShardLayout {
  const payloadBytes = classBytes[head.class];
  if (payloadBytes === undefined) throw new RangeError(`class ${head.class}`);
  const leavesAt = shardHeadBytes + payloadBytes;
  const manifestAt = leavesAt + (payloadBytes / leafBytes) * hashBytes;
  return { payloadAt: shardHeadBytes, leavesAt, manifestAt, total: manifestAt + head.manifestBytes };
}

/** Exact length of a shard file. */
export function shardFileBytes(head: Pick<ShardHead, 'class' | 'manifestBytes'>): number {
  return shardFileLayout(head).total;
}

/** `<pack id in hex>-<index as two hex digits>.shard`. */
export function shardFileName(packId: Uint8Array, index: number): string {
  return `${toHex(packId)}-${index.toString(16).padStart(2, '0')}.shard`;
}

/** Pack id and index of a file's name, or undefined for one that shardFileName doesn't give. */
export function parseShardFileName(name: string): { packId: Uint8Array; index: number } | undefined {
  const match = /^([0-9a-f]{64})-([0-9a-f]{2})\.shard$/.exec(name);
  const packId = fromHex(match?.[1] ?? '');
  const index = Number.parseInt(match?.[2] ?? '', 16);
  return packId === undefined || !(index < rowCountMax) ? undefined : { packId, index };
}

/**
 * Why a shard file's head, leaf hashes and manifest don't belong together, or undefined if they do: then the leaf
 * hashes are as good as the manifest, whose signature is checked by verifyManifest. `leaves`: 32 bytes a leaf.
 */
export function checkShardFile(head: ShardHead, leaves: Uint8Array, manifest: Manifest): string | undefined {
  if (!equalBytes(head.vaultId, manifest.vaultId)) return 'the manifest is of another vault';
  if (!equalBytes(head.packId, manifest.packId)) return 'the manifest is of another pack';
  if (head.keyEpoch !== manifest.keyEpoch) return 'the manifest is of another key epoch';
  if (head.k !== manifest.k || head.class !== manifest.class) return 'the manifest has another k or class';
  return checkShardLeaves(leaves, head.index, manifest);
}

/** Why leaf hashes aren't those of row `index` of a manifest, or undefined if they are. */
export function checkShardLeaves(leaves: Uint8Array, index: number, manifest: Manifest): string | undefined {
  const root = manifest.roots[index];
  if (root === undefined) return `row ${index} is not in the manifest`;
  if (leaves.length !== ((classBytes[manifest.class] ?? 0) / leafBytes) * hashBytes) {
    return 'wrong number of leaf hashes';
  }
  return equalBytes(merkleRoot(leaves), root) ? undefined : "the leaf hashes don't lead to the signed root";
}

/**
 * True if whole leaves of a payload are what checked leaf hashes say. `part` is the bytes from leaf `firstLeaf` on;
 * parts that aren't whole leaves, or reach beyond the payload, are false.
 */
export function checkShardPayload(part: Uint8Array, firstLeaf: number, leaves: Uint8Array): boolean {
  if (part.length === 0 || part.length % leafBytes !== 0) return false;
  const from = firstLeaf * hashBytes;
  return equalBytes(
    leafHashes(part, leafBytes),
    leaves.subarray(from, from + (part.length / leafBytes) * hashBytes),
  );
}

function flawOf(head: ShardHead): string | undefined {
  if (head.k < 1 || head.k > dataShardsMax) return `k ${head.k}`;
  if (head.index >= rowCountMax) return `index ${head.index}`;
  if (classBytes[head.class] === undefined) return `class ${head.class}`;
  return head.manifestBytes > manifestBytesMax ? `manifest of ${head.manifestBytes} bytes` : undefined;
}
