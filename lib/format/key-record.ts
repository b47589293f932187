import { compareBytes, equalBytes, toHex } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { openBox, sealBox, sign, signatureBytes, verifySignature } from '../crypto/sign.ts';
import type { BoxKeyPair } from '../crypto/sign.ts';
import { wipeBytes } from '../crypto/secret.ts';
import {
  certificateBytesMax,
  decodeCertificate,
  encodeCertificate,
  verifyCertificate,
} from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { decodeEpochKeys, encodeEpochKeys, epochIdOf } from './epoch-keys.ts';
import type { EpochKeys } from './epoch-keys.ts';
import { readId, readList, writeBlob, writeFixed, writeId, writeList } from './fields.ts';
import {
  decodeRevocation,
  encodeRevocation,
  revocationBytesMax,
  verifyRevocation,
  type Revocation,
} from './revocation.ts';

export { decodeEpochKeys, encodeEpochKeys } from './epoch-keys.ts';
export type { EpochKeys } from './epoch-keys.ts';

const magic = 'kithkeys';
const originMagic = 'kithorig';
/** The second has revocations and says who began an epoch; it is written only where there is something of either. */
const versionPlain = 1;
const versionRevoking = 2;

/** Devices that an identity ever had. */
const certificateCountMax = 256;

/** One is begun when a device is revoked or a friend removed. */
const envelopeCountMax = 4096;

/** One for each device and the phrase, and a second where two devices sealed for one recipient at once. */
const boxCountMax = 1024;

const boxBytesMax = 512;

/** Devices that an identity ever revoked: as many as a card can name. */
const revocationCountMax = 64;

/** Devices that say of one epoch that they began it: one, unless somebody plays. */
const originCountMax = 16;

/** Bytes of a whole key record: it has to fit a log record. */
export const keyRecordBytesMax: number = 1024 * 1024 - 4096;

/** Revisions stay here; what counts is the union, not the number. */
const revisionMax = 0xffffffff;

/** Epoch keys sealed to one recipient. */
export interface SealedEpoch {
  /** The recipient's X25519 public key. */
  readonly recipient: Uint8Array;
  readonly sealed: Uint8Array;
}

/** A device's word that it began an epoch, verified with the record. */
export interface EpochOrigin {
  readonly deviceId: Uint8Array;
  readonly signature: Uint8Array;
}

/** One epoch, sealed to everybody who may have it. */
export interface Envelope {
  readonly keyEpoch: number;
  /** epochIdOf the keys inside. */
  readonly epochId: Uint8Array;
  /** Who began it. Left out where nobody says so, as for the first epoch of an identity; never empty. */
  readonly origins?: readonly EpochOrigin[];
  readonly boxes: readonly SealedEpoch[];
}

/** What a key record says: a set that only grows (docs/formats/keys.md). */
export interface KeyRecordContent {
  readonly vaultId: Uint8Array;
  readonly revision: number;
  readonly certificates: readonly Certificate[];
  /** Left out where there are none; never empty. */
  readonly revocations?: readonly Revocation[];
  readonly envelopes: readonly Envelope[];
}

/** A key record as a device signed it; nobody has checked it until verifyKeyRecord did. */
export interface KeyRecord extends KeyRecordContent {
  /** The signing device's public key. */
  readonly signer: Uint8Array;
  readonly signature: Uint8Array;
}

function compareEnvelopes(a: Envelope, b: Envelope): number {
  return a.keyEpoch - b.keyEpoch || compareBytes(a.epochId, b.epochId);
}

function compareBoxes(a: SealedEpoch, b: SealedEpoch): number {
  return compareBytes(a.recipient, b.recipient) || compareBytes(a.sealed, b.sealed);
}

function compareCertificates(a: Certificate, b: Certificate): number {
  return compareBytes(encodeCertificate(a), encodeCertificate(b));
}

function versionOf({ revocations, envelopes }: KeyRecordContent): number {
  const isPlain = revocations === undefined && envelopes.every(({ origins }) => origins === undefined);
  return isPlain ? versionPlain : versionRevoking;
}

