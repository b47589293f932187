import { concatBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { classBytes, leafBytes } from '../base/limits.ts';
import { suiteOf, tagBytes } from '../crypto/aead.ts';
import type { Suite } from '../crypto/aead.ts';
import { deriveKey, hashBytes } from '../crypto/hash.ts';
import { copyId } from './blob.ts';
import { sealedFrameBytesMax } from './frame.ts';

/** Bytes of a pack's head. */
export const packHeadBytes = 48;

/** Plain bytes of the trailer, and its sealed bytes, the last of a pack. */
export const packTrailerPlainBytes = 24;
export const packTrailerBytes: number = packTrailerPlainBytes + tagBytes;

/** Data shards of a pack at most: half of all rows, so that a code always has room for as much parity. */
export const dataShardsMax = 32;

/** Bytes of the largest pack that the format allows; writers stay below (packBytesMax in limits.ts). */
export const packFormatBytesMax: number = dataShardsMax * Math.max(...classBytes);

/** The version that this kith writes. */
export const packVersion = 1;

const magic = 'kithpack';

/** What is needed, with the epoch's sealing key, to open a pack's frames. `salt` is 32 random bytes of this pack alone. */
export interface PackHead {
  readonly version: number;
  readonly suite: Suite;
  readonly keyEpoch: number;
  readonly salt: Uint8Array;
}

/** The 48 bytes that a pack begins with. */
export function encodePackHead(head: PackHead): Uint8Array {
  if (head.salt.length !== hashBytes) throw new RangeError('a salt has 32 bytes');
  return new ByteWriter()
    .bytes(fileHead(magic, head.version))
    .u8(head.suite)
    .u8(0)
    .u32(head.keyEpoch)
    .bytes(head.salt)
    .finish();
}

/** Reads exactly 48 bytes. `too-new` for a version or suite that this kith doesn't know. */
export function decodePackHead(bytes: Uint8Array): PackHead {
  const reader = new ByteReader(bytes, 'pack head');
  const version = readFileHead(reader, magic, packVersion);
  const suite = suiteOf(reader.u8());
  if (reader.u8() !== 0) throw reader.fail('reserved byte is set');
  const keyEpoch = reader.u32();
  const salt = copyId(reader);
  reader.end();
  return { version, suite, keyEpoch, salt };
}

/** Where a pack's directory lies; sealed as the last 40 bytes of the pack. */
export interface PackTrailer {
  readonly directoryOffset: number;
  readonly directorySealedLength: number;
  /** Plain bytes of all frames but the directory. */
  readonly plainBytes: number;
}

/** The 24 plain bytes of the trailer. */
export function encodePackTrailer(trailer: PackTrailer): Uint8Array {
  return new ByteWriter()
    .u32(trailer.directoryOffset)
    .u32(trailer.directorySealedLength)
    .u64(BigInt(trailer.plainBytes))
    .u64(0n)
    .finish();
}

/**
 * Reads an opened trailer: the directory must lie right before the trailer of a pack that is whole leaves long, and
 * `packBytes` long where that is given.
 */
export function decodePackTrailer(bytes: Uint8Array, packBytes?: number): PackTrailer {
  const reader = new ByteReader(bytes, 'pack trailer');
  const directoryOffset = reader.u32();
  const directorySealedLength = reader.u32();
  const plainBytes = reader.u64();
  if (reader.u64() !== 0n) throw reader.fail('reserved bytes are set');
  reader.end();
  const impliedBytes = directoryOffset + directorySealedLength + packTrailerBytes;
  if (
    directoryOffset < packHeadBytes ||
    directorySealedLength > sealedFrameBytesMax ||
    impliedBytes % leafBytes !== 0 ||
    impliedBytes > packFormatBytesMax ||
    (packBytes !== undefined && impliedBytes !== packBytes)
  ) {
    throw reader.fail('directory outside the pack');
  }
  if (plainBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw reader.fail('plain size out of range');
  return { directoryOffset, directorySealedLength, plainBytes: Number(plainBytes) };
}

/** The 32-byte key that seals one pack's frames, from the epoch's sealing key. Wipe it with the pack. */
export function packKey(sealingKey: Uint8Array, salt: Uint8Array): Uint8Array {
  const material = concatBytes(sealingKey, salt);
  const key = deriveKey('pack', material);
  material.fill(0);
  return key;
}

/**
 * Number of the smallest class whose k shards hold a pack of this many bytes (head, sealed frames, sealed directory
 * and trailer together), or undefined where none does.
 */
export function classFor(contentBytes: number, k: number): number | undefined {
  const found = classBytes.findIndex((bytes) => bytes * k >= contentBytes);
  return found < 0 ? undefined : found;
}
