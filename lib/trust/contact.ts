import { isKithError } from '../base/errors.ts';
import { deriveKey } from '../crypto/hash.ts';
import { boxKeyPair, type BoxKeyPair } from '../crypto/sign.ts';
import { wipeBytes } from '../crypto/secret.ts';
import {
  compareContactKeys,
  contactKeysMax,
  decodeContactKeys,
  encodeContactKeys,
  type ContactKey,
} from '../format/contact-keys.ts';
import { compareEpochs, type EpochKeys } from '../format/epoch-keys.ts';
import { extensionOf, withExtension, type Extension } from '../format/extensions.ts';
import { visibilityOf, type Visibility } from './visibility.ts';

/** Tag of a friend record's contact keys (docs/formats/cards-service.md). */
export const contactKeysTag = 2;

/** The pair that addresses are sealed to while an epoch lasts. */
export function contactPairOf(epoch: Pick<EpochKeys, 'contactSeed'>): BoxKeyPair {
  const seed = deriveKey('contact', epoch.contactSeed);
  const pair = boxKeyPair(seed);
  wipeBytes(seed);
  return pair;
}

/** What a friend of that visibility is given of our epochs, which ascend; a key costs some 50 µs. */
export function contactKeysFor(epochs: readonly EpochKeys[], visibility: Visibility): ContactKey[] {
  if (visibility === 'no') return [];
  const current = epochs.at(-1);
  if (current === undefined) return [];
  // The current one is the last, whatever its number: one with a higher number is a thief's, from before the thief was revoked.
  const sound = epochs.filter((epoch) => compareEpochs(epoch, current) <= 0);
  const keys = sound.slice(-contactKeysMax).map((epoch) => {
    const { publicKey, secretKey } = contactPairOf(epoch);
    const { keyEpoch, createdNs } = epoch;
    return { keyEpoch, createdNs, publicKey, secretKey: visibility === 'yes' ? secretKey : undefined };
  });
  return keys.sort(compareContactKeys);
}

/** The contact keys that a friend's record has; none where it has none, or were taken back, or what it has can't be read. */
export function storedContactKeys(extensions: readonly Extension[]): ContactKey[] {
  const bytes = extensionOf(extensions, contactKeysTag);
  if (bytes === undefined) return [];
  try {
    return decodeContactKeys(bytes);
  } catch (error) {
    if (isKithError(error)) return [];
    throw error;
  }
}

/** The pairs among them: what others sealed to the friend's contact keys can be opened with these. */
export function contactPairs(keys: readonly ContactKey[]): BoxKeyPair[] {
  return keys.flatMap(({ publicKey, secretKey }) =>
    secretKey === undefined ? [] : [{ publicKey, secretKey }],
  );
}

/**
 * A friend record's extensions with what the friend gives now, in a session; undefined where they stay as they are: it says nothing new, or
 * it comes from a device that hasn't heard of the friend's newest epoch. That nothing is given stays written, as an empty list.
 */
export function withContactKeys(
  extensions: readonly Extension[],
  given: readonly ContactKey[],
): Extension[] | undefined {
  const known = storedContactKeys(extensions).at(-1);
  const newest = given.at(-1);
  if (known !== undefined && newest !== undefined && compareContactKeys(newest, known) < 0) return undefined;
  const bytes = encodeContactKeys(given);
  const before = extensionOf(extensions, contactKeysTag);
  if (before !== undefined && Buffer.compare(before, bytes) === 0) return undefined;
  return withExtension(extensions, contactKeysTag, bytes);
}

/**
 * The same for what a letter gives, which may come long after what its writer said since: where nothing is known of the friend's keys, or
 * for an epoch that is later than all that is known. What was taken back stays so until the friend says otherwise in a session.
 */
export function withContactKeysOfLetter(
  extensions: readonly Extension[],
  given: readonly ContactKey[],
): Extension[] | undefined {
  const known = storedContactKeys(extensions).at(-1);
  const newest = given.at(-1);
  if (newest === undefined) return known === undefined ? undefined : withContactKeys(extensions, given);
  const isTold = extensionOf(extensions, contactKeysTag) !== undefined;
  if (isTold && (known === undefined || compareContactKeys(newest, known) <= 0)) return undefined;
  return withContactKeys(extensions, given);
}

/** The same for a record: what it gives to the friend, by its visibility. */
export function contactKeysForRecord(
  epochs: readonly EpochKeys[],
  record: { readonly extensions: readonly Extension[] },
): ContactKey[] {
  return contactKeysFor(epochs, visibilityOf(record.extensions));
}
