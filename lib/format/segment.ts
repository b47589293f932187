import { concatBytes, equalBytes, utf8 } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { hashIn } from '../crypto/hash.ts';
import { sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import {
  readChoice,
  readId,
  readList,
  readU64Number,
  writeBlob,
  writeChoice,
  writeFixed,
  writeId,
  writeList,
  writeU64Number,
} from './fields.ts';
import { logRoleNumbers } from './log-kinds.ts';
import type { LogRole } from './log-kinds.ts';
import { recordBytesMax } from './log-record.ts';

export { logRoles } from './log-kinds.ts';
export type { LogRole } from './log-kinds.ts';

const magic = 'kithsegm';
const version = 1;

/** Records of one segment. */
export const segmentRecordsMax = 65536;

/** Bytes of one segment file: it is written and hashed whole. */
export const segmentBytesMax: number = 8 * 1024 * 1024;

/** What a segment says of itself (docs/formats/log.md). */
export interface SegmentHead {
  readonly vaultId: Uint8Array;
  readonly deviceId: Uint8Array;
  /** The log's Ed25519 append key. */
  readonly logKey: Uint8Array;
  /** 1 catalog, 2 ledger. */
  readonly role: LogRole;
  /** Place of its first record in the log. */
  readonly firstIndex: number;
  /** segmentHash of the whole segment before; zeros at the start of the log. */
  readonly previous: Uint8Array;
  /** The device's signature over the log's key: see attestLog. */
  readonly attestation: Uint8Array;
}

/** A segment as it was found: views into its bytes; nobody has checked it until verifySegment did. */
export interface Segment {
  readonly head: SegmentHead;
  readonly records: Uint8Array[];
  readonly signature: Uint8Array;
  readonly signedBytes: Uint8Array;
}

function attestedBytes(
  vaultId: Uint8Array,
  deviceId: Uint8Array,
  logKey: Uint8Array,
  role: LogRole,
): Uint8Array {
  return concatBytes(utf8('attest'), vaultId, deviceId, logKey, new Uint8Array([role]));
}

/** A device's word that a log is its own: 64 bytes, the same in all segments of the log. */
export function attestLog(
  vaultId: Uint8Array,
  deviceId: Uint8Array,
  logKey: Uint8Array,
  role: LogRole,
  deviceSecretKey: Uint8Array,
): Uint8Array {
  return sign(attestedBytes(vaultId, deviceId, logKey, role), deviceSecretKey);
}

/**
 * A whole segment, signed with the log's append key (64 bytes, libsodium's form). KithError `limit-exceeded` where
 * records are too many or too long together: begin another segment before that.
 */
export function encodeSegment(
  head: SegmentHead,
  records: readonly Uint8Array[],
  appendSecretKey: Uint8Array,
): Uint8Array {
  if (records.length === 0) throw new RangeError('a segment without records');
  if ((head.firstIndex === 0) !== isZero(head.previous)) throw new RangeError('first segment or not?');
  if (!equalBytes(appendSecretKey.subarray(32), head.logKey))
    throw new RangeError("not the log's append key");
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, head.vaultId);
  writeId(writer, head.deviceId);
  writeId(writer, head.logKey);
  writeChoice(writer, head.role, logRoleNumbers);
  writeU64Number(writer, head.firstIndex);
  writeId(writer, head.previous);
  writeFixed(writer, head.attestation, signatureBytes);
  writeList(writer, records, segmentRecordsMax, 'records of a segment', (record) => {
    writeBlob(writer, record, recordBytesMax, 'log record');
  });
  const signed = writer.finish();
  if (signed.length + signatureBytes > segmentBytesMax) {
    throw new KithError('limit-exceeded', `a log segment of ${signed.length} bytes is too long`);
  }
  return concatBytes(signed, sign(signed, appendSecretKey));
}

/** Views into `bytes`, unverified. KithError `malformed` or `too-new`. */
export function decodeSegment(bytes: Uint8Array): Segment {
  const reader = new ByteReader(bytes, 'log segment');
  if (bytes.length > segmentBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, magic, version);
  const head = {
    vaultId: readId(reader),
    deviceId: readId(reader),
    logKey: readId(reader),
    role: readChoice(reader, logRoleNumbers, 'role'),
    firstIndex: readU64Number(reader),
    previous: readId(reader),
    attestation: reader.bytes(signatureBytes),
  };
  const records = readList(reader, segmentRecordsMax, 1, () => reader.blob(recordBytesMax));
  if (records.length === 0) throw reader.fail('no records');
  if (!Number.isSafeInteger(head.firstIndex + records.length)) throw reader.fail('places beyond counting');
  if ((head.firstIndex === 0) !== isZero(head.previous))
    throw reader.fail('only the first segment has none before it');
  const signedBytes = bytes.subarray(0, reader.offset);
  const signature = reader.bytes(signatureBytes);
  reader.end();
  return { head, records, signature, signedBytes };
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/**
 * KithError `not-authentic` unless the device attested the log and the log's key signed the segment. Whether the
 * device has a certificate of the vault is the caller's to check.
 */
export function verifySegment({ head, signature, signedBytes }: Segment): void {
  const attested = attestedBytes(head.vaultId, head.deviceId, head.logKey, head.role);
  if (!verifySignature(attested, head.attestation, head.deviceId)) {
    throw new KithError('not-authentic', 'the log is not attested by its device');
  }
  if (!verifySignature(signedBytes, signature, head.logKey)) {
    throw new KithError('not-authentic', "the log segment is not signed by its log's key");
  }
}

/** The name of a whole segment by its bytes: what the next one states as `previous`, and a head as its hash. */
export function segmentHash(bytes: Uint8Array): Uint8Array {
  return hashIn('segment', bytes);
}

/** `000000000000002a.seg`: names sort as segments follow each other. */
export function segmentFileName(firstIndex: number): string {
  if (!Number.isSafeInteger(firstIndex) || firstIndex < 0)
    throw new RangeError(`no place in a log: ${firstIndex}`);
  return `${firstIndex.toString(16).padStart(16, '0')}.seg`;
}

/** The first index of a segment file, or undefined for any other name. */
export function parseSegmentFileName(name: string): number | undefined {
  if (!/^[0-9a-f]{16}\.seg$/.test(name)) return undefined;
  const firstIndex = Number.parseInt(name.slice(0, 16), 16);
  return Number.isSafeInteger(firstIndex) ? firstIndex : undefined;
}
