import { concatBytes, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import {
  nameTextBytesMax,
  readChoice,
  readId,
  readList,
  readU64Number,
  writeBlob,
  writeChoice,
  writeFixed,
  writeId,
  writeList,
  writeText,
  writeU64Number,
} from './fields.ts';

/** Catalog records about friends and devices (docs/formats/log.md). */

const addressBytesMax = 4096;
const cardBytesMax = 65536;
const grantCountMax = 64;
const friendStates = [1, 2] as const;

/** Numbers of a friend's state. */
export const friendStateNumbers = { active: 1, removed: 2 } as const;
const knownFriendExtensions: ReadonlySet<number> = new Set();

/** Where a device can be reached, sealed to those who may know; the highest counter of a device counts. */
export interface AddressRecord {
  readonly deviceId: Uint8Array;
  readonly counter: number;
  readonly sealed: Uint8Array;
  /** The device's, over vault id and all before it. */
  readonly signature: Uint8Array;
}

function addressBody(record: Omit<AddressRecord, 'signature'>): Uint8Array {
  const writer = new ByteWriter();
  writeId(writer, record.deviceId);
  writeU64Number(writer, record.counter);
  writeBlob(writer, record.sealed, addressBytesMax, 'address record');
  return writer.finish();
}

function signedAddress(vaultId: Uint8Array, record: Omit<AddressRecord, 'signature'>): Uint8Array {
  return concatBytes(utf8('kithaddr'), vaultId, addressBody(record));
}

/** Signs with the device's secret key (64 bytes). */
export function signAddressRecord(
  vaultId: Uint8Array,
  record: Omit<AddressRecord, 'signature'>,
  deviceSecretKey: Uint8Array,
): AddressRecord {
  return { ...record, signature: sign(signedAddress(vaultId, record), deviceSecretKey) };
}

/** KithError `not-authentic` unless the device that it names signed it for this vault. */
export function verifyAddressRecord(vaultId: Uint8Array, record: AddressRecord): void {
  if (verifySignature(signedAddress(vaultId, record), record.signature, record.deviceId)) return;
  throw new KithError('not-authentic', 'the address record is not signed by its device');
}

export function encodeAddressRecord(record: AddressRecord): Uint8Array {
  const writer = new ByteWriter().bytes(addressBody(record));
  writeFixed(writer, record.signature, signatureBytes);
  return writer.finish();
}

export function decodeAddressRecord(bytes: Uint8Array): AddressRecord {
  const reader = new ByteReader(bytes, 'address record');
  const record = {
    deviceId: readId(reader),
    counter: readU64Number(reader),
    sealed: reader.blob(addressBytesMax),
    signature: reader.bytes(signatureBytes),
  };
  reader.end();
  return record;
}

/** A line of the friends book; the latest `atNs` of an identity counts. */
export interface FriendRecord {
  /** The friend's vault id. */
  readonly identity: Uint8Array;
  /** 1 active, 2 removed. */
  readonly state: 1 | 2;
  readonly name: string;
  readonly household: string;
  /** Bytes that the friend may keep here. */
  readonly quotaGivenBytes: number;
  /** Names of services. */
  readonly grants: readonly string[];
  readonly card: Uint8Array;
  readonly atNs: bigint;
  readonly extensions: readonly Extension[];
}

export function encodeFriendRecord(record: FriendRecord): Uint8Array {
  const writer = new ByteWriter();
  writeId(writer, record.identity);
  writeChoice(writer, record.state, friendStates);
  writeText(writer, record.name, nameTextBytesMax, 'name of a friend');
  writeText(writer, record.household, nameTextBytesMax, 'household');
  writer.varint(record.quotaGivenBytes);
  writeList(writer, record.grants, grantCountMax, 'grants', (grant) => {
    writeText(writer, grant, nameTextBytesMax, 'grant');
  });
  writeBlob(writer, record.card, cardBytesMax, 'peer card');
  writer.i64(record.atNs);
  writeExtensions(writer, record.extensions);
  return writer.finish();
}

export function decodeFriendRecord(bytes: Uint8Array): FriendRecord {
  const reader = new ByteReader(bytes, 'record "friend"');
  const record = {
    identity: readId(reader),
    state: readChoice(reader, friendStates, 'state of a friend'),
    name: reader.text(nameTextBytesMax),
    household: reader.text(nameTextBytesMax),
    quotaGivenBytes: reader.varint(),
    grants: readList(reader, grantCountMax, 1, () => reader.text(nameTextBytesMax)),
    card: reader.blob(cardBytesMax),
    atNs: reader.i64(),
    extensions: readExtensions(reader, knownFriendExtensions),
  };
  reader.end();
  return record;
}
