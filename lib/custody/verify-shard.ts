import { equalBytes, toHex } from '../base/bytes.ts';
import { KithError, isKithError } from '../base/errors.ts';
import { classBytes, leafBytes } from '../base/limits.ts';
import { hashBytes } from '../crypto/hash.ts';
import { decodeManifest, manifestBytesMax, verifyManifest } from '../format/manifest.ts';
import {
  checkShardFile,
  checkShardPayload,
  decodeShardHead,
  encodeShardHead,
  shardFileLayout,
  shardHeadBytes,
  type ShardHead,
} from '../format/shard-file.ts';
import type { ShardRef, ShardToPut } from '../holders/holder.ts';

/** Says whether a signing key is certified for a vault. */
export type IsDevice = (deviceId: Uint8Array, vaultId: Uint8Array) => boolean;

/** How many records of a device's log its identity still trusts: all, infinity, unless it was revoked. */
export type TrustedLength = (deviceId: Uint8Array, logKey: Uint8Array) => number;

/** Bytes of the largest shard file there can be. */
export const shardFileBytesMax: number =
  shardHeadBytes + Math.max(...classBytes) * (1 + hashBytes / leafBytes) + manifestBytesMax;

/**
 * Checks all that a shard claims, down to the payload's bytes and the manifest's signature, and returns its file's
 * parts (views of what was given, but the head). KithError `not-authentic` or `malformed`. Costs one hash of the payload, but for
 * `leavesAreFresh`.
 */
export function shardFileParts(shard: ShardToPut, vaultId: Uint8Array, isDevice: IsDevice): Uint8Array[] {
  const manifest = verifyManifest(shard.manifest, isDevice);
  const head: ShardHead = {
    k: shard.k,
    index: shard.index,
    class: shard.class,
    keyEpoch: shard.keyEpoch,
    vaultId,
    packId: shard.packId,
    manifestBytes: shard.manifest.length,
  };
  const flaw =
    checkShardFile(head, shard.leaves, manifest) ??
    (shard.payload.length === classBytes[shard.class] ? undefined : 'its payload has the wrong length') ??
    (shard.leavesAreFresh === true || checkShardPayload(shard.payload, 0, shard.leaves)
      ? undefined
      : "its payload isn't what its leaf hashes say");
  if (flaw !== undefined) throw new KithError('not-authentic', `${nameOf(shard)}: ${flaw}`);
  return [encodeShardHead(head), shard.payload, shard.leaves, shard.manifest];
}

/** Why a file's whole bytes aren't the good shard of that name, or undefined if they are. KithError `too-new`. */
export function flawOfShardFile(
  bytes: Uint8Array,
  ref: ShardRef,
  vaultId: Uint8Array,
  isDevice: IsDevice,
): string | undefined {
  const found = headOf(bytes.subarray(0, shardHeadBytes), bytes.length, ref, vaultId);
  if ('flaw' in found) return found.flaw;
  const { payloadAt, leavesAt, manifestAt } = shardFileLayout(found.head);
  const leaves = bytes.subarray(leavesAt, manifestAt);
  return (
    flawOfTail(found.head, leaves, bytes.subarray(manifestAt), isDevice) ??
    (checkShardPayload(bytes.subarray(payloadAt, leavesAt), 0, leaves)
      ? undefined
      : "the payload isn't what its leaf hashes say")
  );
}

/** Reads a head and checks it against the file's name and length. KithError `too-new`. */
export function headOf(
  bytes: Uint8Array,
  fileBytes: number,
  ref: ShardRef,
  vaultId: Uint8Array,
): { readonly head: ShardHead } | { readonly flaw: string } {
  if (bytes.length < shardHeadBytes) return { flaw: `cut short at ${fileBytes} bytes` };
  const decoded = unlessFlawed(() => decodeShardHead(bytes));
  if ('flaw' in decoded) return decoded;
  const head = decoded.value;
  if (!equalBytes(head.vaultId, vaultId)) return { flaw: 'it is of another vault' };
  if (!equalBytes(head.packId, ref.packId) || head.index !== ref.index)
    return { flaw: 'it is another shard' };
  const { total } = shardFileLayout(head);
  return fileBytes === total ? { head } : { flaw: `${fileBytes} bytes long instead of ${total}` };
}

/**
 * Why leaf hashes and manifest don't bear a head out, or undefined if they do. Without `isDevice` the signature isn't
 * checked: enough for what a reader will verify itself.
 */
export function flawOfTail(
  head: ShardHead,
  leaves: Uint8Array,
  manifest: Uint8Array,
  isDevice?: IsDevice,
): string | undefined {
  const decoded = unlessFlawed(() =>
    isDevice === undefined ? decodeManifest(manifest) : verifyManifest(manifest, isDevice),
  );
  return 'flaw' in decoded ? decoded.flaw : checkShardFile(head, leaves, decoded.value);
}

/** A shard for people: `shard 2 of pack 1f3a…`. */
export function nameOf(ref: ShardRef): string {
  return `shard ${ref.index} of pack ${toHex(ref.packId).slice(0, 8)}…`;
}

function unlessFlawed<T>(work: () => T): { readonly value: T } | { readonly flaw: string } {
  try {
    return { value: work() };
  } catch (error) {
    if (isKithError(error, 'malformed', 'not-authentic')) return { flaw: error.message };
    throw error;
  }
}
