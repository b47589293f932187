import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { KithError } from '../base/errors.ts';
import { openRecord, sealRecord } from '../crypto/aead.ts';
import { deriveKey } from '../crypto/hash.ts';
import type { RandomSource } from '../crypto/random.ts';
import { signKeyPair } from '../crypto/sign.ts';
import { attestLog, logRoles, type LogRole } from '../format/segment.ts';
import type { DeviceKeys } from '../trust/identity.ts';

const magic = 'kithcurr';
const version = 1;

/** A log that this device appends to. */
export interface AppendLog {
  readonly role: LogRole;
  readonly logKey: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly appendSeed: Uint8Array;
  readonly appendSecretKey: Uint8Array;
  readonly attestation: Uint8Array;
}

/** Bytes of the file at most. */
export const appendKeysBytesMax = 4096;

/** A fresh log of a role: its append key is random and attested by the device. */
export function newAppendLog(role: LogRole, device: DeviceKeys, random: RandomSource): AppendLog {
  return appendLogOf(role, random(32), device);
}

function appendLogOf(role: LogRole, appendSeed: Uint8Array, device: DeviceKeys): AppendLog {
  const { publicKey, secretKey } = signKeyPair(appendSeed);
  return {
    role,
    logKey: publicKey,
    deviceId: device.deviceId,
    appendSeed,
    appendSecretKey: secretKey,
    attestation: attestLog(device.vaultId, device.deviceId, publicKey, role, device.deviceSecretKey),
  };
}

function additional(): Uint8Array {
  return fileHead(magic, version);
}

/** The home's file `current` (docs/formats/log.md): which logs this device appends to, sealed with a key of the device. */
export function sealAppendKeys(
  logs: readonly AppendLog[],
  device: DeviceKeys,
  random: RandomSource,
): Uint8Array {
  const plain = new ByteWriter().varint(logs.length);
  for (const log of logs) plain.u8(log.role).bytes(log.appendSeed);
  const key = deriveKey('currentLogs', device.deviceSecretKey);
  return new ByteWriter()
    .bytes(additional())
    .bytes(sealRecord(key, additional(), plain.finish(), random))
    .finish();
}

/** Opens what sealAppendKeys sealed. KithError `damaged` if it doesn't open with this device's key. */
export function openAppendKeys(bytes: Uint8Array, device: DeviceKeys): AppendLog[] {
  const reader = new ByteReader(bytes, 'append keys');
  readFileHead(reader, magic, version);
  const plain = openRecord(deriveKey('currentLogs', device.deviceSecretKey), additional(), reader.rest());
  if (plain === undefined)
    throw new KithError('damaged', 'the list of current logs does not open with the keys of this device');
  const inner = new ByteReader(plain, 'append keys');
  const count = inner.count(16, 33);
  const logs: AppendLog[] = [];
  for (let i = 0; i < count; i++) {
    const role = inner.u8();
    if (role !== logRoles.catalog && role !== logRoles.ledger) throw inner.fail(`role ${role} is not known`);
    logs.push(appendLogOf(role, inner.bytes(32).slice(), device));
  }
  inner.end();
  return logs;
}
