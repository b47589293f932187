import { utf8 } from '../base/bytes.ts';
import type { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { hashBytes } from '../crypto/hash.ts';

/** Fields that many records share, with their limits on both sides: what is written can be read again. */

/** Bytes of a name that people gave: device, drive, household, reason. */
export const nameTextBytesMax = 255;

/** Writes 32 bytes: a key, an id or a hash. RangeError for another length. */
export function writeId(writer: ByteWriter, id: Uint8Array): void {
  writeFixed(writer, id, hashBytes);
}

/** A view of 32 bytes. */
export function readId(reader: ByteReader): Uint8Array {
  return reader.bytes(hashBytes);
}

/** Writes bytes whose number the format fixes. RangeError for another. */
export function writeFixed(writer: ByteWriter, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes where ${length} belong`);
  writer.bytes(bytes);
}

/** Writes text of at most `max` bytes of UTF-8; KithError `limit-exceeded` for more, since people type it. */
export function writeText(writer: ByteWriter, text: string, max: number, what: string): void {
  writeBlob(writer, utf8(text), max, what);
}

/** Writes at most `max` bytes with their length; KithError `limit-exceeded` for more. */
export function writeBlob(writer: ByteWriter, bytes: Uint8Array, max: number, what: string): void {
  if (bytes.length > max) throw tooMuch(what, bytes.length, max, 'bytes');
  writer.blob(bytes);
}

/** Writes a count of at most `max` and the items; KithError `limit-exceeded` for more. */
export function writeList<T>(
  writer: ByteWriter,
  items: readonly T[],
  max: number,
  what: string,
  write: (item: T) => void,
): void {
  if (items.length > max) throw tooMuch(what, items.length, max, 'items');
  writer.varint(items.length);
  for (const item of items) write(item);
}

/** Reads what writeList wrote; `itemBytesMin` is the least that one item takes. */
export function readList<T>(reader: ByteReader, max: number, itemBytesMin: number, read: () => T): T[] {
  const count = reader.count(max, itemBytesMin);
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(read());
  return items;
}

/** Writes a place or length in a log, or a sequence number: a u64 that JavaScript counts exactly. */
export function writeU64Number(writer: ByteWriter, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no count`);
  writer.u64(BigInt(value));
}

/** Reads a u64 of at most 2^53 − 1. */
export function readU64Number(reader: ByteReader): number {
  const value = reader.u64();
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw reader.fail(`number ${value} is too large`);
  return Number(value);
}

/** Writes a small number that must be one of `allowed`. */
export function writeChoice(writer: ByteWriter, value: number, allowed: readonly number[]): void {
  if (!allowed.includes(value)) throw new RangeError(`${value} is not one of ${allowed.join(', ')}`);
  writer.u8(value);
}

/** Reads a u8 that must be one of `allowed`. */
export function readChoice<T extends number>(reader: ByteReader, allowed: readonly T[], what: string): T {
  const value = reader.u8();
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw reader.fail(`${what} ${value} is none of ${allowed.join(', ')}`);
  return found;
}

function tooMuch(what: string, found: number, max: number, unit: string): KithError {
  return new KithError('limit-exceeded', `${what}: ${found} ${unit} are more than ${max}`, {
    details: { what, found, max },
  });
}
