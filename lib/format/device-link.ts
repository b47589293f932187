import { copyBytes, equalBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { hashIn } from '../crypto/hash.ts';
import { decodeAddressBody, encodeAddressBody, type AddressEndpoint } from './address-body.ts';
import { fromBase32, toBase32 } from './line-text.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { readId, writeBlob, writeId } from './fields.ts';

const magic = 'kithjoin';
const version = 1;
const addressBytesMax = 4096;
const knownExtensions: ReadonlySet<number> = new Set();
const checksumBytes = 4;

/** What the text of a link begins with. */
export const linkTextPrefix = 'kith:link:';

/** Bytes of a link: its addresses are most of it. */
const linkBytesMax = 6144;

const lettersMax: number = Math.ceil(((linkBytesMax + checksumBytes) * 8) / 5);

/** What a new device of an identity is let in with, once (docs/formats/device-link.md). Secret until it is used or expires. */
export interface DeviceLink {
  /** 32 random bytes that both ends make their keys from. */
  readonly seed: Uint8Array;
  /** The identity. */
  readonly vaultId: Uint8Array;
  /** By the clock of the device that made it. */
  readonly expiresNs: bigint;
  /** What the identity calls itself, for people. */
  readonly name: string;
  /** Where the device that made it waits, over TCP. */
  readonly endpoints: readonly AddressEndpoint[];
  readonly extensions: readonly Extension[];
}

export function encodeDeviceLink(link: DeviceLink): Uint8Array {
  const writer = new ByteWriter().bytes(fileHead(magic, version));
  writeId(writer, link.seed);
  writeId(writer, link.vaultId);
  writer.i64(link.expiresNs);
  const address = encodeAddressBody({ name: link.name, endpoints: link.endpoints, extensions: [] });
  writeBlob(writer, address, addressBytesMax, 'addresses of a link');
  writeExtensions(writer, link.extensions);
  return writer.finish();
}

/** Fresh bytes. KithError `malformed` or `too-new`. */
export function decodeDeviceLink(bytes: Uint8Array): DeviceLink {
  const reader = new ByteReader(bytes, 'device link');
  if (bytes.length > linkBytesMax) throw reader.fail(`${bytes.length} bytes are too long`);
  readFileHead(reader, magic, version);
  const seed = copyBytes(readId(reader));
  const vaultId = copyBytes(readId(reader));
  const expiresNs = reader.i64();
  const address = decodeAddressBody(reader.blob(addressBytesMax));
  if (address === undefined || address.extensions.length > 0) throw reader.fail('no addresses in clear');
  const extensions = readExtensions(reader, knownExtensions).map(({ tag, bytes: field }) => ({
    tag,
    bytes: copyBytes(field),
  }));
  reader.end();
  return { seed, vaultId, expiresNs, name: address.name, endpoints: address.endpoints, extensions };
}

function checksumOf(bytes: Uint8Array): Uint8Array {
  return hashIn('linkText', bytes).subarray(0, checksumBytes);
}

function refuse(why: string): KithError {
  return new KithError('malformed', why, { details: { what: 'link' } });
}

/** The link as one line of text, without a line break, in lower case. */
export function encodeLinkText(link: DeviceLink): string {
  const bytes = encodeDeviceLink(link);
  return linkTextPrefix + toBase32(bytes, checksumOf(bytes));
}

/** Takes either case and white space anywhere. KithError `malformed`, saying what seems to be wrong, or `too-new`. */
export function decodeLinkText(text: string): DeviceLink {
  if (text.length > 2 * (linkTextPrefix.length + lettersMax))
    throw refuse('this text is far too long for a link');
  // Only ASCII is folded: toLowerCase would make a k of the Kelvin sign.
  const folded = text.replace(/\s+/g, '').replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (!folded.startsWith(linkTextPrefix)) {
    throw refuse(`this is no link; the line that kith device link prints begins with ${linkTextPrefix}`);
  }
  const letters = folded.slice(linkTextPrefix.length);
  if (/[^a-z2-7]/.test(letters))
    throw refuse('the link has a character that no link has; copy the whole line again');
  const whole = letters.length > lettersMax ? undefined : fromBase32(letters);
  if (whole === undefined || whole.length <= checksumBytes) {
    throw refuse('the link is cut short or a letter of it is lost; copy the whole line again');
  }
  const bytes = whole.slice(0, -checksumBytes);
  if (!equalBytes(checksumOf(bytes), whole.subarray(-checksumBytes))) {
    throw refuse('the link is cut short, or letters of it were changed or lost; copy the whole line again');
  }
  return decodeDeviceLink(bytes);
}
