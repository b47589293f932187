import { concatBytes, copyBytes, utf8 } from '../../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../../base/codec.ts';
import { sign, signatureBytes, verifySignature } from '../../crypto/sign.ts';
import { readExtensions, writeExtensions } from '../../format/extensions.ts';
import type { Extension } from '../../format/extensions.ts';
import {
  readId,
  readList,
  writeBlob,
  writeFixed,
  writeId,
  writeList,
  writeText,
} from '../../format/fields.ts';
import type { VersionRange } from '../service.ts';

/** Messages that two devices greet each other with (docs/formats/wire.md). */

const magic = 'kithhell';
const version = 1;
const noneKnown: ReadonlySet<number> = new Set();

/** Bytes of a card in a hello. */
export const cardBytesMax: number = 64 * 1024;
export const runIdBytes = 16;
/** Services in one list. */
export const offerCountMax = 64;
export const serviceNameBytesMax = 64;
/** Versions of one service that a side speaks: each is a name to listen for. */
export const versionCountMax = 64;
const serviceVersionMax = 65535;
const goodbyeCodeBytesMax = 32;
const goodbyeWordsBytesMax = 1024;

/** Who opened the link, and who answered: the number that is signed, and that names a caller's channels. */
export const roleInitiator = 1;
export const roleResponder = 2;

export interface Hello {
  /** 16 random bytes of the process. */
  readonly runId: Uint8Array;
  /** A number that the process counts up with each hello and each offers. */
  readonly moment: number;
  readonly deviceId: Uint8Array;
  readonly card: Uint8Array;
  readonly signature: Uint8Array;
  readonly extensions: readonly Extension[];
}

/** A service that the sender grants to the one it writes to. */
export interface ServiceOffer {
  readonly name: string;
  readonly versions: VersionRange;
}

export interface Offers {
  readonly moment: number;
  /** Ascending by name, each once. */
  readonly services: readonly ServiceOffer[];
  readonly extensions: readonly Extension[];
}

/** Why a link is about to end, for people; the code is for programs. */
export interface Goodbye {
  readonly code: string;
  readonly words: string;
  readonly extensions: readonly Extension[];
}

function signedBytes(handshakeHash: Uint8Array, role: number): Uint8Array {
  return concatBytes(utf8(magic), handshakeHash, new Uint8Array([role]));
}

/** The device's word that it is at this end of this very link. */
export function signHello(handshakeHash: Uint8Array, role: number, deviceSecretKey: Uint8Array): Uint8Array {
  return sign(signedBytes(handshakeHash, role), deviceSecretKey);
}

/** True if the device named in the hello is at that end of this link. */
export function verifyHello(hello: Hello, handshakeHash: Uint8Array, role: number): boolean {
  return verifySignature(signedBytes(handshakeHash, role), hello.signature, hello.deviceId);
}

export function encodeHello(hello: Hello): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeFixed(writer, hello.runId, runIdBytes);
  writer.varint(hello.moment);
  writeId(writer, hello.deviceId);
  writeBlob(writer, hello.card, cardBytesMax, 'card');
  writeFixed(writer, hello.signature, signatureBytes);
  writeExtensions(writer, hello.extensions);
  return writer.finish();
}

/** Fresh bytes, unverified. KithError `malformed` or `too-new`. */
export function decodeHello(bytes: Uint8Array): Hello {
  const reader = new ByteReader(bytes, 'hello');
  readFileHead(reader, magic, version);
  const hello = {
    runId: copyBytes(reader.bytes(runIdBytes)),
    moment: reader.varint(),
    deviceId: copyBytes(readId(reader)),
    card: copyBytes(reader.blob(cardBytesMax)),
    signature: copyBytes(reader.bytes(signatureBytes)),
    extensions: copied(readExtensions(reader, noneKnown)),
  };
  reader.end();
  return hello;
}

/** True for a name that a service may have: lower-case words joined by slashes. */
export function isServiceName(name: string): boolean {
  return name.length <= serviceNameBytesMax && /^[a-z0-9-]+(\/[a-z0-9-]+)+$/.test(name);
}

/** True for versions that may be offered. */
export function isVersionRange({ min, max }: VersionRange): boolean {
  const whole = Number.isInteger(min) && Number.isInteger(max);
  return whole && min >= 1 && min <= max && max <= serviceVersionMax && max - min < versionCountMax;
}

export function encodeOffers(offers: Offers): Uint8Array {
  const writer = new ByteWriter().varint(offers.moment);
  writeList(writer, offers.services, offerCountMax, 'services', ({ name, versions }) => {
    writeText(writer, name, serviceNameBytesMax, 'service name');
    writer.u16(versions.min).u16(versions.max);
  });
  writeExtensions(writer, offers.extensions);
  return writer.finish();
}

export function decodeOffers(bytes: Uint8Array): Offers {
  const reader = new ByteReader(bytes, 'offers');
  const moment = reader.varint();
  let last = '';
  const services = readList(reader, offerCountMax, 6, () => {
    const name = reader.text(serviceNameBytesMax);
    const versions = { min: reader.u16(), max: reader.u16() };
    if (!isServiceName(name)) throw reader.fail('a service without a proper name');
    if (!isVersionRange(versions)) throw reader.fail(`versions ${versions.min} to ${versions.max}`);
    // ASCII: JavaScript's order is that of the bytes.
    if (name <= last) throw reader.fail(`${name} stands after ${last}`);
    last = name;
    return { name, versions };
  });
  const extensions = copied(readExtensions(reader, noneKnown));
  reader.end();
  return { moment, services, extensions };
}

export function encodeGoodbye(goodbye: Goodbye): Uint8Array {
  const writer = new ByteWriter();
  writeText(writer, goodbye.code, goodbyeCodeBytesMax, 'code');
  writeText(writer, goodbye.words, goodbyeWordsBytesMax, 'words');
  writeExtensions(writer, goodbye.extensions);
  return writer.finish();
}

export function decodeGoodbye(bytes: Uint8Array): Goodbye {
  const reader = new ByteReader(bytes, 'goodbye');
  const goodbye = {
    code: reader.text(goodbyeCodeBytesMax),
    words: reader.text(goodbyeWordsBytesMax),
    extensions: copied(readExtensions(reader, noneKnown)),
  };
  reader.end();
  return goodbye;
}

/** A ping or a pong. */
export function encodePing(number: number): Uint8Array {
  return new ByteWriter().u32(number).finish();
}

export function decodePing(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes, 'ping');
  const number = reader.u32();
  reader.end();
  return number;
}

/** The highest version in both ranges, or undefined. */
export function commonVersion(a: VersionRange, b: VersionRange): number | undefined {
  const highest = Math.min(a.max, b.max);
  return highest >= Math.max(a.min, b.min) ? highest : undefined;
}

function copied(extensions: readonly Extension[]): Extension[] {
  return extensions.map(({ tag, bytes }) => ({ tag, bytes: copyBytes(bytes) }));
}
