import { equalBytes } from '../base/bytes.ts';
import { forEachLimited } from '../base/concurrency.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { classBytes, leafBytes } from '../base/limits.ts';
import { leafHashes } from '../crypto/merkle.ts';
import type { BlobNamer } from '../format/blob.ts';
import { verifyManifest, type Manifest } from '../format/manifest.ts';
import type { PackDirectory } from '../format/pack-directory.ts';
import {
  checkShardFile,
  checkShardLeaves,
  checkShardPayload,
  decodeShardHead,
  shardFileLayout,
  shardHeadBytes,
} from '../format/shard-file.ts';
import type { CodedRow, ErasureCoder } from '../kernels/reed-solomon.ts';
import type { Compressor } from './compress.ts';
import { PackReader } from './pack-reader.ts';

/** Frames of a pack that are opened at once: while one is decompressed elsewhere, the next is opened here. */
const framesAtOnce = 4;

/** A shard as its holder gave it. */
export interface ShardCopy {
  readonly index: number;
  /** A whole shard file, or the payload alone. Neither changed nor kept. */
  readonly bytes: Uint8Array;
  readonly form: 'file' | 'payload';
}

/** One pack to be checked: everything is bytes, so that it can be handed to another thread. */
export interface PackToCheck {
  /** The signed manifest as the owner's ledger has it. */
  readonly manifest: Uint8Array;
  /** Copies of shards, of one index as many as there are. */
  readonly copies: readonly ShardCopy[];
  /** True: what is sealed in the pack is opened as well, if k different copies are good. */
  readonly content: boolean;
}

/** `unknown` are files that a newer kith wrote: what they are, that one knows. */
export interface CopyVerdict {
  readonly state: 'good' | 'damaged' | 'unknown';
  /** What is wrong, in words; empty when it is good. */
  readonly why: string;
}

/** What is sealed in a pack. */
export interface ContentVerdict {
  /** Undefined where the pack doesn't open at all. */
  readonly directory: PackDirectory | undefined;
  /** Ids of blobs that are not what they are named. */
  readonly badBlobs: readonly Uint8Array[];
  readonly blobs: number;
  /** Plain bytes of the frames. */
  readonly plainBytes: number;
  /** The first thing that was wrong, in words. */
  readonly why: string | undefined;
}

export interface PackVerdict {
  /** One for each copy, in their order. */
  readonly copies: readonly CopyVerdict[];
  /** Undefined if it wasn't asked for, or fewer than k different copies are good. */
  readonly content: ContentVerdict | undefined;
}

/** What a check needs to know of the vault. */
export interface PackCheckKeys {
  readonly vaultId: Uint8Array;
  readonly isDevice: (deviceId: Uint8Array, vaultId: Uint8Array) => boolean;
  readonly sealingKeys: (keyEpoch: number) => readonly Uint8Array[];
  readonly namer: BlobNamer;
  readonly coder: ErasureCoder;
  readonly compressor: Pick<Compressor, 'decompress'>;
  /** Where frames are opened, one after the other, for who has nothing else to do while one is decompressed. */
  readonly frameBuffer?: Uint8Array | undefined;
}

/**
 * Verifies a pack from its shards' bytes alone: each copy from its payload to the signed root, then, from the data shards (or from k others), head,
 * directory and every frame, and every blob against its name. Keeps nothing between calls, asks nobody. KithError `not-authentic` or
 * `malformed` for a bad manifest, `too-new` for a pack that a newer kith sealed.
 */
export async function checkPack(keys: PackCheckKeys, pack: PackToCheck): Promise<PackVerdict> {
  const manifest = verifyManifest(pack.manifest, keys.isDevice);
  if (!equalBytes(manifest.vaultId, keys.vaultId))
    throw new KithError('not-authentic', 'a manifest of another vault');
  const rows = new Map<number, Uint8Array>();
  const copies = pack.copies.map((copy) => {
    const verdict = checkCopy(keys, manifest, pack.manifest, copy);
    if (verdict.state === 'good' && !rows.has(copy.index)) rows.set(copy.index, payloadOf(manifest, copy));
    return verdict;
  });
  const readable = pack.content && rows.size >= manifest.k;
  return { copies, content: readable ? await checkContent(keys, manifest, rows) : undefined };
}

function payloadOf(manifest: Manifest, { bytes, form }: ShardCopy): Uint8Array {
  const from = form === 'file' ? shardHeadBytes : 0;
  return bytes.subarray(from, from + (classBytes[manifest.class] ?? 0));
}

function checkCopy(
  keys: PackCheckKeys,
  manifest: Manifest,
  manifestBytes: Uint8Array,
  copy: ShardCopy,
): CopyVerdict {
  try {
    const why =
      copy.form === 'file'
        ? flawOfFile(keys, manifest, manifestBytes, copy)
        : flawOfPayload(manifest, copy.index, copy.bytes);
    return why === undefined ? { state: 'good', why: '' } : { state: 'damaged', why };
  } catch (error) {
    if (isKithError(error, 'too-new')) return { state: 'unknown', why: error.message };
    if (isKithError(error, 'malformed', 'not-authentic')) return { state: 'damaged', why: error.message };
    throw error;
  }
}

