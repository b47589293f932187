import { concatBytes, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import { readId, readList, writeFixed, writeId, writeList } from './fields.ts';
import { logPositionBytes, readLogPosition, writeLogPosition, type LogPosition } from './log-position.ts';

/** Heads of one vault that are told and kept: two logs of each of a few devices. */
export const headsMax = 16;

/** Bytes of one head. */
const headBytes = 32 + logPositionBytes + signatureBytes;

/** Owners whose heads one file keeps: as many as there can be friends. */
const ownersMax = 1024;

/** Bytes of the file of heads. */
export const headsFileBytesMax: number = 10 + 2 + ownersMax * (32 + 1 + headsMax * headBytes);

const magic = 'kithhead';
const version = 1;

/** How long one of its logs was when a device said so (docs/formats/cards-service.md). */
export interface SignedHead {
  readonly deviceId: Uint8Array;
  readonly position: LogPosition;
  /** The device's. */
  readonly signature: Uint8Array;
}

function signedBytes(vaultId: Uint8Array, { deviceId, position }: Omit<SignedHead, 'signature'>): Uint8Array {
  const writer = new ByteWriter();
  writeId(writer, deviceId);
  writeLogPosition(writer, position);
  return concatBytes(utf8(magic), vaultId, writer.finish());
}

/** Signs with the device's secret key (64 bytes). */
export function signHead(
  vaultId: Uint8Array,
  head: Omit<SignedHead, 'signature'>,
  deviceSecretKey: Uint8Array,
): SignedHead {
  return { ...head, signature: sign(signedBytes(vaultId, head), deviceSecretKey) };
}

/** KithError `not-authentic` unless the device that it names signed it for this vault. */
export function verifyHead(vaultId: Uint8Array, head: SignedHead): void {
  if (verifySignature(signedBytes(vaultId, head), head.signature, head.deviceId)) return;
  throw new KithError('not-authentic', 'the head of a log is not signed by its device');
}

/** KithError `limit-exceeded` for more than headsMax. */
export function writeHeads(writer: ByteWriter, heads: readonly SignedHead[]): void {
  writeList(writer, heads, headsMax, 'heads of logs', ({ deviceId, position, signature }) => {
    writeId(writer, deviceId);
    writeLogPosition(writer, position);
    writeFixed(writer, signature, signatureBytes);
  });
}

/** Views, unverified. */
export function readHeads(reader: ByteReader): SignedHead[] {
  return readList(reader, headsMax, headBytes, () => ({
    deviceId: readId(reader),
    position: readLogPosition(reader),
    signature: reader.bytes(signatureBytes),
  }));
}

/** Of its own memory. */
export function copyHead({ deviceId, position, signature }: SignedHead): SignedHead {
  const { logKey, length, hash } = position;
  return {
    deviceId: deviceId.slice(),
    position: { logKey: logKey.slice(), length, hash: hash.slice() },
    signature: signature.slice(),
  };
}

/** The heads that friends' devices told, by owner. */
export type HeadsOfOwners = readonly { readonly owner: Uint8Array; readonly heads: readonly SignedHead[] }[];

/** The file of heads in a home. */
export function encodeHeadsFile(all: HeadsOfOwners): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeList(writer, all, ownersMax, 'owners of heads', ({ owner, heads }) => {
    writeId(writer, owner);
    writeHeads(writer, heads);
  });
  return writer.finish();
}

/** Views, unverified. KithError `malformed`, `too-new`. */
export function decodeHeadsFile(bytes: Uint8Array): HeadsOfOwners {
  const reader = new ByteReader(bytes, 'heads of logs');
  readFileHead(reader, magic, version);
  const all = readList(reader, ownersMax, 33, () => ({ owner: readId(reader), heads: readHeads(reader) }));
  reader.end();
  return all;
}