function originBytes(
  vaultId: Uint8Array,
  { keyEpoch, epochId }: Pick<Envelope, 'keyEpoch' | 'epochId'>,
  deviceId: Uint8Array,
): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(originMagic, 1));
  writeId(writer, vaultId);
  writer.u32(keyEpoch);
  writeId(writer, epochId);
  writeId(writer, deviceId);
  return writer.finish();
}

/** The envelope with the word of the device that began its epoch. The secret key is 64 bytes. */
export function withOrigin(
  vaultId: Uint8Array,
  envelope: Envelope,
  deviceId: Uint8Array,
  deviceSecretKey: Uint8Array,
): Envelope {
  const signature = sign(originBytes(vaultId, envelope, deviceId), deviceSecretKey);
  return { ...envelope, origins: [{ deviceId, signature }] };
}

function signedPart(content: KeyRecordContent, signer: Uint8Array): ByteWriter {
  const version = versionOf(content);
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, content.vaultId);
  writer.u32(content.revision);
  writeList(writer, content.certificates, certificateCountMax, 'devices of a vault', (certificate) => {
    writer.blob(encodeCertificate(certificate));
  });
  if (version === versionRevoking) {
    writeList(
      writer,
      content.revocations ?? [],
      revocationCountMax,
      'revocations of a vault',
      (revocation) => {
        writeBlob(writer, encodeRevocation(revocation), revocationBytesMax, 'revocation');
      },
    );
  }
  writeList(writer, content.envelopes, envelopeCountMax, 'epochs of a vault', (envelope) => {
    writer.u32(envelope.keyEpoch);
    writeId(writer, envelope.epochId);
    if (version === versionRevoking) {
      writeList(writer, envelope.origins ?? [], originCountMax, 'origins of an epoch', (origin) => {
        writeId(writer, origin.deviceId);
        writeFixed(writer, origin.signature, signatureBytes);
      });
    }
    writeList(writer, envelope.boxes, boxCountMax, 'recipients of an epoch', ({ recipient, sealed }) => {
      writeId(writer, recipient);
      writeBlob(writer, sealed, boxBytesMax, 'sealed epoch');
    });
  });
  writeId(writer, signer);
  return writer;
}

function compareRevocations(a: Revocation, b: Revocation): number {
  return compareBytes(encodeRevocation(a), encodeRevocation(b));
}

function compareOrigins(a: EpochOrigin, b: EpochOrigin): number {
  return compareBytes(a.deviceId, b.deviceId);
}

function ascending<T>(
  reader: ByteReader,
  items: readonly T[],
  compare: (a: T, b: T) => number,
  what: string,
): void {
  for (let i = 1; i < items.length; i++) {
    const [before, item] = [items[i - 1], items[i]];
    if (before !== undefined && item !== undefined && compare(before, item) >= 0) {
      throw reader.fail(`${what} don't ascend`);
    }
  }
}

/** KithError `limit-exceeded` where it outgrew its limits. */
export function encodeKeyRecord(record: KeyRecord): Uint8Array {
  const writer = signedPart(record, record.signer);
  writeFixed(writer, record.signature, signatureBytes);
  if (writer.length > keyRecordBytesMax) {
    throw new KithError('limit-exceeded', `the key record has grown to ${writer.length} bytes`);
  }
  return writer.finish();
}

