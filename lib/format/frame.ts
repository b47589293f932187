import { concatBytes, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { frameBytesMax } from '../base/limits.ts';
import { tagBytes } from '../crypto/aead.ts';
import type { PackHead } from './pack-head.ts';

/** Ordinals that no frame of blobs has; frames count up from 0. */
export const frameOrdinals = { directory: 0xfffffffe, trailer: 0xffffffff } as const;

/** How a frame's body is packed. */
export const compressions = { none: 0, zstd: 1 } as const;
export type Compression = (typeof compressions)[keyof typeof compressions];

/** Bytes in front of a body. */
export const frameBodyHeadBytes = 5;

/** Bytes that sealing an uncompressed frame adds to its plain bytes; a compressed body is never longer than the plain one. */
export const frameExtraBytes: number = frameBodyHeadBytes + tagBytes;

/** Sealed bytes of the largest frame. */
export const sealedFrameBytesMax: number = frameBytesMax + frameExtraBytes;

/** What a frame is sealed with beside its plaintext: the pack's head and the frame's place. 48 bytes. */
export function frameAdditional(head: PackHead, ordinal: number): Uint8Array {
  return new ByteWriter()
    .bytes(utf8('frame'))
    .u16(head.version)
    .u8(head.suite)
    .u32(head.keyEpoch)
    .bytes(head.salt)
    .u32(ordinal)
    .finish();
}

/** A frame once it is opened, before its body is decompressed. */
export interface FrameBody {
  readonly compression: Compression;
  /** Bytes that the body must decompress to: at most frameBytesMax. */
  readonly plainBytes: number;
  readonly body: Uint8Array;
}

/** What stands in front of a frame's body. RangeError where the sizes break the format. */
export function encodeFrameBodyHead(
  compression: Compression,
  plainBytes: number,
  bodyBytes: number,
): Uint8Array {
  if (plainBytes > frameBytesMax) throw new RangeError(`frame of ${plainBytes} plain bytes`);
  const fits = compression === compressions.none ? bodyBytes === plainBytes : bodyBytes <= plainBytes;
  if (!fits) throw new RangeError(`frame body of ${bodyBytes} bytes for ${plainBytes} plain bytes`);
  const bytes = new Uint8Array(frameBodyHeadBytes);
  bytes[0] = compression;
  new DataView(bytes.buffer).setUint32(1, plainBytes, true);
  return bytes;
}

/** Plaintext of a frame. RangeError where the sizes break the format. */
export function encodeFrameBody(compression: Compression, plainBytes: number, body: Uint8Array): Uint8Array {
  return concatBytes(encodeFrameBodyHead(compression, plainBytes, body.length), body);
}

/**
 * Reads an opened frame; the body is a view. Decompress it into no more than `plainBytes`, and refuse the frame unless
 * it gives exactly that many.
 */
export function decodeFrameBody(bytes: Uint8Array): FrameBody {
  const reader = new ByteReader(bytes, 'frame');
  const compression = reader.u8();
  if (compression !== compressions.none && compression !== compressions.zstd) {
    throw reader.fail(`compression ${compression} is not known`);
  }
  const plainBytes = reader.u32();
  if (plainBytes > frameBytesMax) throw reader.fail(`${plainBytes} plain bytes claimed`);
  const body = reader.rest();
  const fits = compression === compressions.none ? body.length === plainBytes : body.length <= plainBytes;
  if (!fits) throw reader.fail(`${plainBytes} plain bytes claimed for a body of ${body.length}`);
  return { compression, plainBytes, body };
}
