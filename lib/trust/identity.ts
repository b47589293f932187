import { toHex } from '../base/bytes.ts';
import { KithError, isKithError } from '../base/errors.ts';
import { newPhrase, rootOfPhrase } from '../crypto/phrase.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Secret } from '../crypto/secret.ts';
import { boxKeyPair, signKeyPair, wipeKeyPair } from '../crypto/sign.ts';
import { decodeCertificate, encodeCertificate, signCertificate } from '../format/certificate.ts';
import type { Certificate } from '../format/certificate.ts';
import type { EpochKeys } from '../format/epoch-keys.ts';
import { mergeKeyRecords, nextRevision, openEnvelope, sealEpoch } from '../format/key-record.ts';
import type { KeyRecordContent } from '../format/key-record.ts';
import { keyStoreTags } from '../format/key-store.ts';
import { orderEpochs } from './device.ts';
import {
  freshEpoch,
  readKeyRecord,
  signedKeyRecord,
  withEpochsOf,
  type NewDevice,
} from './own-key-record.ts';
import type { DeviceKeys } from './device.ts';
import {
  dedupKeysOfRoot,
  doorstepKeyOfRoot,
  doorstepSeedOfRoot,
  recoveryKeysOfRoot,
  vaultIdOfRoot,
  withIdentityKey,
} from './root-keys.ts';
import type { SecretWitness } from './root-keys.ts';

export { currentEpoch, doorstepKeys, epochKeys } from './device.ts';
export { adoptKeyRecord, withEpochsOf, type NewDevice } from './own-key-record.ts';
export type { DeviceKeys } from './device.ts';
export { vaultIdOfRoot } from './root-keys.ts';

/** What making a device takes. */
export interface DeviceOptions {
  /**
   * The device's name, at most 255 bytes: it stands in the certificate, **which holders can read**. `device` and four digits of its
   * key unless given.
   */
  readonly name?: string;
  readonly random: RandomSource;
  readonly nowNs: () => bigint;
  /** For tests: is told of every secret made from the phrase. All are zeroed when the call has ended. */
  readonly witness?: SecretWitness;
}

/** The identity's certificate for a device's public keys. The root is the caller's to wipe. */
export function certifyDevice(
  root: Secret,
  facts: {
    readonly deviceId: Uint8Array;
    readonly boxKey: Uint8Array;
    readonly name: string;
    readonly createdNs: bigint;
  },
  witness?: SecretWitness,
): Certificate {
  const recovery = recoveryKeysOfRoot(root);
  wipeKeyPair(recovery);
  const doorstepKey = doorstepKeyOfRoot(root);
  return withIdentityKey(
    root,
    ({ vaultId, secretKey }) =>
      signCertificate(
        { vaultId, ...facts, recoveryKey: recovery.publicKey, doorstepKey, extensions: [] },
        secretKey,
      ),
    witness,
  );
}

/** A device that is made and certified, and that no epoch has been opened for yet: it can show who it is, and read nothing. */
export type PreparedDevice = Omit<DeviceKeys, 'epochs'>;

/**
 * A new device of the identity behind the root: random keys, and the identity's certificate. What it takes to come in at friends, before
 * any key record is known; `completeDevice` does the rest. The root is the caller's to wipe.
 */
export function prepareDevice(root: Secret, options: DeviceOptions): PreparedDevice {
  const deviceSeed = options.random(32);
  const boxSeed = options.random(32);
  const { publicKey: deviceId, secretKey: deviceSecretKey } = signKeyPair(deviceSeed);
  const boxKeys = boxKeyPair(boxSeed);
  const name = options.name ?? `device ${toHex(deviceId).slice(0, 4)}`;
  const certificate = certifyDevice(
    root,
    { deviceId, boxKey: boxKeys.publicKey, name, createdNs: options.nowNs() },
    options.witness,
  );
  return {
    vaultId: certificate.vaultId,
    deviceId,
    deviceSecretKey,
    boxKeys,
    boxSeed,
    ...dedupKeysOfRoot(root),
    certificate: encodeCertificate(certificate),
    extensions: [{ tag: keyStoreTags.doorstepSeed, bytes: doorstepSeedOfRoot(root) }],
  };
}

/**
 * A new identity with its first device and epoch 0. The root and the identity's secret key are zeroed before this
 * returns; the phrase is a string that JavaScript can't wipe: show it and let it go.
 */
