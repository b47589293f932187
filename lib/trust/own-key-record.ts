import { equalBytes } from '../base/bytes.ts';
import {
  decodeKeyRecord,
  encodeKeyRecord,
  keyRecordCovers,
  mergeKeyRecords,
  nextRevision,
  openEnvelope,
  signKeyRecord,
  verifyKeyRecord,
} from '../format/key-record.ts';
import type { KeyRecordContent } from '../format/key-record.ts';
import { orderEpochs } from './device.ts';
import type { DeviceKeys } from './device.ts';

/** A device and the key record that names it. */
export interface NewDevice {
  readonly device: DeviceKeys;
  /** Encoded and signed: goes into the log and to every holder. */
  readonly keyRecord: Uint8Array;
}

/** A key record that a device has signed, encoded. */
export function signedKeyRecord(content: KeyRecordContent, device: DeviceKeys): Uint8Array {
  return encodeKeyRecord(signKeyRecord(content, device.deviceId, device.deviceSecretKey));
}

/** The content of a key record that is genuine. KithError `not-authentic`, `malformed`, `too-new`. */
export function readKeyRecord(vaultId: Uint8Array, bytes: Uint8Array): KeyRecordContent {
  const record = decodeKeyRecord(bytes);
  verifyKeyRecord(record, vaultId);
  return record;
}

/** The device with every epoch that its key record seals to it: those that another device began since the key store was written. */
export function withEpochsOf(device: DeviceKeys, keyRecord: Uint8Array): DeviceKeys {
  const { vaultId, boxKeys } = device;
  const found = readKeyRecord(vaultId, keyRecord).envelopes.map((envelope) =>
    openEnvelope(vaultId, envelope, boxKeys),
  );
  const epochs = orderEpochs(vaultId, [...device.epochs, ...found.filter((keys) => keys !== undefined)]);
  return { ...device, epochs };
}

/**
 * Takes what other copies of the key record know into a device's own: their certificates, and epochs that are sealed to
 * this device. `keyRecord` is `ours` itself where that already had everything, else the union signed by this device.
 * KithError `not-authentic` or `malformed` for a copy that is not genuine; then nothing of it is taken.
 */
export function adoptKeyRecord(device: DeviceKeys, ours: Uint8Array, theirs: Uint8Array): NewDevice {
  const { vaultId } = device;
  const own = readKeyRecord(vaultId, ours);
  const other = readKeyRecord(vaultId, theirs);
  if (equalBytes(ours, theirs) || keyRecordCovers(own, other)) return { device, keyRecord: ours };
  const merged = mergeKeyRecords(own, other);
  const found = merged.envelopes.map((envelope) => openEnvelope(vaultId, envelope, device.boxKeys));
  const epochs = orderEpochs(vaultId, [...device.epochs, ...found.filter((keys) => keys !== undefined)]);
  return {
    device: { ...device, epochs },
    keyRecord: signedKeyRecord({ ...merged, revision: nextRevision(merged) }, device),
  };
}
