import { equalBytes, toHex } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { boxKeyPair, signKeyPair } from '../crypto/sign.ts';
import type { BoxKeyPair, SignKeyPair } from '../crypto/sign.ts';
import { decodeCertificate, verifyCertificate } from '../format/certificate.ts';
import { compareEpochs, epochIdOf } from '../format/epoch-keys.ts';
import type { EpochKeys } from '../format/epoch-keys.ts';
import { extensionOf } from '../format/extensions.ts';
import { keyStoreTags, type KeyStoreContent } from '../format/key-store.ts';

/** All that one device has for the vault (docs/formats/keys.md). Secret: it lives in the key store and in memory. */
export interface DeviceKeys {
  /** The identity's public key. */
  readonly vaultId: Uint8Array;
  /** The device's Ed25519 public key. */
  readonly deviceId: Uint8Array;
  /** 64 bytes as libsodium keeps it; the first 32 are the seed. */
  readonly deviceSecretKey: Uint8Array;
  readonly boxKeys: BoxKeyPair;
  /** What boxKeys are made from. */
  readonly boxSeed: Uint8Array;
  readonly blobIdKey: Uint8Array;
  readonly cutKey: Uint8Array;
  /** Encoded. */
  readonly certificate: Uint8Array;
  /** Those first that nothing new is sealed with, then ascending; the last is the current one. Never empty. */
  readonly epochs: readonly EpochKeys[];
  /** The doorstep's seed, and fields of a newer key store that this kith keeps without knowing them. */
  readonly extensions: KeyStoreContent['extensions'];
}

/**
 * The pair with which a new device of the identity knocks at friends, and by which one's own other devices know it. Undefined for a
 * device that was made before kith kept it.
 */
export function doorstepKeys(device: Pick<DeviceKeys, 'extensions'>): SignKeyPair | undefined {
  const seed = extensionOf(device.extensions, keyStoreTags.doorstepSeed);
  return seed?.length === 32 ? signKeyPair(seed) : undefined;
}

/** A device whose epochs become more while it is in use: whoever has the object sees those that were learned. */
export type LiveDevice = Omit<DeviceKeys, 'epochs'> & { epochs: readonly EpochKeys[] };

/** The epoch to seal with. */
export function currentEpoch(device: DeviceKeys): EpochKeys {
  const current = device.epochs.at(-1);
  if (current === undefined) throw new KithError('damaged', 'this device has no epoch keys');
  return current;
}

/** All keys of an epoch's number, the newest first: more than one if two devices began it at once; none if unknown. */
export function epochKeys(device: DeviceKeys, keyEpoch: number): EpochKeys[] {
  return device.epochs.filter((keys) => keys.keyEpoch === keyEpoch).toReversed();
}

/** Epochs in their order, each once. */
export function orderEpochs(vaultId: Uint8Array, epochs: readonly EpochKeys[]): EpochKeys[] {
  const byId = new Map(epochs.map((keys) => [toHex(epochIdOf(vaultId, keys)), keys]));
  return [...byId.values()].sort(compareEpochs);
}

/** What the key store keeps of a device. */
export function contentOfDevice(device: DeviceKeys): KeyStoreContent {
  const { vaultId, boxSeed, blobIdKey, cutKey, certificate, epochs, extensions } = device;
  const deviceSeed = device.deviceSecretKey.slice(0, 32);
  return { vaultId, deviceSeed, boxSeed, blobIdKey, cutKey, certificate, epochs, extensions };
}

/** The device of what a key store kept. KithError `damaged` if its parts don't belong together. */
export function deviceOfContent(content: KeyStoreContent): DeviceKeys {
  const { vaultId, boxSeed, blobIdKey, cutKey, certificate, extensions } = content;
  const { publicKey, secretKey } = signKeyPair(content.deviceSeed);
  const boxKeys = boxKeyPair(boxSeed);
  const facts = decodeCertificate(certificate);
  verifyCertificate(facts, vaultId);
  if (!equalBytes(facts.deviceId, publicKey) || !equalBytes(facts.boxKey, boxKeys.publicKey)) {
    throw new KithError('damaged', 'the keys of this device and its certificate do not belong together');
  }
  const epochs = orderEpochs(vaultId, content.epochs);
  if (epochs.length === 0) throw new KithError('damaged', 'this device has no epoch keys');
  return {
    vaultId,
    deviceId: publicKey,
    deviceSecretKey: secretKey,
    boxKeys,
    boxSeed,
    blobIdKey,
    cutKey,
    certificate,
    epochs,
    extensions,
  };
}
