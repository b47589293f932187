import { ByteReader, ByteWriter } from '../base/codec.ts';
import { frameBlobsMax, frameBytesMax } from '../base/limits.ts';
import { hashBytes } from '../crypto/hash.ts';
import { blobKindOf, copyId } from './blob.ts';
import type { BlobKind } from './blob.ts';
import { readBlobVersion } from './content.ts';
import { frameExtraBytes, sealedFrameBytesMax } from './frame.ts';
import { packFormatBytesMax, packHeadBytes, packTrailerBytes } from './pack-head.ts';
import { writeId } from './fields.ts';

const directoryVersion = 1;

/** Blobs of one pack: with it a directory always fits one frame (54 bytes a blob at most, 3.4 MiB in all). */
export const packBlobsMax: number = frameBlobsMax;

/** Plain bytes that a blob, and a frame around it, add to a directory at most: for those who fill packs. */
export const directoryBlobBytesMax: number = 1 + hashBytes + 4 + 4;
export const directoryFrameBytesMax: number = 4 + 4 + 4 + 3;

/** Plain bytes of a directory at most; it is sealed as one frame. */
export const directoryBytesMax: number = frameBytesMax;

/** Where a blob lies in its frame's plain bytes. */
export interface DirectoryBlob {
  readonly kind: BlobKind;
  readonly blobId: Uint8Array;
  readonly offsetInFrame: number;
  readonly length: number;
}

/** Where a frame lies in its pack; its ordinal is its place in the directory. */
export interface DirectoryFrame {
  readonly offset: number;
  readonly sealedLength: number;
  readonly plainBytes: number;
  /** At least one, ascending by offset, apart. */
  readonly blobs: readonly DirectoryBlob[];
}

/** All blobs of a pack. Frames ascend and don't overlap. */
export interface PackDirectory {
  readonly frames: readonly DirectoryFrame[];
}

/** Plain bytes of a directory. RangeError where it breaks what decodePackDirectory checks. */
export function encodePackDirectory(directory: PackDirectory): Uint8Array {
  const flaw = flawOf(directory);
  if (flaw !== undefined) throw new RangeError(`pack directory: ${flaw}`);
  const writer = new ByteWriter().u8(directoryVersion).varint(directory.frames.length);
  for (const frame of directory.frames) {
    writer.u32(frame.offset).u32(frame.sealedLength).u32(frame.plainBytes).varint(frame.blobs.length);
    for (const blob of frame.blobs) {
      writer.u8(blob.kind);
      writeId(writer, blob.blobId);
      writer.varint(blob.offsetInFrame).varint(blob.length);
    }
  }
  return writer.finish();
}

/** Reads a directory and checks that frames and blobs lie where they can; the ids are copies. */
export function decodePackDirectory(bytes: Uint8Array): PackDirectory {
  const reader = new ByteReader(bytes, 'pack directory');
  readBlobVersion(reader, directoryVersion, 'pack directory');
  const frameCount = reader.count(packBlobsMax, 13);
  const frames: DirectoryFrame[] = [];
  for (let i = 0; i < frameCount; i++) frames.push(readFrame(reader));
  reader.end();
  const flaw = flawOf({ frames });
  if (flaw !== undefined) throw reader.fail(flaw);
  return { frames };
}

function readFrame(reader: ByteReader): DirectoryFrame {
  const offset = reader.u32();
  const sealedLength = reader.u32();
  const plainBytes = reader.u32();
  const blobCount = reader.count(packBlobsMax, 1 + hashBytes + 2);
  const blobs: DirectoryBlob[] = [];
  for (let i = 0; i < blobCount; i++) {
    const number = reader.u8();
    const kind = blobKindOf(number);
    if (kind === undefined) throw reader.fail(`blob kind ${number} is not known`);
    const blobId = copyId(reader);
    const offsetInFrame = reader.varint(frameBytesMax);
    blobs.push({ kind, blobId, offsetInFrame, length: reader.varint(frameBytesMax) });
  }
  return { offset, sealedLength, plainBytes, blobs };
}

/** What is wrong with a directory as a whole, or undefined. */
function flawOf(directory: PackDirectory): string | undefined {
  let end = packHeadBytes;
  let blobs = 0;
  for (const frame of directory.frames) {
    if (frame.offset < end) return `frame at ${frame.offset} overlaps what is before it`;
    if (frame.sealedLength < frameExtraBytes || frame.sealedLength > sealedFrameBytesMax) {
      return `frame of ${frame.sealedLength} sealed bytes`;
    }
    if (frame.plainBytes > frameBytesMax) return `frame of ${frame.plainBytes} plain bytes`;
    end = frame.offset + frame.sealedLength;
    if (end > packFormatBytesMax - packTrailerBytes) return 'frame beyond the largest pack';
    if (frame.blobs.length === 0) return 'frame without blobs';
    blobs += frame.blobs.length;
    const flaw = blobsFlaw(frame);
    if (flaw !== undefined) return flaw;
  }
  return blobs > packBlobsMax ? `${blobs} blobs in one pack` : undefined;
}

function blobsFlaw(frame: DirectoryFrame): string | undefined {
  let end = 0;
  for (const blob of frame.blobs) {
    if (blob.offsetInFrame < end) return 'blobs of a frame overlap';
    end = blob.offsetInFrame + blob.length;
    if (end > frame.plainBytes) return 'blob beyond its frame';
  }
  return undefined;
}
