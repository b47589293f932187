import { compareBytes, equalBytes, idKey } from '../base/bytes.ts';
import { KithError, isKithError } from '../base/errors.ts';
import { decodeAddressBody } from '../format/address-body.ts';
import type { AddressBody, AddressEndpoint } from '../format/address-body.ts';
import { canonicalCard, cardExtensionsMax, cardItemsMax, decodeCard, encodeCard } from '../format/card.ts';
import type { Card } from '../format/card.ts';
import { decodeCertificate, encodeCertificate } from '../format/certificate.ts';
import type { Certificate } from '../format/certificate.ts';
import type { Extension } from '../format/extensions.ts';
import type { AddressRecord } from '../format/friend-records.ts';
import { decodeKeyRecord } from '../format/key-record.ts';
import type { Revocation } from '../format/revocation.ts';

/** Oldest first; of one moment in the order of their bytes. */
function compareCertificates(a: Certificate, b: Certificate): number {
  if (a.createdNs !== b.createdNs) return a.createdNs < b.createdNs ? -1 : 1;
  return compareBytes(encodeCertificate(a), encodeCertificate(b));
}

/** As many as a card may name, each once: the newest. */
function newestCertificates(certificates: readonly Certificate[]): Certificate[] {
  const byBytes = new Map(certificates.map((item) => [idKey(encodeCertificate(item)), item]));
  return [...byBytes.values()].sort(compareCertificates).slice(-cardItemsMax);
}

function compareExtensions(a: Extension, b: Extension): number {
  return a.bytes.length - b.bytes.length || compareBytes(a.bytes, b.bytes);
}

function mergeExtensions(a: readonly Extension[], b: readonly Extension[]): Extension[] {
  const byTag = new Map<number, Extension>();
  for (const field of [...a, ...b]) {
    const known = byTag.get(field.tag);
    if (known === undefined || compareExtensions(field, known) > 0) byTag.set(field.tag, field);
  }
  return [...byTag.values()].sort((x, y) => x.tag - y.tag).slice(0, cardExtensionsMax);
}

/**
 * What either card knows (docs/formats/card.md): commutative, associative and idempotent for cards that verifyCard takes.
 * It shares bytes with both. RangeError for cards of two identities; KithError `limit-exceeded` where the union is too large.
 */
export function mergeCards(a: Card, b: Card): Card {
  if (!equalBytes(a.identity, b.identity)) throw new RangeError('cards of two identities');
  const certificates = newestCertificates([...a.certificates, ...b.certificates]);
  const certified = new Set(certificates.map(({ deviceId }) => idKey(deviceId)));
  const merged = canonicalCard({
    identity: a.identity,
    certificates,
    revocations: [...a.revocations, ...b.revocations],
    addresses: [...a.addresses, ...b.addresses].filter(({ deviceId }) => certified.has(idKey(deviceId))),
    extensions: mergeExtensions(a.extensions, b.extensions),
  });
  encodeCard(merged);
  return merged;
}

/** True if `a` knows all that `b` does: merging would change nothing. */
export function cardCovers(a: Card, b: Card): boolean {
  try {
    return equalBytes(encodeCard(mergeCards(a, b)), encodeCard(a));
  } catch (error) {
    // The union is too large, so there is something in `b` that `a` lacks.
    if (isKithError(error, 'limit-exceeded')) return false;
    throw error;
  }
}

/**
 * The card of one's own identity, as this device knows it: the certificates of the vault's key record and the device's own. KithError
 * `malformed` for a key record that is none; both are taken as verified.
 */
export function ownCard(own: {
  readonly identity: Uint8Array;
  /** The device's, encoded. */
  readonly certificate: Uint8Array;
  /** Encoded. */
  readonly keyRecord: Uint8Array;
  readonly revocations?: readonly Revocation[];
  readonly address: AddressRecord | undefined;
}): Card {
  const certificate = decodeCertificate(own.certificate);
  const others = decodeKeyRecord(own.keyRecord).certificates;
  const deviceOnly = {
    identity: own.identity,
    certificates: [certificate],
    revocations: own.revocations ?? [],
    addresses: own.address === undefined ? [] : [own.address],
    extensions: [],
  };
  const all = { ...deviceOnly, certificates: newestCertificates([certificate, ...others]) };
  return mergeCards(deviceOnly, all);
}

