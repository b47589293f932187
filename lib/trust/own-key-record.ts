import { equalBytes, toHex } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import type { RandomSource } from '../crypto/random.ts';
import { epochIdOf, type EpochKeys } from '../format/epoch-keys.ts';
import {
  decodeKeyRecord,
  encodeKeyRecord,
  keyRecordCovers,
  mergeKeyRecords,
  nextRevision,
  openEnvelope,
  sealEpoch,
  signKeyRecord,
  verifyKeyRecord,
  withOrigin,
} from '../format/key-record.ts';
import type { Envelope, KeyRecordContent } from '../format/key-record.ts';
import type { Revocation } from '../format/revocation.ts';
import { orderEpochs } from './device.ts';
import type { DeviceKeys } from './device.ts';
import { RevokedDevices } from './revocations.ts';

/** Numbers of epochs stay here. */
const keyEpochMax = 0xffffffff;

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

/** Ids (in hex) of epochs that new things may be sealed with, by what is known of revoked devices. */
function soundEpochs({ revocations = [], envelopes }: KeyRecordContent): ReadonlySet<string> {
  const revoked = new RevokedDevices(revocations);
  const sound = envelopes.filter(({ origins }) =>
    revoked.size === 0 ? true : origins?.some(({ deviceId }) => !revoked.has(deviceId)) === true,
  );
  return new Set(sound.map(({ epochId }) => toHex(epochId)));
}

/**
 * All epochs in their order, each once; those come first that nothing new is to be sealed with. Once a device is revoked these are all
 * that no trusted device says it began: a thief's device may have begun one whose number is higher than any.
 */
function epochsOf(
  device: DeviceKeys,
  record: KeyRecordContent,
  found: readonly (EpochKeys | undefined)[],
): readonly EpochKeys[] {
  const { vaultId } = device;
  const all = orderEpochs(vaultId, [...device.epochs, ...found.filter((keys) => keys !== undefined)]);
  const sound = soundEpochs(record);
  const isSound = (keys: EpochKeys): boolean => sound.has(toHex(epochIdOf(vaultId, keys)));
  return [...all.filter((keys) => !isSound(keys)), ...all.filter(isSound)];
}

function opened(device: DeviceKeys, { envelopes }: KeyRecordContent): (EpochKeys | undefined)[] {
  return envelopes.map((envelope) => openEnvelope(device.vaultId, envelope, device.boxKeys));
}

/** The device with every epoch that its key record seals to it: those that another device began since the key store was written. */
export function withEpochsOf(device: DeviceKeys, keyRecord: Uint8Array): DeviceKeys {
  const record = readKeyRecord(device.vaultId, keyRecord);
  return { ...device, epochs: epochsOf(device, record, opened(device, record)) };
}

/** Box keys of the devices that may read what is new, and the phrase's. */
function recipientsOf({ certificates, revocations = [] }: KeyRecordContent): Uint8Array[] {
  const revoked = new RevokedDevices(revocations);
  const trusted = certificates.filter(({ deviceId }) => !revoked.has(deviceId));
  const keys = [
    ...trusted.map(({ boxKey }) => boxKey),
    ...certificates.map(({ recoveryKey }) => recoveryKey),
  ];
  return [...new Map(keys.map((key) => [toHex(key), key])).values()];
}

/**
 * The boxes that devices still lack: one that was linked while another began an epoch is in nobody's envelope of it. A revocation
 * stands in the same record as the epoch that follows it, so a revoked device never gets one here.
 */
function lackingBoxes(device: DeviceKeys, record: KeyRecordContent): Envelope[] {
  const recipients = recipientsOf(record);
  const { vaultId } = device;
  const byId = new Map(device.epochs.map((keys) => [toHex(epochIdOf(vaultId, keys)), keys]));
  return record.envelopes.flatMap((envelope) => {
    const keys = byId.get(toHex(envelope.epochId));
    const has = new Set(envelope.boxes.map(({ recipient }) => toHex(recipient)));
    const lacking = recipients.filter((recipient) => !has.has(toHex(recipient)));
    return keys === undefined || lacking.length === 0 ? [] : [sealEpoch(vaultId, keys, lacking)];
  });
}

