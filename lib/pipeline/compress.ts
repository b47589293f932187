import zlib from 'node:zlib';
import { Decoder, Encoder } from '@toondepauw/node-zstd';
import { viewAsBuffer } from '../base/bytes.ts';
import { KithError, isKithError } from '../base/errors.ts';
import { looksIncompressible } from './entropy.ts';
import { readZstdFrame } from './zstd-frame.ts';

/**
 * Makes bytes smaller and brings them back: one zstd frame (RFC 8878) each. The input is only read, but must not change
 * until the promise settles; results belong to the caller. Calls may overlap.
 */
export interface Compressor {
  /** The packed bytes, or undefined where they would save less than 3 %. RangeError above compressBytesMax. */
  compress(plain: Uint8Array): Promise<Uint8Array | undefined>;
  /**
   * The `plainBytes` bytes that were packed. KithError `damaged` if the packed bytes are no sound frame of exactly so many.
   * Memory is bounded by max(4 × plainBytes, plainBytes + 1 MiB) whatever the packed bytes claim.
   */
  decompress(packed: Uint8Array, plainBytes: number): Promise<Uint8Array>;
  /** Like compress, in this thread: for threads that do nothing else meanwhile. */
  compressNow(plain: Uint8Array): Uint8Array | undefined;
  /** Like decompress, in this thread. */
  decompressNow(packed: Uint8Array, plainBytes: number): Uint8Array;
}

/** The half of a compressor that brings bytes back, at once: for threads that have nothing else to do. */
export interface Decompressor {
  /** As Compressor's. */
  decompressNow(packed: Uint8Array, plainBytes: number): Uint8Array;
}

/** One zstd implementation. `decode` may stop with any error once the output passes `bytesMax`. */
export interface ZstdBackEnd {
  readonly name: string;
  encode(plain: Uint8Array): Promise<Uint8Array>;
  decode(packed: Uint8Array, bytesMax: number): Promise<Uint8Array>;
  /** The same two, at once. */
  encodeNow(plain: Uint8Array): Uint8Array;
  decodeNow(packed: Uint8Array, bytesMax: number): Uint8Array;
}

/** Plain bytes that one call takes: the largest thing stored is a frame of 4 MiB, or a directory of at most twice that. */
export const compressBytesMax: number = 16 * 1024 * 1024;

/** On source code in shared frames level 1 stores a tenth more and gains a tenth in speed (docs/decisions/0018). */
const level = 3;

/** A pack's worth of reading saved must pay for the decompression at every restore. */
const savingMin = 0.03;

/** RFC 8878 recommends that decoders support 8 MiB; no encoder makes a wider window for what kith packs. */
const windowBytesMax = 8 * 1024 * 1024;

/** What node:zlib has of zstd from Node 22.15 on; the types we build against are older. */
interface NodeZstd {
  zstdCompress(bytes: Uint8Array, options: object, done: (error: Error | null, result: Buffer) => void): void;
  zstdDecompress(
    bytes: Uint8Array,
    options: object,
    done: (error: Error | null, result: Buffer) => void,
  ): void;
  zstdCompressSync(bytes: Uint8Array, options: object): Buffer;
  zstdDecompressSync(bytes: Uint8Array, options: object): Buffer;
  constants: Readonly<Record<string, number>>;
}

function hasZstd(module: unknown): module is NodeZstd {
  return (
    typeof module === 'object' && module !== null && 'zstdCompress' in module && 'zstdDecompress' in module
  );
}

/** The zstd of the running Node, or undefined where it has none (before 22.15). */
export function nodeBackEnd(): ZstdBackEnd | undefined {
  const node: unknown = zlib;
  if (!hasZstd(node)) return undefined;
  const params = { [node.constants['ZSTD_c_compressionLevel'] ?? 100]: level };
  // One output buffer for all: by default each 16 KiB of output is a trip to the thread pool and back.
  const packing = (plain: Uint8Array): object => ({ params, chunkSize: Math.max(1024, plain.length) });
  const unpacking = (bytesMax: number): object => ({
    maxOutputLength: Math.max(1, bytesMax),
    chunkSize: Math.max(1024, bytesMax),
  });
  return {
    name: 'node:zlib',
    encode: (plain) =>
      new Promise((resolve, reject) => {
        node.zstdCompress(plain, packing(plain), (error, result) =>
          error === null ? resolve(result) : reject(error),
        );
      }),
    decode: (packed, bytesMax) =>
      new Promise((resolve, reject) => {
        node.zstdDecompress(packed, unpacking(bytesMax), (error, result) =>
          error === null ? resolve(result) : reject(error),
        );
      }),
    encodeNow: (plain) => node.zstdCompressSync(plain, packing(plain)),
    decodeNow: (packed, bytesMax) => node.zstdDecompressSync(packed, unpacking(bytesMax)),
  };
}

