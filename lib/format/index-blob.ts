import { utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { frameBytesMax } from '../base/limits.ts';
import { hashBytes } from '../crypto/hash.ts';
import { copyId } from './blob.ts';
import { readBlobVersion } from './content.ts';
import { sealedFrameBytesMax } from './frame.ts';
import {
  decodePackDirectory,
  directoryBytesMax,
  encodePackDirectory,
  packBlobsMax,
} from './pack-directory.ts';
import type { PackDirectory } from './pack-directory.ts';
import { packFormatBytesMax } from './pack-head.ts';
import { writeId } from './fields.ts';

const indexVersion = 1;

/** Packs that one index blob covers. */
export const indexPacksMax = 65536;

/** An index blob is cut where it would grow beyond this, unless a single pack's directory does. */
const indexBytesTarget = 1024 * 1024;

/** Bytes of the shortest index ref, for checks of counts. */
export const indexRefBytesMin: number = 2 * hashBytes + 12 + 2;

/** Where one blob is, so that it can be read with nothing but the pack's shards and keys. */
export interface IndexRef {
  readonly blobId: Uint8Array;
  readonly packId: Uint8Array;
  /** Of the sealed frame in the pack. */
  readonly offset: number;
  readonly sealedLength: number;
  /** Of the frame; its nonce. */
  readonly ordinal: number;
  /** Of the blob in the frame's plain bytes. */
  readonly offsetInFrame: number;
  readonly length: number;
}

/** Writes an index ref. RangeError where it points beyond the largest pack or frame. */
export function writeIndexRef(writer: ByteWriter, ref: IndexRef): void {
  const flaw = refFlaw(ref);
  if (flaw !== undefined) throw new RangeError(flaw);
  writeId(writer, ref.blobId);
  writeId(writer, ref.packId);
  writer.u32(ref.offset).u32(ref.sealedLength).u32(ref.ordinal);
  writer.varint(ref.offsetInFrame).varint(ref.length);
}

/** Reads an index ref, which must point into the largest possible pack and frame; the ids are copies. */
export function readIndexRef(reader: ByteReader): IndexRef {
  const ref = {
    blobId: copyId(reader),
    packId: copyId(reader),
    offset: reader.u32(),
    sealedLength: reader.u32(),
    ordinal: reader.u32(),
    offsetInFrame: reader.varint(frameBytesMax),
    length: reader.varint(frameBytesMax),
  };
  const flaw = refFlaw(ref);
  if (flaw !== undefined) throw reader.fail(flaw);
  return ref;
}

function refFlaw(ref: IndexRef): string | undefined {
  if (ref.ordinal >= packBlobsMax) return `index ref to frame ${ref.ordinal}`;
  if (ref.sealedLength > sealedFrameBytesMax || ref.offset + ref.sealedLength > packFormatBytesMax) {
    return 'index ref beyond the largest pack';
  }
  return ref.offsetInFrame + ref.length > frameBytesMax ? 'index ref beyond the largest frame' : undefined;
}

/** One pack and what is in it. */
export interface IndexedPack {
  readonly packId: Uint8Array;
  readonly directory: PackDirectory;
}

/** One pack with its directory as it was read, or as bytes: those are a fifth of it in memory. */
export interface ListedPack {
  readonly packId: Uint8Array;
  /** With bytes, those of encodePackDirectory: they aren't looked at. */
  readonly directory: PackDirectory | Uint8Array;
}

/** Bytes of one index blob. RangeError where packs or bytes are too many for one blob. */
export function encodeIndexBlob(packs: readonly IndexedPack[]): Uint8Array {
  const writer = startIndex(packs.length);
  for (const { packId, directory } of packs) {
    writeId(writer, packId);
    writer.blob(encodePackDirectory(directory));
  }
  return finishIndex(writer);
}

interface EncodedPack {
  readonly packId: Uint8Array;
  readonly bytes: Uint8Array;
}

function encodeGroup(group: readonly EncodedPack[]): Uint8Array {
  const writer = startIndex(group.length);
  for (const { packId, bytes } of group) {
    writeId(writer, packId);
    writer.blob(bytes);
  }
  return finishIndex(writer);
}

/**
 * Index blobs that together cover the packs, in their order, each under 1 MiB unless a single pack needs more. Each is made when it is
 * asked for, so that they aren't all in memory.
 */
export function* encodeIndexBlobs(packs: Iterable<ListedPack>): Generator<Uint8Array, void, undefined> {
  let group: EncodedPack[] = [];
  let groupBytes = 0;
  for (const { packId, directory } of packs) {
    const bytes = directory instanceof Uint8Array ? directory : encodePackDirectory(directory);
    const added = hashBytes + 4 + bytes.length;
    if (group.length > 0 && (groupBytes + added > indexBytesTarget || group.length === indexPacksMax)) {
      yield encodeGroup(group);
      group = [];
      groupBytes = 0;
    }
    group.push({ packId, bytes });
    groupBytes += added;
  }
  if (group.length > 0) yield encodeGroup(group);
}

/** Reads an index blob; its bytes are copies. */
export function decodeIndexBlob(bytes: Uint8Array): IndexedPack[] {
  const reader = new ByteReader(bytes, 'index');
  reader.expect(utf8('I'), 'the mark I');
  readBlobVersion(reader, indexVersion, 'index');
  const count = reader.count(indexPacksMax, hashBytes + 3);
  const packs: IndexedPack[] = [];
  for (let i = 0; i < count; i++) {
    const packId = copyId(reader);
    packs.push({ packId, directory: decodePackDirectory(reader.blob(directoryBytesMax)) });
  }
  reader.end();
  return packs;
}

function startIndex(count: number): ByteWriter {
  if (count > indexPacksMax) throw new RangeError(`${count} packs in one index blob`);
  return new ByteWriter().bytes(utf8('I')).u8(indexVersion).varint(count);
}

function finishIndex(writer: ByteWriter): Uint8Array {
  if (writer.length > frameBytesMax) throw new RangeError(`index blob of ${writer.length} bytes`);
  return writer.finish();
}
