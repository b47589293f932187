import { ByteReader } from '../base/codec.ts';

/** What the headers of a zstd frame promise, read without decompressing anything. */
export interface ZstdFrameBounds {
  /** No decoder makes more bytes than this of the frame. */
  readonly plainBytesMax: number;
  /** What the decoder must keep at hand of its own output. */
  readonly windowBytes: number;
  /** The exact plain size, where the frame says it. */
  readonly contentBytes: number | undefined;
}

const magic = 0xfd2fb528;

/** RFC 8878, section 3.1.1.2.3: no block makes more, and none with a smaller window more than that window. */
const blockBytesMax = 128 * 1024;

/** Sizes are compared as numbers: what a frame claims beyond this is hostile anyway. */
const contentBytesMax = 2n ** 40n;

/**
 * Walks the headers of exactly one zstd frame (RFC 8878, section 3.1.1): every block is visited, none is decoded.
 * KithError `malformed` for anything else: skippable or further frames, dictionaries, reserved bits, cut or stray bytes.
 */
export function readZstdFrame(bytes: Uint8Array): ZstdFrameBounds {
  const reader = new ByteReader(bytes, 'zstd frame');
  if (reader.u32() !== magic) throw reader.fail('the mark of a zstd frame expected');
  const descriptor = reader.u8();
  const singleSegment = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0) throw reader.fail('reserved bit set');
  if ((descriptor & 0x03) !== 0) throw reader.fail('it needs a dictionary');
  const window = singleSegment ? undefined : windowOf(reader.u8());
  const contentBytes = readContentSize(reader, descriptor >> 6, singleSegment);
  const windowBytes = window ?? contentBytes ?? 0;

  const blockMax = Math.min(blockBytesMax, windowBytes);
  let plainBytesMax = 0;
  for (let last = false; !last;) {
    const header = reader.u8() | (reader.u8() << 8) | (reader.u8() << 16);
    last = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    const size = header >>> 3;
    if (type === 3) throw reader.fail('reserved block type');
    if (size > blockMax) throw reader.fail(`block of ${size} bytes is over its limit ${blockMax}`);
    // 0 raw and 1 run: the size is that of the plain bytes, and a run is stored as one. 2: that of the packed bytes.
    plainBytesMax += type === 2 ? blockMax : size;
    reader.bytes(type === 1 ? 1 : size);
  }
  if ((descriptor & 0x04) !== 0) reader.bytes(4);
  reader.end();
  return { plainBytesMax, windowBytes, contentBytes };
}

/** Section 3.1.1.1.2: an exponent of 5 bits and a mantissa of 3. */
function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Section 3.1.1.1.4: 0, 1, 2, 4 or 8 bytes. */
function readContentSize(reader: ByteReader, flag: number, singleSegment: boolean): number | undefined {
  if (flag === 0) return singleSegment ? reader.u8() : undefined;
  if (flag === 1) return reader.u16() + 256;
  if (flag === 2) return reader.u32();
  const size = reader.u64();
  if (size > contentBytesMax) throw reader.fail(`content of ${size} bytes claimed`);
  return Number(size);
}
