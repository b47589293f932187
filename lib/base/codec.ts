import { KithError } from './errors.ts';
import { concatBytes, textOf, utf8 } from './bytes.ts';

/** DataView would silently keep the low bits of a number that doesn't fit: a wrong offset, written for ever. */
function checkUnsigned(value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max)
    throw new RangeError(`${value} is not in 0 … ${max}`);
}

/**
 * Growing little-endian writer. Everything that kith stores is written with it and read back with ByteReader.
 * A number that doesn't fit its field is a RangeError.
 * `varint` is unsigned LEB128 up to 2^53 − 1; `blob` is a varint length and the bytes.
 */
export class ByteWriter {
  #bytes: Uint8Array = new Uint8Array(256);
  #view: DataView = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Begins anew in the same memory: views of what was written before are no longer good. */
  clear(): this {
    this.#length = 0;
    return this;
  }

  /** What was written from a place on: a view, good until the next call of `clear`. */
  view(from = 0): Uint8Array {
    return this.#bytes.subarray(from, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  /** Makes room and gives its place. It may replace the buffer and its view, so call it before either is named. */
  #reserve(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = needed;
    return at;
  }

  u8(value: number): this {
    checkUnsigned(value, 0xff);
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    checkUnsigned(value, 0xffff);
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    checkUnsigned(value, 0xffffffff);
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  u64(value: bigint): this {
    if (BigInt.asUintN(64, value) !== value) throw new RangeError(`${value} is no u64`);
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, value, true);
    return this;
  }

  i64(value: bigint): this {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} is no i64`);
    const at = this.#reserve(8);
    this.#view.setBigInt64(at, value, true);
    return this;
  }

  varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`varint out of range: ${value}`);
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.u8(rest);
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  blob(bytes: Uint8Array): this {
    return this.varint(bytes.length).bytes(bytes);
  }

  text(text: string): this {
    return this.blob(utf8(text));
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/**
 * Bounded little-endian reader over bytes that nobody has vouched for. Every shortfall, oversize count or stray
 * byte is a KithError `malformed`; nothing is allocated on the word of a length field alone.
 * Byte results are views into the input: copy what outlives it.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #offset = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  fail(why: string): KithError {
    return new KithError('malformed', `${this.#what}: ${why}`, {
      details: { what: this.#what, offset: this.#offset },
    });
  }

  #take(count: number): number {
    if (!(count >= 0)) throw new RangeError(`${count} bytes to read`);
    if (count > this.remaining) throw this.fail(`cut short (${count} bytes wanted, ${this.remaining} left)`);
    const at = this.#offset;
    this.#offset = at + count;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }

  /** Unsigned LEB128, shortest form only, at most `max` (default 2^53 − 1). */
  varint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && i > 0) throw this.fail('number not in shortest form');
        if (value > max) throw this.fail(`number ${value} over its limit ${max}`);
        return value;
      }
      scale *= 0x80;
    }
    throw this.fail('number too long');
  }

  /** A view of the next `count` bytes. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** A view of length-prefixed bytes, at most `max` of them. */
  blob(max: number): Uint8Array {
    return this.bytes(this.varint(max));
  }

  /** Length-prefixed UTF-8 text of at most `max` bytes. */
  text(max: number): string {
    const text = textOf(this.blob(max));
    if (text === undefined) throw this.fail('text is not UTF-8');
    return text;
  }

  /** A count of items that take at least `itemBytesMin` bytes each: never more than can still follow. */
  count(max: number, itemBytesMin: number): number {
    const count = this.varint(max);
    if (count * itemBytesMin > this.remaining)
      throw this.fail(`${count} items claimed, ${this.remaining} bytes left`);
    return count;
  }

  /** Fails unless the next bytes are exactly these. */
  expect(bytes: Uint8Array, name: string): void {
    const found = this.bytes(bytes.length);
    if (Buffer.compare(found, bytes) !== 0) throw this.fail(`${name} expected`);
  }

  /** The rest, as a view. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  /** Fails if anything is left. */
  end(): void {
    if (this.remaining !== 0) throw this.fail(`${this.remaining} stray bytes at the end`);
  }
}

/** Writes an 8-byte magic and a version: the start of every kith file. */
export function fileHead(magic: string, version: number): Uint8Array {
  const name = utf8(magic);
  if (name.length !== 8) throw new RangeError(`magic ${magic} is not 8 bytes`);
  return concatBytes(name, new Uint8Array([version & 0xff, version >> 8]));
}

/** Reads the head that fileHead wrote; a higher version than `versionMax` is KithError `too-new`. */
export function readFileHead(reader: ByteReader, magic: string, versionMax: number): number {
  reader.expect(utf8(magic), `the mark ${magic}`);
  const version = reader.u16();
  if (version === 0) throw reader.fail('version 0');
  if (version > versionMax) {
    throw new KithError(
      'too-new',
      `${magic} version ${version} is newer than this kith reads (${versionMax}). Update kith.`,
    );
  }
  return version;
}
