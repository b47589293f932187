import { isIP } from 'node:net';
import { ByteReader, ByteWriter } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { readExtensions, writeExtensions } from './extensions.ts';
import type { Extension } from './extensions.ts';
import { nameTextBytesMax, readList, writeList, writeText } from './fields.ts';

/** First byte of an address record's body: how the rest is written (docs/formats/card.md). */
export const addressBodyKinds = { clear: 0, sealed: 1 } as const;

const version = 1;
const knownExtensions: ReadonlySet<number> = new Set();

/** Places where one device may be met: a few interfaces, IPv4 and IPv6, a forwarded port. */
export const endpointCountMax = 16;

const hostBytesMax = 255;
const flagDirect = 1;
const flagDht = 2;

/** One place where a device may be met; as lib/net/links/link.ts has it. */
export interface AddressEndpoint {
  /** An IP address, or a name to look up. */
  readonly host: string;
  readonly port: number;
  /** Over TCP. */
  readonly direct: boolean;
  /** Over UDP. */
  readonly dht: boolean;
}

/** What a device says of itself in clear. */
export interface AddressBody {
  /** What the person calls himself or herself; '' if they don't say. As typed: clean it before it is shown. */
  readonly name: string;
  /** Most likely first. */
  readonly endpoints: readonly AddressEndpoint[];
  readonly extensions: readonly Extension[];
}

/** `::`, and `0.0.0.0` written as IPv6, however they are written. */
function isIPv6Everywhere(host: string): boolean {
  const { hostname } = new URL(`http://[${host.replace(/%.*$/, '')}]`);
  return hostname === '[::]' || hostname === '[::ffff:0:0]';
}

/** A name whose last part is a number would be read as an address, in ways of which there are many: `0x0`, `127.1`. */
function isName(host: string): boolean {
  const labels = host.replace(/\.$/, '').split('.');
  return (
    labels.every((label) => /^[0-9A-Za-z_-]{1,63}$/.test(label)) &&
    !/^([0-9]+|0x[0-9a-f]*)$/i.test(labels.at(-1) ?? '')
  );
}

/** True for a text that can be an address or a name to look up, and is a place: not `0.0.0.0` or `::`. */
export function validHost(host: string): boolean {
  if (host.length === 0 || host.length > hostBytesMax || !/^[0-9A-Za-z._:%-]+$/.test(host)) return false;
  switch (isIP(host)) {
    case 4:
      return host !== '0.0.0.0';
    case 6:
      return !isIPv6Everywhere(host);
    default:
      return isName(host);
  }
}

function validPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= 0xffff;
}

/** KithError `limit-exceeded` for a long name or many endpoints; RangeError for an endpoint that can't be one. */
export function encodeAddressBody(body: AddressBody): Uint8Array {
  const writer = new ByteWriter().u8(addressBodyKinds.clear).u16(version);
  writeText(writer, body.name, nameTextBytesMax, 'name');
  writeList(writer, body.endpoints, endpointCountMax, 'endpoints', ({ host, port, direct, dht }) => {
    if (!validHost(host) || !validPort(port) || !(direct || dht)) {
      throw new RangeError(`${host} port ${port} is no endpoint`);
    }
    writeText(writer, host, hostBytesMax, 'host');
    writer.u16(port).u8((direct ? flagDirect : 0) | (dht ? flagDht : 0));
  });
  writeExtensions(writer, body.extensions);
  return writer.finish();
}

function readEndpoint(reader: ByteReader): AddressEndpoint {
  const host = reader.text(hostBytesMax);
  const port = reader.u16();
  const flags = reader.u8();
  if (!validHost(host) || !validPort(port)) throw reader.fail('an endpoint that can be none');
  if (flags === 0 || flags > (flagDirect | flagDht)) throw reader.fail(`flags ${flags} of an endpoint`);
  return { host, port, direct: (flags & flagDirect) !== 0, dht: (flags & flagDht) !== 0 };
}

/** Undefined for a body that is sealed. KithError `malformed` or `too-new`. */
export function decodeAddressBody(bytes: Uint8Array): AddressBody | undefined {
  const reader = new ByteReader(bytes, 'address');
  const kind = reader.u8();
  if (kind === addressBodyKinds.sealed) return undefined;
  if (kind !== addressBodyKinds.clear) throw tooNew(`is of a kind (${kind})`);
  const found = reader.u16();
  if (found === 0) throw reader.fail('version 0');
  if (found > version) throw tooNew(`has a version (${found})`);
  const body = {
    name: reader.text(nameTextBytesMax),
    endpoints: readList(reader, endpointCountMax, 4, () => readEndpoint(reader)),
    extensions: readExtensions(reader, knownExtensions),
  };
  reader.end();
  return body;
}

function tooNew(what: string): KithError {
  return new KithError('too-new', `an address ${what} that this kith doesn't know. Update kith.`);
}
