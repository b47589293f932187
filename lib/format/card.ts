import { compareBytes, idKey } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import {
  certificateBytesMax,
  decodeCertificate,
  encodeCertificate,
  verifyCertificate,
} from './certificate.ts';
import type { Certificate } from './certificate.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { readId, readList, writeBlob, writeId, writeList } from './fields.ts';
import { decodeAddressRecord, encodeAddressRecord, verifyAddressRecord } from './friend-records.ts';
import type { AddressRecord } from './friend-records.ts';
import { decodeRevocation, encodeRevocation, revocationBytesMax, verifyRevocation } from './revocation.ts';
import type { Revocation } from './revocation.ts';

export { decodeAddressBody, encodeAddressBody } from './address-body.ts';
export type { AddressBody, AddressEndpoint } from './address-body.ts';

const magic = 'kithcard';
const version = 1;
const knownExtensions: ReadonlySet<number> = new Set();

/** Bytes of a whole card: it has to fit a friend's record in the catalog, and one message. */
export const cardBytesMax: number = 48 * 1024;

/** Devices that an identity's card names, and devices that it disowns. */
export const cardItemsMax = 64;

/** A body of at most 4096 bytes, and what stands around it. */
const addressRecordBytesMax = 4352;

/** Unsigned, so there is little room for them: what a carrier may add is bounded. */
export const cardExtensionsMax = 16;
export const cardExtensionBytesMax = 256;

/** What is publicly known of an identity (docs/formats/card.md). Nobody has checked it until verifyCard did. */
export interface Card {
  /** The vault id. */
  readonly identity: Uint8Array;
  /** Never none. Ascending by their bytes once decoded or canonical, as are the revocations. */
  readonly certificates: readonly Certificate[];
  readonly revocations: readonly Revocation[];
  /** One a device, ascending by device. */
  readonly addresses: readonly AddressRecord[];
  /** Signed by nobody. */
  readonly extensions: readonly Extension[];
}

function byBytes<T>(items: readonly T[], encode: (item: T) => Uint8Array): T[] {
  const encoded = items.map((item) => ({ item, bytes: encode(item) }));
  encoded.sort((a, b) => compareBytes(a.bytes, b.bytes));
  return encoded
    .filter(({ bytes }, i) => i === 0 || compareBytes(encoded[i - 1]?.bytes ?? bytes, bytes) !== 0)
    .map(({ item }) => item);
}

/** Which of two records of one device counts: positive if it is `a`. Zero only for the very same. */
export function compareAddressRecords(a: AddressRecord, b: AddressRecord): number {
  return a.counter - b.counter || compareBytes(encodeAddressRecord(a), encodeAddressRecord(b));
}

/** The one way to write a set: everything in order and once, of each device the address record that counts. */
export function canonicalCard(card: Card): Card {
  const addresses = new Map<string, AddressRecord>();
  for (const record of card.addresses) {
    const key = idKey(record.deviceId);
    const known = addresses.get(key);
    if (known === undefined || compareAddressRecords(record, known) > 0) addresses.set(key, record);
  }
  return {
    identity: card.identity,
    certificates: byBytes(card.certificates, encodeCertificate),
    revocations: byBytes(card.revocations, encodeRevocation),
    addresses: [...addresses.values()].sort((a, b) => compareBytes(a.deviceId, b.deviceId)),
    extensions: card.extensions,
  };
}

function writeCardExtensions(writer: ByteWriter, extensions: readonly Extension[]): void {
  if (extensions.length > cardExtensionsMax)
    throw new RangeError(`${extensions.length} extensions of a card`);
  for (const { bytes } of extensions) {
    if (bytes.length > cardExtensionBytesMax) throw new RangeError(`${bytes.length} bytes of an extension`);
  }
  writeExtensions(writer, extensions);
}

/** Writes the set in its one order, whatever order it was given in. KithError `limit-exceeded` for one too large. */
export function encodeCard(card: Card): Uint8Array {
  const { identity, certificates, revocations, addresses, extensions } = canonicalCard(card);
  if (certificates.length === 0) throw new RangeError('a card without a certificate');
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, identity);
  writeList(writer, certificates, cardItemsMax, 'devices of a card', (certificate) => {
    writeBlob(writer, encodeCertificate(certificate), certificateBytesMax, 'certificate');
  });
  writeList(writer, revocations, cardItemsMax, 'revocations of a card', (revocation) => {
    writeBlob(writer, encodeRevocation(revocation), revocationBytesMax, 'revocation');
  });
  writeList(writer, addresses, cardItemsMax, 'address records of a card', (record) => {
    writeBlob(writer, encodeAddressRecord(record), addressRecordBytesMax, 'address record');
  });
  writeCardExtensions(writer, extensions);
  if (writer.length > cardBytesMax) {
    throw new KithError('limit-exceeded', `a card of ${writer.length} bytes is too long`);
  }
  return writer.finish();
}

function readSet<T>(
  reader: ByteReader,
  bytesMax: number,
  what: string,
  read: (bytes: Uint8Array) => { readonly value: T; readonly order: Uint8Array },
): T[] {
  let last: Uint8Array | undefined;
  return readList(reader, cardItemsMax, 1, () => {
    const { value, order } = read(reader.blob(bytesMax));
    if (last !== undefined && compareBytes(last, order) >= 0) throw reader.fail(`${what} don't ascend`);
    last = order;
    return value;
  });
}

/** Views into `bytes`, unverified. KithError `malformed` or `too-new`. */
export function decodeCard(bytes: Uint8Array): Card {
  const reader = new ByteReader(bytes, 'card');
  if (bytes.length > cardBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, magic, version);
  const identity = readId(reader);
  const certificates = readSet(reader, certificateBytesMax, 'certificates', (item) => ({
    value: decodeCertificate(item),
    order: item,
  }));
  if (certificates.length === 0) throw reader.fail('names no device');
  const revocations = readSet(reader, revocationBytesMax, 'revocations', (item) => ({
    value: decodeRevocation(item),
    order: item,
  }));
  const addresses = readSet(reader, addressRecordBytesMax, 'address records', (item) => {
    const value = decodeAddressRecord(item);
    return { value, order: value.deviceId };
  });
  const extensions = readExtensions(reader, knownExtensions);
  if (
    extensions.length > cardExtensionsMax ||
    extensions.some(({ bytes: { length } }) => length > cardExtensionBytesMax)
  ) {
    throw reader.fail('extensions are too large');
  }
  reader.end();
  return { identity, certificates, revocations, addresses, extensions };
}

/**
 * KithError `not-authentic` unless every certificate and revocation is signed by the card's identity, and every address
 * record by a device that has a certificate in here, revoked or not. At most some 10 ms.
 */
export function verifyCard(card: Card): void {
  const { identity } = card;
  if (card.certificates.length === 0) {
    throw new KithError('not-authentic', 'the card has no certificate of its identity');
  }
  for (const certificate of card.certificates) verifyCertificate(certificate, identity);
  for (const revocation of card.revocations) verifyRevocation(revocation, identity);
  const certified = new Set(card.certificates.map(({ deviceId }) => idKey(deviceId)));
  for (const record of card.addresses) {
    if (!certified.has(idKey(record.deviceId))) {
      throw new KithError(
        'not-authentic',
        'the card has an address of a device that it has no certificate for',
      );
    }
    verifyAddressRecord(identity, record);
  }
}