/** What a verified key record says that a card says too: devices and revocations. Undefined where it names no device. */
export function cardOfKeyRecord(keyRecord: Uint8Array): Card | undefined {
  const { vaultId, certificates, revocations = [] } = decodeKeyRecord(keyRecord);
  const newest = newestCertificates(certificates);
  if (newest.length === 0) return undefined;
  return canonicalCard({
    identity: vaultId,
    certificates: newest,
    revocations,
    addresses: [],
    extensions: [],
  });
}

/** A card with nothing in it but one device, as it says of itself; both encoded. */
export function cardOfDevice(card: Uint8Array, deviceId: Uint8Array): Uint8Array {
  const whole = decodeCard(card);
  return encodeCard({
    ...whole,
    certificates: whole.certificates.filter((each) => equalBytes(each.deviceId, deviceId)),
    revocations: [],
    addresses: whole.addresses.filter((each) => equalBytes(each.deviceId, deviceId)),
    extensions: [],
  });
}

/** A device that belongs to the card's identity. */
export interface CardDevice {
  readonly deviceId: Uint8Array;
  /** As its newest certificate has it; clean it before it is shown. */
  readonly name: string;
  /** The record of it that counts, if there is one: then the device itself has said that it is of this identity. */
  readonly address: AddressRecord | undefined;
}

/** Certificates of the devices that belong to the card's identity, the newest last. */
export function certificatesOf(card: Card): Certificate[] {
  const revoked = new Set(card.revocations.map(({ deviceId }) => idKey(deviceId)));
  return [...card.certificates]
    .sort(compareCertificates)
    .filter(({ deviceId }) => !revoked.has(idKey(deviceId)));
}

/** Certified and not revoked; those with the newest address record first. */
export function devicesOf(card: Card): CardDevice[] {
  const revoked = new Set(card.revocations.map(({ deviceId }) => idKey(deviceId)));
  const addresses = new Map(card.addresses.map((record) => [idKey(record.deviceId), record]));
  const devices = new Map<string, CardDevice>();
  for (const { deviceId, name } of [...card.certificates].sort(compareCertificates)) {
    const key = idKey(deviceId);
    if (!revoked.has(key)) devices.set(key, { deviceId, name, address: addresses.get(key) });
  }
  return [...devices.values()].sort(
    (a, b) => (b.address?.counter ?? -1) - (a.address?.counter ?? -1) || compareBytes(a.deviceId, b.deviceId),
  );
}

/** What a record says in clear; undefined for a sealed one, and for one that this kith can't read. */
export function bodyOf(record: AddressRecord): AddressBody | undefined {
  try {
    return decodeAddressBody(record.sealed);
  } catch (error) {
    if (isKithError(error, 'malformed', 'too-new')) return undefined;
    throw error;
  }
}

/** Where a device of the card says it can be met, most likely first; none if it doesn't belong to the identity. */
export function endpointsOf(card: Card, deviceId: Uint8Array): readonly AddressEndpoint[] {
  const device = devicesOf(card).find((candidate) => equalBytes(candidate.deviceId, deviceId));
  return device?.address === undefined ? [] : (bodyOf(device.address)?.endpoints ?? []);
}

/** Text of a stranger made fit for one line of a terminal: no control, format or bidi characters, single spaces. */
export function cleanName(name: string): string {
  return name
    .replace(/[\p{Zl}\p{Zp}\p{Zs}\t\n\r]+/gu, ' ')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}]/gu, '')
    .replace(/ +/g, ' ')
    .trim();
}

/** What the person calls himself or herself in the newest address record that can be read; '' if none says. */
export function nameOfCard(card: Card): string {
  for (const { address } of devicesOf(card)) {
    const name = address === undefined ? '' : cleanName(bodyOf(address)?.name ?? '');
    if (name !== '') return name;
  }
  return '';
}

/** The key with which a new device of the identity knocks: that of the newest certificate. */
export function doorstepKeyOf(card: Card): Uint8Array {
  const newest = [...card.certificates].sort(compareCertificates).at(-1);
  if (newest === undefined) throw new KithError('malformed', 'a card names no device');
  return newest.doorstepKey;
}