/** Views into `bytes`, unverified. KithError `malformed` or `too-new`. */
export function decodeKeyRecord(bytes: Uint8Array): KeyRecord {
  const reader = new ByteReader(bytes, 'key record');
  if (bytes.length > keyRecordBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  const version = readFileHead(reader, magic, versionRevoking);
  const vaultId = readId(reader);
  const revision = reader.u32();
  const certificates = readList(reader, certificateCountMax, 1, () =>
    decodeCertificate(reader.blob(certificateBytesMax)),
  );
  ascending(reader, certificates, compareCertificates, 'certificates');
  const revocations = version === versionRevoking ? readRevocations(reader) : undefined;
  const envelopes = readList(reader, envelopeCountMax, 37, () => {
    const keyEpoch = reader.u32();
    const epochId = readId(reader);
    const origins = version === versionRevoking ? readOrigins(reader) : undefined;
    const boxes = readList(reader, boxCountMax, 33, () => ({
      recipient: readId(reader),
      sealed: reader.blob(boxBytesMax),
    }));
    ascending(reader, boxes, compareBoxes, 'boxes');
    return { keyEpoch, epochId, ...(origins !== undefined && { origins }), boxes };
  });
  ascending(reader, envelopes, compareEnvelopes, 'envelopes');
  const record = {
    vaultId,
    revision,
    certificates,
    ...(revocations !== undefined && { revocations }),
    envelopes,
    signer: readId(reader),
    signature: reader.bytes(signatureBytes),
  };
  reader.end();
  if (versionOf(record) !== version) throw reader.fail('a version that it does not need');
  return record;
}

function readRevocations(reader: ByteReader): Revocation[] | undefined {
  const revocations = readList(reader, revocationCountMax, 1, () =>
    decodeRevocation(reader.blob(revocationBytesMax)),
  );
  ascending(reader, revocations, compareRevocations, 'revocations');
  return revocations.length === 0 ? undefined : revocations;
}

function readOrigins(reader: ByteReader): EpochOrigin[] | undefined {
  const origins = readList(reader, originCountMax, 96, () => ({
    deviceId: readId(reader),
    signature: reader.bytes(signatureBytes),
  }));
  ascending(reader, origins, compareOrigins, 'origins');
  return origins.length === 0 ? undefined : origins;
}

/** Puts the content in its one order and signs it with a device's secret key (64 bytes). */
export function signKeyRecord(
  content: KeyRecordContent,
  signer: Uint8Array,
  deviceSecretKey: Uint8Array,
): KeyRecord {
  const ordered = mergeKeyRecords(content, content);
  const signature = sign(signedPart(ordered, signer).finish(), deviceSecretKey);
  return { ...ordered, signer, signature };
}

/**
 * KithError `not-authentic` unless every certificate in it is signed by the identity, and the record by a device with
 * one of them. With `vaultId`, the identity must be that one; without, the record is merely consistent in itself.
 */
export function verifyKeyRecord(record: KeyRecord, vaultId?: Uint8Array): void {
  if (vaultId !== undefined && !equalBytes(vaultId, record.vaultId)) {
    throw new KithError('not-authentic', 'the key record belongs to another vault');
  }
  for (const certificate of record.certificates) verifyCertificate(certificate, record.vaultId);
  for (const revocation of record.revocations ?? []) verifyRevocation(revocation, record.vaultId);
  for (const envelope of record.envelopes) verifyOrigins(record, envelope);
  if (!record.certificates.some((certificate) => equalBytes(certificate.deviceId, record.signer))) {
    throw new KithError(
      'not-authentic',
      'the key record is signed by a device that has no certificate in it',
    );
  }
  if (!verifySignature(signedPart(record, record.signer).finish(), record.signature, record.signer)) {
    throw new KithError('not-authentic', 'the signature of the key record is wrong');
  }
}

function verifyOrigins({ vaultId, certificates }: KeyRecordContent, envelope: Envelope): void {
  for (const { deviceId, signature } of envelope.origins ?? []) {
    const isDevice = certificates.some((certificate) => equalBytes(certificate.deviceId, deviceId));
    if (!isDevice || !verifySignature(originBytes(vaultId, envelope, deviceId), signature, deviceId)) {
      throw new KithError('not-authentic', 'an epoch names a beginner who did not sign for it');
    }
  }
}

function union<T>(items: readonly T[], keyOf: (item: T) => string, compare: (a: T, b: T) => number): T[] {
  return [...new Map(items.map((item) => [keyOf(item), item])).values()].sort(compare);
}

/**
 * The union of two records of one vault, both verified before, and the higher revision. Order and repetition of
 * merges don't matter, and nothing is lost by them. The result is unsigned: signKeyRecord it. KithError
 * `not-authentic` for two vaults.
 */
export function mergeKeyRecords(a: KeyRecordContent, b: KeyRecordContent): KeyRecordContent {
  if (!equalBytes(a.vaultId, b.vaultId)) {
    throw new KithError('not-authentic', 'key records of two vaults do not merge');
  }
  const boxesOf = new Map<string, Envelope>();
  for (const envelope of [...a.envelopes, ...b.envelopes]) {
    const key = `${envelope.keyEpoch} ${toHex(envelope.epochId)}`;
    const boxes = [...(boxesOf.get(key)?.boxes ?? []), ...envelope.boxes];
    const origins = union(
      [...(boxesOf.get(key)?.origins ?? []), ...(envelope.origins ?? [])],
      (origin) => toHex(origin.deviceId),
      compareOrigins,
    ).slice(0, originCountMax);
    boxesOf.set(key, {
      keyEpoch: envelope.keyEpoch,
      epochId: envelope.epochId,
      ...(origins.length > 0 && { origins }),
      boxes: union(boxes, (box) => `${toHex(box.recipient)} ${toHex(box.sealed)}`, compareBoxes),
    });
  }
  const revocations = union(
    [...(a.revocations ?? []), ...(b.revocations ?? [])],
    (revocation) => toHex(encodeRevocation(revocation)),
    compareRevocations,
  );
  return {
    vaultId: a.vaultId,
    revision: Math.max(a.revision, b.revision),
    certificates: union(
      [...a.certificates, ...b.certificates],
      (certificate) => toHex(encodeCertificate(certificate)),
      compareCertificates,
    ),
    ...(revocations.length > 0 && { revocations }),
    envelopes: [...boxesOf.values()].sort(compareEnvelopes),
  };
}

/** True if `a` has all certificates and boxes of `b`: storing `b` beside it would add nothing. */
export function keyRecordCovers(a: KeyRecordContent, b: KeyRecordContent): boolean {
  const none = new Uint8Array(32);
  const bytesOf = (content: KeyRecordContent): Uint8Array =>
    signedPart({ ...mergeKeyRecords(content, content), revision: 0 }, none).finish();
  return equalBytes(bytesOf(mergeKeyRecords(a, b)), bytesOf(a));
}

/** The revision after this one. */
export function nextRevision(content: KeyRecordContent): number {
  return Math.min(content.revision + 1, revisionMax);
}

/** An envelope of these keys for these recipients (X25519 public keys). */
export function sealEpoch(vaultId: Uint8Array, keys: EpochKeys, recipients: readonly Uint8Array[]): Envelope {
  const plain = encodeEpochKeys(vaultId, keys);
  const boxes = recipients.map((recipient) => ({ recipient, sealed: sealBox(plain, recipient) }));
  wipeBytes(plain);
  return { keyEpoch: keys.keyEpoch, epochId: epochIdOf(vaultId, keys), boxes };
}

/**
 * The keys in an envelope, if one of its boxes is sealed to this pair and holds what the envelope says; else
 * undefined. A damaged box never hides a sound one.
 */
export function openEnvelope(
  vaultId: Uint8Array,
  envelope: Envelope,
  pair: BoxKeyPair,
): EpochKeys | undefined {
  for (const { recipient, sealed } of envelope.boxes) {
    if (!equalBytes(recipient, pair.publicKey)) continue;
    const plain = openBox(sealed, pair);
    if (plain === undefined) continue;
    try {
      const keys = decodeEpochKeys(plain, vaultId);
      if (keys.keyEpoch === envelope.keyEpoch && equalBytes(epochIdOf(vaultId, keys), envelope.epochId))
        return keys;
    } catch (error) {
      if (!(error instanceof KithError)) throw error;
    } finally {
      wipeBytes(plain);
    }
  }
  return undefined;
}
