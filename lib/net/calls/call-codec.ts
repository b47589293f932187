import { concatBytes, copyBytes } from '../../base/bytes.ts';
import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { readList, writeBlob, writeList, writeText } from '../../format/fields.ts';
import { bulkBytesMax, bulkMessageBytes, callBodyBytesMax, replyBodyBytesMax } from '../service.ts';

/** Messages of calls (docs/formats/wire.md). */

/** Numbers of the kinds, in the order in which both sides name them to Protomux. */
export const callKind = {
  call: 0,
  reply: 1,
  failure: 2,
  data: 3,
  credit: 4,
  cancel: 5,
  alive: 6,
  pace: 7,
} as const;

/** Calls of one channel that are under way at a time. */
export const callCountMax = 64;

const methodMax = 65535;
export const codeBytesMax = 32;
export const wordsBytesMax = 1024;
export const detailCountMax = 16;
export const detailKeyBytesMax = 64;
export const detailTextBytesMax = 256;

export interface CallMessage {
  readonly id: number;
  readonly method: number;
  readonly uploadBytes: number;
  readonly downloadBytesMax: number;
  readonly body: Uint8Array;
}

export interface ReplyMessage {
  readonly id: number;
  readonly downloadBytes: number;
  readonly body: Uint8Array;
}

export type DetailValue = string | number | boolean | null;

export interface FailureMessage {
  readonly id: number;
  readonly code: string;
  readonly words: string;
  readonly details: readonly (readonly [key: string, value: DetailValue])[];
}

export interface DataMessage {
  readonly id: number;
  /** A view into the message. */
  readonly bytes: Uint8Array;
}

export interface CreditMessage {
  readonly id: number;
  readonly bytes: number;
}

export function encodeCall(call: CallMessage): Uint8Array {
  const { id, method, uploadBytes, downloadBytesMax, body } = call;
  const writer = new ByteWriter().varint(id).varint(method).varint(uploadBytes).varint(downloadBytesMax);
  writeBlob(writer, body, callBodyBytesMax, 'call');
  return writer.finish();
}

/** The body is a copy. */
export function decodeCall(bytes: Uint8Array): CallMessage {
  const reader = new ByteReader(bytes, 'call');
  const call = {
    id: readCallId(reader),
    method: reader.varint(methodMax),
    uploadBytes: reader.varint(bulkBytesMax),
    downloadBytesMax: reader.varint(bulkBytesMax),
    body: copyBytes(reader.blob(callBodyBytesMax)),
  };
  reader.end();
  return call;
}

export function encodeReply({ id, downloadBytes, body }: ReplyMessage): Uint8Array {
  const writer = new ByteWriter().varint(id).varint(downloadBytes);
  writeBlob(writer, body, replyBodyBytesMax, 'reply');
  return writer.finish();
}

/** The body is a copy. */
export function decodeReply(bytes: Uint8Array): ReplyMessage {
  const reader = new ByteReader(bytes, 'reply');
  const reply = {
    id: readCallId(reader),
    downloadBytes: reader.varint(bulkBytesMax),
    body: copyBytes(reader.blob(replyBodyBytesMax)),
  };
  reader.end();
  return reply;
}

/** Kinds of a detail's value. */
const detailKind = { null: 0, false: 1, true: 2, number: 3, text: 4 } as const;

function writeDetail(writer: ByteWriter, value: DetailValue): void {
  if (value === null) writer.u8(detailKind.null);
  else if (typeof value === 'boolean') writer.u8(value ? detailKind.true : detailKind.false);
  else if (typeof value === 'number') writer.u8(detailKind.number).i64(BigInt(value));
  else writeText(writer.u8(detailKind.text), value, detailTextBytesMax, 'detail');
}

function readDetail(reader: ByteReader): DetailValue {
  const kind = reader.u8();
  switch (kind) {
    case detailKind.null:
      return null;
    case detailKind.false:
      return false;
    case detailKind.true:
      return true;
    case detailKind.number: {
      const value = Number(reader.i64());
      if (!Number.isSafeInteger(value)) throw reader.fail('a number too large');
      return value;
    }
    case detailKind.text:
      return reader.text(detailTextBytesMax);
    default:
      throw reader.fail(`a detail of kind ${kind}`);
  }
}

/** Numbers in details must be whole and safe. */
export function encodeFailure({ id, code, words, details }: FailureMessage): Uint8Array {
  const writer = new ByteWriter().varint(id);
  writeText(writer, code, codeBytesMax, 'code');
  writeText(writer, words, wordsBytesMax, 'words');
  writeList(writer, details, detailCountMax, 'details', ([key, value]) => {
    writeText(writer, key, detailKeyBytesMax, 'key');
    writeDetail(writer, value);
  });
  return writer.finish();
}

export function decodeFailure(bytes: Uint8Array): FailureMessage {
  const reader = new ByteReader(bytes, 'failure');
  const failure = {
    id: readCallId(reader),
    code: reader.text(codeBytesMax),
    words: reader.text(wordsBytesMax),
    details: readList(
      reader,
      detailCountMax,
      2,
      () => [reader.text(detailKeyBytesMax), readDetail(reader)] as const,
    ),
  };
  reader.end();
  return failure;
}

/** A message in its two parts: what comes before the bytes, and these themselves, not copied; 1 to bulkMessageBytes of them. */
export function encodeDataParts({ id, bytes }: DataMessage): [Uint8Array, Uint8Array] {
  if (bytes.length === 0 || bytes.length > bulkMessageBytes) {
    throw new RangeError(`${bytes.length} bytes in one message`);
  }
  return [new ByteWriter().varint(id).finish(), bytes];
}

/** The same as one array. */
export function encodeData(data: DataMessage): Uint8Array {
  return concatBytes(...encodeDataParts(data));
}

export function decodeData(bytes: Uint8Array): DataMessage {
  const reader = new ByteReader(bytes, 'data');
  const id = readCallId(reader);
  const { remaining } = reader;
  if (remaining === 0 || remaining > bulkMessageBytes) throw reader.fail(`${remaining} bytes in one message`);
  return { id, bytes: reader.rest() };
}

export function encodeCredit({ id, bytes }: CreditMessage): Uint8Array {
  return new ByteWriter().varint(id).varint(bytes).finish();
}

export function decodeCredit(bytes: Uint8Array): CreditMessage {
  const reader = new ByteReader(bytes, 'credit');
  const credit = { id: readCallId(reader), bytes: reader.varint(bulkBytesMax) };
  if (credit.bytes === 0) throw reader.fail('no bytes');
  reader.end();
  return credit;
}

/** Credit for a download, from the caller. The first of a call comes before it, and may give none. */
export function encodePace({ id, bytes }: CreditMessage): Uint8Array {
  return encodeCredit({ id, bytes });
}

export function decodePace(bytes: Uint8Array): CreditMessage {
  const reader = new ByteReader(bytes, 'pace');
  const pace = { id: readCallId(reader), bytes: reader.varint(bulkBytesMax) };
  reader.end();
  return pace;
}

/** A cancel or an alive: nothing but the id. */
export function encodeCallId(id: number): Uint8Array {
  return new ByteWriter().varint(id).finish();
}

export function decodeCallId(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes, 'call id');
  const id = readCallId(reader);
  reader.end();
  return id;
}

function readCallId(reader: ByteReader): number {
  const id = reader.varint();
  if (id === 0) throw reader.fail('call 0');
  return id;
}