export function createIdentity(options: DeviceOptions): NewDevice & { readonly phrase: string } {
  const { phrase, root } = newPhrase(options.random);
  options.witness?.(root);
  try {
    const epoch = freshEpoch(0, options);
    const device: DeviceKeys = { ...prepareDevice(root, options), epochs: [epoch] };
    const certificate = decodeCertificate(device.certificate);
    const envelope = sealEpoch(device.vaultId, epoch, [certificate.recoveryKey, certificate.boxKey]);
    const content = {
      vaultId: device.vaultId,
      revision: 1,
      certificates: [certificate],
      envelopes: [envelope],
    };
    return { phrase, device, keyRecord: signedKeyRecord(content, device) };
  } finally {
    root.wipe();
  }
}

/**
 * The union of what is genuine among the records: one damaged drive must not stand in the way of the others. Throws the
 * first refusal if none is, and `too-new` always, since what a newer kith wrote may be what opens the newest packs.
 */
function readKeyRecords(
  vaultId: Uint8Array,
  records: readonly Uint8Array[],
): { known: KeyRecordContent; refused: number } {
  let known: KeyRecordContent | undefined;
  const refusals: KithError[] = [];
  for (const bytes of records) {
    try {
      const record = readKeyRecord(vaultId, bytes);
      known = known === undefined ? record : mergeKeyRecords(known, record);
    } catch (error) {
      if (!isKithError(error) || error.code === 'too-new') throw error;
      refusals.push(error);
    }
  }
  if (known === undefined) {
    throw (
      refusals[0] ??
      new KithError('unknown-identity', 'nobody who was asked knows the identity of this phrase')
    );
  }
  return { known, refused: refusals.length };
}

/** What a recovery gives, and what it had to leave out. */
export interface RecoveredDevice extends NewDevice {
  /** Epochs that the phrase doesn't open: what they seal can't be restored. */
  readonly epochsUnopened: number;
  /** Key records that were not genuine. */
  readonly recordsRefused: number;
}

/**
 * Completes a device with the key records that holders gave, one or several: opens every epoch with the phrase, seals each to the
 * device as well, and signs the union with revision + 1. The root is the caller's to wipe. KithError `not-authentic` or `malformed` if
 * no record is this vault's and genuine, `damaged` if no epoch opens, `unknown-identity` for no record at all.
 */
export function completeDevice(
  root: Secret,
  prepared: PreparedDevice,
  keyRecords: readonly Uint8Array[],
): RecoveredDevice {
  const { vaultId } = prepared;
  const { known, refused } = readKeyRecords(vaultId, keyRecords);
  const recovery = recoveryKeysOfRoot(root);
  let found: (EpochKeys | undefined)[];
  try {
    found = known.envelopes.map((envelope) => openEnvelope(vaultId, envelope, recovery));
  } finally {
    wipeKeyPair(recovery);
  }
  const epochs = orderEpochs(
    vaultId,
    found.filter((keys) => keys !== undefined),
  );
  if (epochs.length === 0) {
    throw new KithError('damaged', 'the key record holds no epoch that this phrase opens; try another drive');
  }
  const device: DeviceKeys = { ...prepared, epochs };
  const certificate = decodeCertificate(device.certificate);
  const added: KeyRecordContent = {
    vaultId,
    revision: nextRevision(known),
    certificates: [certificate],
    envelopes: epochs.map((keys) => sealEpoch(vaultId, keys, [certificate.boxKey])),
  };
  const keyRecord = signedKeyRecord(mergeKeyRecords(known, added), device);
  return {
    device: withEpochsOf(device, keyRecord),
    keyRecord,
    epochsUnopened: found.filter((keys) => keys === undefined).length,
    recordsRefused: refused,
  };
}

/** A new device of the identity behind the root, made and completed in one step. Errors as completeDevice. */
export function recoverDevice(
  root: Secret,
  keyRecord: Uint8Array | readonly Uint8Array[],
  options: DeviceOptions,
): RecoveredDevice {
  const records = keyRecord instanceof Uint8Array ? [keyRecord] : keyRecord;
  // No certificate is made for a vault that nobody knows.
  readKeyRecords(vaultIdOfRoot(root), records);
  return completeDevice(root, prepareDevice(root, options), records);
}

/**
 * Recovers from a typed phrase: learns the vault id from it, asks for key records of that vault, and makes a new device.
 * The root is zeroed whatever happens. KithError `wrong-phrase` for a phrase that can't be one, `unknown-identity` if
 * there is no key record.
 */
export async function recoverIdentity(
  options: DeviceOptions & {
    readonly phrase: string;
    readonly keyRecordsFor: (vaultId: Uint8Array) => Promise<readonly Uint8Array[]>;
  },
): Promise<RecoveredDevice> {
  const root = rootOfPhrase(options.phrase);
  options.witness?.(root);
  try {
    return recoverDevice(root, await options.keyRecordsFor(vaultIdOfRoot(root)), options);
  } finally {
    root.wipe();
  }
}