function flawOfPayload(manifest: Manifest, index: number, payload: Uint8Array): string | undefined {
  if (payload.length !== classBytes[manifest.class]) return `${payload.length} bytes long`;
  return checkShardLeaves(leafHashes(payload, leafBytes), index, manifest);
}

/** Why a file isn't the good shard, or undefined if it is. What it says of itself counts for nothing beside the owner's manifest. */
function flawOfFile(
  keys: PackCheckKeys,
  manifest: Manifest,
  manifestBytes: Uint8Array,
  { index, bytes }: ShardCopy,
): string | undefined {
  if (bytes.length < shardHeadBytes) return `cut short at ${bytes.length} bytes`;
  const head = decodeShardHead(bytes.subarray(0, shardHeadBytes));
  if (!equalBytes(head.vaultId, manifest.vaultId)) return 'it is of another vault';
  if (!equalBytes(head.packId, manifest.packId) || head.index !== index) return 'it is another shard';
  const { payloadAt, leavesAt, manifestAt, total } = shardFileLayout(head);
  if (bytes.length !== total) return `${bytes.length} bytes long instead of ${total}`;
  const leaves = bytes.subarray(leavesAt, manifestAt);
  const beside = bytes.subarray(manifestAt);
  // An older or newer generation is fine, if its signature holds and it has this row as well.
  const own = equalBytes(beside, manifestBytes) ? manifest : verifyManifest(beside, keys.isDevice);
  return (
    checkShardFile(head, leaves, own) ??
    (own === manifest ? undefined : checkShardLeaves(leaves, index, manifest)) ??
    (checkShardPayload(bytes.subarray(payloadAt, leavesAt), 0, leaves)
      ? undefined
      : "the payload isn't what its leaf hashes say")
  );
}

/** Opens all that is sealed in a pack, from k or more good rows. */
async function checkContent(
  keys: PackCheckKeys,
  manifest: Manifest,
  rows: ReadonlyMap<number, Uint8Array>,
): Promise<ContentVerdict> {
  const data = dataRows(keys.coder, manifest.k, rows);
  const reader = new PackReader({
    source: {
      leaves: (_, index, firstLeaf, leafCount) =>
        Promise.resolve(
          (data[index] as Uint8Array).subarray(firstLeaf * leafBytes, (firstLeaf + leafCount) * leafBytes),
        ),
    },
    compressor: keys.compressor,
    sealingKeys: keys.sealingKeys,
    frameBuffer: keys.frameBuffer,
  });
  let directory: PackDirectory;
  try {
    directory = await reader.directory(manifest);
  } catch (error) {
    if (!isContentFlaw(error)) throw error;
    return { directory: undefined, badBlobs: [], blobs: 0, plainBytes: 0, why: messageOf(error) };
  }
  const badBlobs: Uint8Array[] = [];
  let why: string | undefined;
  let blobs = 0;
  let plainBytes = 0;
  const atOnce = keys.frameBuffer === undefined ? framesAtOnce : 1;
  await forEachLimited(directory.frames, atOnce, async (frame, ordinal) => {
    blobs += frame.blobs.length;
    let plain: Uint8Array;
    try {
      plain = await reader.frame(manifest, { ...frame, ordinal });
    } catch (error) {
      if (!isContentFlaw(error)) throw error;
      for (const { blobId } of frame.blobs) badBlobs.push(blobId);
      why ??= messageOf(error);
      return;
    }
    plainBytes += plain.length;
    for (const { kind, blobId, offsetInFrame, length } of frame.blobs) {
      const bytes = plain.subarray(offsetInFrame, offsetInFrame + length);
      if (bytes.length === length && equalBytes(keys.namer.idOf(kind, bytes), blobId)) continue;
      badBlobs.push(blobId);
      why ??= 'what is sealed in it is not what its name says';
    }
  });
  return { directory, badBlobs, blobs, plainBytes, why };
}

function isContentFlaw(error: unknown): boolean {
  return isKithError(error, 'malformed', 'not-authentic', 'damaged');
}

/** The k data shards: those that are there, and the others made from k rows. */
function dataRows(
  coder: ErasureCoder,
  k: number,
  rows: ReadonlyMap<number, Uint8Array>,
): readonly Uint8Array[] {
  const lacking = Array.from({ length: k }, (_, i) => i).filter((i) => !rows.has(i));
  const available: CodedRow[] = [...rows].slice(0, k).map(([index, bytes]) => ({ index, bytes }));
  const made = lacking.length === 0 ? [] : coder.reconstruct(k, available, lacking);
  return Array.from({ length: k }, (_, i) => rows.get(i) ?? (made[lacking.indexOf(i)] as Uint8Array));
}
