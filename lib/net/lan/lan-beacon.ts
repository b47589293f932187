import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { KithError } from '../../base/errors.ts';

/** A packet to friends in the same local network (docs/formats/beacon.md). */

export const beaconVersion = 1;
export const beaconSaltBytes = 16;
export const beaconEntryBytes = 18;

/** Entries of every packet: a packet says nothing of how many friends there are, and is far below what a network carries in one. */
export const beaconEntryCount = 32;

export const beaconBytes: number = 1 + beaconSaltBytes + 4 + beaconEntryCount * beaconEntryBytes;

export interface Beacon {
  /** 16 bytes. */
  readonly salt: Uint8Array;
  /** Hours since 1970. */
  readonly hour: number;
  /** 32 of 18 bytes each; of those not needed random bytes. */
  readonly entries: readonly Uint8Array[];
}

/** A fresh array of `beaconBytes`. RangeError for another number of entries or another length. */
export function encodeBeacon({ salt, hour, entries }: Beacon): Uint8Array {
  const fits = entries.every(({ length }) => length === beaconEntryBytes);
  if (salt.length !== beaconSaltBytes || entries.length !== beaconEntryCount || !fits) {
    throw new RangeError('a beacon has one salt and a fixed number of entries');
  }
  const writer = new ByteWriter().u8(beaconVersion).bytes(salt).u32(hour);
  for (const entry of entries) writer.bytes(entry);
  return writer.finish();
}

/** Its arrays are views into `bytes`. KithError `too-new` for another version, `malformed` for another length. */
export function decodeBeacon(bytes: Uint8Array): Beacon {
  const reader = new ByteReader(bytes, 'beacon');
  const version = reader.u8();
  if (version !== beaconVersion) {
    throw version > beaconVersion
      ? new KithError('too-new', `a beacon of version ${version}`)
      : reader.fail('no version');
  }
  const salt = reader.bytes(beaconSaltBytes);
  const hour = reader.u32();
  const entries = Array.from({ length: beaconEntryCount }, () => reader.bytes(beaconEntryBytes));
  reader.end();
  return { salt, hour, entries };
}