/** The zstd of the package, for Nodes without their own. It has no limit on output: the caller must have checked the frame. */
export function packageBackEnd(): ZstdBackEnd {
  const encoder = new Encoder(level);
  const decoder = new Decoder();
  return {
    name: '@toondepauw/node-zstd',
    encode: (plain) => encoder.encode(viewAsBuffer(plain)),
    decode: (packed) => decoder.decode(viewAsBuffer(packed)),
    encodeNow: (plain) => encoder.encodeSync(viewAsBuffer(plain)),
    decodeNow: (packed) => decoder.decodeSync(viewAsBuffer(packed)),
  };
}

function damaged(why: string, cause?: unknown): KithError {
  return new KithError(
    'damaged',
    `compressed bytes are damaged: ${why}`,
    cause === undefined ? {} : { cause },
  );
}

/** Refuses what can't be a frame of plainBytes bytes, before anything is decoded or allocated. */
function checkFrame(packed: Uint8Array, plainBytes: number): void {
  if (!Number.isInteger(plainBytes) || plainBytes < 0 || plainBytes > compressBytesMax) {
    throw damaged(`a plain size of ${plainBytes} bytes can't be`);
  }
  let bounds;
  try {
    bounds = readZstdFrame(packed);
  } catch (error) {
    if (isKithError(error, 'malformed')) throw damaged(error.message, error);
    throw error;
  }
  const { contentBytes, windowBytes, plainBytesMax } = bounds;
  if (contentBytes !== undefined && contentBytes !== plainBytes) {
    throw damaged(`they claim ${contentBytes} bytes where ${plainBytes} were packed`);
  }
  if (windowBytes > Math.max(windowBytesMax, plainBytes))
    throw damaged(`they ask for ${windowBytes} bytes of memory`);
  if (plainBytesMax < plainBytes || plainBytesMax > Math.max(4 * plainBytes, plainBytes + 2 ** 20)) {
    throw damaged(`they may hold ${plainBytesMax} bytes where ${plainBytes} were packed`);
  }
}

/** False for what isn't worth trying. RangeError above compressBytesMax. */
function worthTrying(plain: Uint8Array): boolean {
  if (plain.length > compressBytesMax) throw new RangeError(`${plain.length} bytes to compress at once`);
  return plain.length > 0 && !looksIncompressible(plain);
}

function ifSmaller(packed: Uint8Array, plain: Uint8Array): Uint8Array | undefined {
  return packed.length <= plain.length * (1 - savingMin) ? packed : undefined;
}

function ofLength(plain: Uint8Array, plainBytes: number): Uint8Array {
  if (plain.length !== plainBytes) throw damaged(`${plain.length} bytes where ${plainBytes} were packed`);
  return plain;
}

/** Compression by the zstd of the running Node where there is one, else by the package; both read what either wrote. */
export function createCompressor(backEnd: ZstdBackEnd = nodeBackEnd() ?? packageBackEnd()): Compressor {
  return {
    async compress(plain) {
      return worthTrying(plain) ? ifSmaller(await backEnd.encode(plain), plain) : undefined;
    },
    async decompress(packed, plainBytes) {
      checkFrame(packed, plainBytes);
      try {
        return ofLength(await backEnd.decode(packed, plainBytes), plainBytes);
      } catch (error) {
        throw isKithError(error) ? error : damaged('they do not decompress', error);
      }
    },
    compressNow: (plain) => (worthTrying(plain) ? ifSmaller(backEnd.encodeNow(plain), plain) : undefined),
    decompressNow(packed, plainBytes) {
      checkFrame(packed, plainBytes);
      try {
        return ofLength(backEnd.decodeNow(packed, plainBytes), plainBytes);
      } catch (error) {
        throw isKithError(error) ? error : damaged('they do not decompress', error);
      }
    },
  };
}

/** What createCompressor's decompress does, without a trip to another thread. */
export function createDecompressor(backEnd: ZstdBackEnd = nodeBackEnd() ?? packageBackEnd()): Decompressor {
  return {
    decompressNow(packed, plainBytes) {
      checkFrame(packed, plainBytes);
      let plain: Uint8Array;
      try {
        plain = backEnd.decodeNow(packed, plainBytes);
      } catch (error) {
        throw damaged('they do not decompress', error);
      }
      if (plain.length !== plainBytes) throw damaged(`${plain.length} bytes where ${plainBytes} were packed`);
      return plain;
    },
  };
}
