import { concatBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { openRecord, sealRecord } from '../crypto/aead.ts';
import { deriveKey } from '../crypto/hash.ts';
import type { RandomSource } from '../crypto/random.ts';
import { signKeyPair } from '../crypto/sign.ts';
import {
  appendKeysHead,
  decodeAppendKeys,
  encodeAppendKeys,
  splitAppendKeys,
} from '../format/append-keys.ts';
import { attestLog, type LogRole } from '../format/segment.ts';
import type { DeviceKeys } from '../trust/device.ts';

/** A log that this device appends to. */
export interface AppendLog {
  readonly role: LogRole;
  readonly logKey: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly appendSeed: Uint8Array;
  readonly appendSecretKey: Uint8Array;
  readonly attestation: Uint8Array;
}

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

/** The home's file `current`: which logs this device appends to, sealed with a key of the device. */
export function sealAppendKeys(
  logs: readonly AppendLog[],
  device: DeviceKeys,
  random: RandomSource,
): Uint8Array {
  const head = appendKeysHead();
  const key = deriveKey('currentLogs', device.deviceSecretKey);
  return concatBytes(head, sealRecord(key, head, encodeAppendKeys(logs), random));
}

/** Opens what sealAppendKeys sealed. KithError `damaged` if it doesn't open with this device's key. */
export function openAppendKeys(bytes: Uint8Array, device: DeviceKeys): AppendLog[] {
  const key = deriveKey('currentLogs', device.deviceSecretKey);
  const plain = openRecord(key, appendKeysHead(), splitAppendKeys(bytes));
  if (plain === undefined) {
    throw new KithError('damaged', 'the list of current logs does not open with the keys of this device');
  }
  return decodeAppendKeys(plain).map(({ role, appendSeed }) => appendLogOf(role, appendSeed, device));
}
