import { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { openRecord, recordExtraBytes, sealRecord } from '../crypto/aead.ts';
import { deriveKey } from '../crypto/hash.ts';
import type { RandomSource } from '../crypto/random.ts';
import { wipeBytes } from '../crypto/secret.ts';
import { writeBlob, writeId, writeU64Number } from './fields.ts';
import { flagsOfKind, recordFlags, recordVersion } from './log-kinds.ts';

export { unknownKindAction } from './log-kinds.ts';

const sealedBytesMax = 1024 * 1024;

/** Bytes of a record's body. */
export const recordBodyBytesMax: number = sealedBytesMax - recordExtraBytes;

/** Bytes of a whole record as a segment carries it. */
export const recordBytesMax: number = sealedBytesMax + 256;

/** Where a record stands: it opens at no other place. */
export interface RecordPlace {
  readonly vaultId: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly logKey: Uint8Array;
  /** Place in the log, from 0. */
  readonly index: number;
}

/** What can be read of a record without its key; not authentic before the record has been opened. */
export interface RecordHead {
  readonly kind: number;
  readonly flags: number;
  /** Version of the body. */
  readonly version: number;
  readonly keyEpoch: number;
}

function writeHead(writer: ByteWriter, head: RecordHead): void {
  writer.u16(head.kind).u8(head.flags).u8(head.version).u32(head.keyEpoch);
}

function additionalData(head: RecordHead, place: RecordPlace): Uint8Array {
  const writer = new ByteWriter();
  writeHead(writer, head);
  writeId(writer, place.vaultId);
  writeId(writer, place.deviceId);
  writeId(writer, place.logKey);
  writeU64Number(writer, place.index);
  return writer.finish();
}

/**
 * Seals a body under the epoch's catalog or custody key (32 bytes), with a fresh nonce and bound to its place; the
 * flags are those of the kind. KithError `limit-exceeded` for a body over recordBodyBytesMax.
 */
export function sealLogRecord(
  kind: number,
  keyEpoch: number,
  key: Uint8Array,
  place: RecordPlace,
  body: Uint8Array,
  random: RandomSource,
): Uint8Array {
  const head = { kind, flags: flagsOfKind(kind), version: recordVersion, keyEpoch };
  const recordKey = deriveKey('record', key);
  const sealed = sealRecord(recordKey, additionalData(head, place), body, random);
  wipeBytes(recordKey);
  const writer = new ByteWriter();
  writeHead(writer, head);
  writeBlob(writer, sealed, sealedBytesMax, `log record of kind ${kind}`);
  return writer.finish();
}

function splitRecord(bytes: Uint8Array): { head: RecordHead; sealed: Uint8Array } {
  const reader = new ByteReader(bytes, 'log record');
  const head = { kind: reader.u16(), flags: reader.u8(), version: reader.u8(), keyEpoch: reader.u32() };
  if (head.flags !== recordFlags.skipIfUnknown && head.flags !== recordFlags.stopIfUnknown) {
    throw reader.fail(`flags ${head.flags} are neither skip nor stop`);
  }
  if (head.version === 0) throw reader.fail('version 0');
  const sealed = reader.blob(sealedBytesMax);
  reader.end();
  return { head, sealed };
}

/** The head of a record, which tells the epoch whose key opens it. KithError `malformed`. */
export function readRecordHead(bytes: Uint8Array): RecordHead {
  return splitRecord(bytes).head;
}

/**
 * Opens a record with the catalog or custody key of its epoch. The body is a fresh array. KithError `malformed`, or
 * `not-authentic` where key, place or bytes are not those it was sealed with.
 */
export function openLogRecord(
  bytes: Uint8Array,
  key: Uint8Array,
  place: RecordPlace,
): RecordHead & { readonly body: Uint8Array } {
  const { head, sealed } = splitRecord(bytes);
  const recordKey = deriveKey('record', key);
  const body = openRecord(recordKey, additionalData(head, place), sealed);
  wipeBytes(recordKey);
  if (body === undefined) {
    throw new KithError('not-authentic', `log record ${place.index} doesn't open`, {
      details: { kind: head.kind, keyEpoch: head.keyEpoch, index: place.index },
    });
  }
  return { ...head, body };
}
