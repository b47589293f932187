import { concatBytes, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { rowCountMax } from '../base/limits.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import {
  nameTextBytesMax,
  readId,
  readList,
  readU64Number,
  writeFixed,
  writeId,
  writeList,
  writeText,
  writeU64Number,
} from './fields.ts';

/** Bodies of the ledger's records by which packs go (docs/formats/log.md). Nothing writes them yet. */

/** What one record holds at most: 65536 packs of 33 bytes don't fit 1 MiB, so the body's own limit comes first. */
const packCountMax = 65536;
const logCountMax = 256;

/** Stands for all shards of a pack. */
export const allShards = 255;

/** Prune's first step: packs that nobody may build on any more. */
export interface Condemn {
  readonly seq: number;
  readonly packIds: readonly Uint8Array[];
  /** How far each log was read when the packs were found unused. */
  readonly logsRead: readonly { readonly logKey: Uint8Array; readonly length: number }[];
  readonly atNs: bigint;
}

export function encodeCondemn(record: Condemn): Uint8Array {
  const writer = new ByteWriter();
  writeU64Number(writer, record.seq);
  writeList(writer, record.packIds, packCountMax, 'packs', (packId) => writeId(writer, packId));
  writeList(writer, record.logsRead, logCountMax, 'logs', ({ logKey, length }) => {
    writeId(writer, logKey);
    writeU64Number(writer, length);
  });
  return writer.i64(record.atNs).finish();
}

export function decodeCondemn(bytes: Uint8Array): Condemn {
  const reader = new ByteReader(bytes, 'record "condemn"');
  const record = {
    seq: readU64Number(reader),
    packIds: readList(reader, packCountMax, 32, () => readId(reader)),
    logsRead: readList(reader, logCountMax, 40, () => ({
      logKey: readId(reader),
      length: readU64Number(reader),
    })),
    atNs: reader.i64(),
  };
  reader.end();
  return record;
}

/** Prune's second step: a device has seen a condemn record and no longer counts on its packs. */
export interface Acknowledge {
  /** The condemn record's log and place. */
  readonly logKey: Uint8Array;
  readonly index: number;
  readonly deviceId: Uint8Array;
  readonly atNs: bigint;
}

export function encodeAcknowledge(record: Acknowledge): Uint8Array {
  const writer = new ByteWriter();
  writeId(writer, record.logKey);
  writeU64Number(writer, record.index);
  writeId(writer, record.deviceId);
  return writer.i64(record.atNs).finish();
}

export function decodeAcknowledge(bytes: Uint8Array): Acknowledge {
  const reader = new ByteReader(bytes, 'record "acknowledge"');
  const record = {
    logKey: readId(reader),
    index: readU64Number(reader),
    deviceId: readId(reader),
    atNs: reader.i64(),
  };
  reader.end();
  return record;
}

/** One shard of a pack, or with `allShards` every one that the holder has. */
export interface PackShard {
  readonly packId: Uint8Array;
  readonly shardIndex: number;
}

function writePackShards(writer: ByteWriter, packs: readonly PackShard[]): void {
  writeList(writer, packs, packCountMax, 'packs', ({ packId, shardIndex }) => {
    if (
      shardIndex !== allShards &&
      !(Number.isInteger(shardIndex) && shardIndex >= 0 && shardIndex < rowCountMax)
    ) {
      throw new RangeError(`no shard has the index ${shardIndex}`);
    }
    writeId(writer, packId);
    writer.u8(shardIndex);
  });
}

function readPackShards(reader: ByteReader): PackShard[] {
  return readList(reader, packCountMax, 33, () => {
    const packId = readId(reader);
    const shardIndex = reader.u8();
    if (shardIndex !== allShards && shardIndex >= rowCountMax) {
      throw reader.fail(`no shard has the index ${shardIndex}`);
    }
    return { packId, shardIndex };
  });
}

/** Prune's third step: a holder may let these go. The highest seq of a device, pack and holder counts. */
export interface Release {
  readonly releaseSeq: number;
  readonly holderId: Uint8Array;
  readonly packs: readonly PackShard[];
  readonly atNs: bigint;
}

export function encodeRelease(record: Release): Uint8Array {
  const writer = new ByteWriter();
  writeU64Number(writer, record.releaseSeq);
  writeId(writer, record.holderId);
  writePackShards(writer, record.packs);
  return writer.i64(record.atNs).finish();
}

export function decodeRelease(bytes: Uint8Array): Release {
  const reader = new ByteReader(bytes, 'record "release"');
  const record = {
    releaseSeq: readU64Number(reader),
    holderId: readId(reader),
    packs: readPackShards(reader),
    atNs: reader.i64(),
  };
  reader.end();
  return record;
}

/** A holder's word that it lost what it kept for the vault. */
export interface Lost {
  readonly holderId: Uint8Array;
  readonly packs: readonly PackShard[];
  /** For people. */
  readonly why: string;
  readonly atNs: bigint;
  /** The holder's device's, over vault id and all before it. */
  readonly signature: Uint8Array;
}

function lostBody(record: Omit<Lost, 'signature'>): Uint8Array {
  const writer = new ByteWriter();
  writeId(writer, record.holderId);
  writePackShards(writer, record.packs);
  writeText(writer, record.why, nameTextBytesMax, 'reason');
  return writer.i64(record.atNs).finish();
}

function signedLost(vaultId: Uint8Array, record: Omit<Lost, 'signature'>): Uint8Array {
  return concatBytes(utf8('kithlost'), vaultId, lostBody(record));
}

/** Signs with the secret key (64 bytes) of a device of the holder. */
export function signLost(
  vaultId: Uint8Array,
  record: Omit<Lost, 'signature'>,
  deviceSecretKey: Uint8Array,
): Lost {
  return { ...record, signature: sign(signedLost(vaultId, record), deviceSecretKey) };
}

/** KithError `not-authentic` unless this device signed it for this vault. */
export function verifyLost(vaultId: Uint8Array, record: Lost, deviceId: Uint8Array): void {
  if (verifySignature(signedLost(vaultId, record), record.signature, deviceId)) return;
  throw new KithError('not-authentic', 'the report of a loss is not signed by the holder');
}

export function encodeLost(record: Lost): Uint8Array {
  const writer = new ByteWriter().bytes(lostBody(record));
  writeFixed(writer, record.signature, signatureBytes);
  return writer.finish();
}

export function decodeLost(bytes: Uint8Array): Lost {
  const reader = new ByteReader(bytes, 'record "lost"');
  const record = {
    holderId: readId(reader),
    packs: readPackShards(reader),
    why: reader.text(nameTextBytesMax),
    atNs: reader.i64(),
    signature: reader.bytes(signatureBytes),
  };
  reader.end();
  return record;
}