/** A device's own key record with more in it, signed anew with the next revision, and the device with the epochs in it. */
export function growKeyRecord(
  device: DeviceKeys,
  ours: Uint8Array,
  more: Partial<Pick<KeyRecordContent, 'certificates' | 'revocations' | 'envelopes'>>,
): NewDevice {
  const own = readKeyRecord(device.vaultId, ours);
  const { certificates = [], revocations = [], envelopes = [] } = more;
  const added = {
    vaultId: device.vaultId,
    revision: own.revision,
    certificates,
    ...(revocations.length > 0 && { revocations }),
    envelopes,
  };
  return sealed(device, mergeKeyRecords(own, added));
}

function sealed(device: DeviceKeys, merged: KeyRecordContent): NewDevice {
  const grown = { ...device, epochs: epochsOf(device, merged, opened(device, merged)) };
  const boxes = lackingBoxes(grown, merged);
  const whole = boxes.length === 0 ? merged : mergeKeyRecords(merged, { ...merged, envelopes: boxes });
  return { device: grown, keyRecord: signedKeyRecord({ ...whole, revision: nextRevision(whole) }, device) };
}

/**
 * Takes what other copies of the key record know into a device's own: their certificates, revocations, and epochs that are sealed to
 * this device. `keyRecord` is `ours` itself where that already had everything, else the union signed by this device.
 * KithError `not-authentic` or `malformed` for a copy that is not genuine; then nothing of it is taken.
 */
export function adoptKeyRecord(device: DeviceKeys, ours: Uint8Array, theirs: Uint8Array): NewDevice {
  const { vaultId } = device;
  const own = readKeyRecord(vaultId, ours);
  const other = readKeyRecord(vaultId, theirs);
  if (equalBytes(ours, theirs) || keyRecordCovers(own, other)) return { device, keyRecord: ours };
  return sealed(device, mergeKeyRecords(own, other));
}

/**
 * A fresh epoch, sealed to the phrase and to every device that isn't revoked: what is sealed from now on, no other device reads. The
 * number is one more than that of any epoch that a trusted device may have begun. KithError `limit-exceeded` where there is none left.
 */
export function beginEpoch(
  device: DeviceKeys,
  ours: Uint8Array,
  options: {
    readonly revocations?: readonly Revocation[];
    readonly random: RandomSource;
    readonly nowNs: () => bigint;
  },
): NewDevice {
  const { vaultId } = device;
  const grown = growKeyRecord(device, ours, { revocations: options.revocations ?? [] });
  const record = readKeyRecord(vaultId, grown.keyRecord);
  const revoked = new RevokedDevices(record.revocations);
  const counted = record.envelopes.filter(
    ({ origins }) => origins === undefined || origins.some(({ deviceId }) => !revoked.has(deviceId)),
  );
  const keyEpoch = counted.reduce((highest, envelope) => Math.max(highest, envelope.keyEpoch), 0) + 1;
  if (keyEpoch > keyEpochMax) throw new KithError('limit-exceeded', 'the numbers of key epochs are used up');
  const keys = freshEpoch(keyEpoch, options);
  const envelope = sealEpoch(vaultId, keys, recipientsOf(record));
  const begun = withOrigin(vaultId, envelope, device.deviceId, device.deviceSecretKey);
  return growKeyRecord(grown.device, grown.keyRecord, { envelopes: [begun] });
}

/** Random keys of an epoch. */
export function freshEpoch(
  keyEpoch: number,
  { random, nowNs }: { readonly random: RandomSource; readonly nowNs: () => bigint },
): EpochKeys {
  return {
    keyEpoch,
    createdNs: nowNs(),
    sealing: random(32),
    catalog: random(32),
    custody: random(32),
    contactSeed: random(32),
  };
}
