import { KithError, isKithError } from '../base/errors.ts';
import { openRecord, sealRecord } from '../crypto/aead.ts';
import { deriveKey } from '../crypto/hash.ts';
import { passphraseCostsDefault, passphraseKey, passphraseSaltBytes } from '../crypto/passphrase.ts';
import type { PassphraseCosts } from '../crypto/passphrase.ts';
import type { RandomSource } from '../crypto/random.ts';
import { wipeBytes } from '../crypto/secret.ts';
import {
  decodeKeyStore,
  decodeKeyStoreContent,
  encodeKeyStore,
  encodeKeyStoreContent,
  encodeKeyStoreHead,
  keyStoreBytesMax,
  keyStoreKdfs,
} from '../format/key-store.ts';
import type { KeyStoreHead } from '../format/key-store.ts';
import { contentOfDevice, deviceOfContent } from './device.ts';
import type { DeviceKeys } from './device.ts';

const damagedHint = 'Set the home aside and get it back with: kith recover --phrase-file FILE --drive PATH';

async function keyOf(head: KeyStoreHead, passphrase: string): Promise<Uint8Array> {
  const { salt, operations, memoryBytes } = head;
  let stretched: Uint8Array;
  try {
    stretched = await passphraseKey(passphrase, salt, { operations, memoryBytes });
  } catch (cause) {
    if (isKithError(cause)) throw cause;
    throw new KithError(
      'failed',
      `the key store needs ${memoryBytes} bytes of memory to open, and they are not free`,
      {
        cause,
      },
    );
  }
  const key = deriveKey('keystore', stretched);
  wipeBytes(stretched);
  return key;
}

/**
 * The bytes of the key store file. Without a passphrase nothing but the file's mode protects it. With one it takes
 * the time and memory of `costs` (default: half a second, 256 MiB).
 */
export async function sealKeyStore(
  device: DeviceKeys,
  passphrase: string | undefined,
  random: RandomSource,
  costs: PassphraseCosts = passphraseCostsDefault,
): Promise<Uint8Array> {
  const head: KeyStoreHead =
    passphrase === undefined
      ? { kdf: keyStoreKdfs.none, operations: 0, memoryBytes: 0, salt: new Uint8Array(passphraseSaltBytes) }
      : { kdf: keyStoreKdfs.argon2id, ...costs, salt: random(passphraseSaltBytes) };
  const key = passphrase === undefined ? plainKey() : await keyOf(head, passphrase);
  const content = contentOfDevice(device);
  const plain = encodeKeyStoreContent(content);
  try {
    return encodeKeyStore(head, sealRecord(key, encodeKeyStoreHead(head), plain, random));
  } finally {
    wipeBytes(plain);
    wipeBytes(content.deviceSeed);
    wipeBytes(key);
  }
}

function plainKey(): Uint8Array {
  return deriveKey('keystorePlain', new Uint8Array(0));
}

/** True if a key store can't be opened without a passphrase. KithError as openKeyStore. */
export function needsPassphrase(bytes: Uint8Array): boolean {
  return readShape(bytes).head.kdf !== keyStoreKdfs.none;
}

function readShape(bytes: Uint8Array): ReturnType<typeof decodeKeyStore> {
  try {
    return decodeKeyStore(bytes);
  } catch (cause) {
    if (!isKithError(cause, 'malformed')) throw cause;
    throw new KithError('damaged', `the key store is damaged. ${damagedHint}`, { cause });
  }
}

/**
 * The device of a key store file (at most keyStoreBytesMax bytes). A passphrase for a store that has none is not looked at. KithError
 * `wrong-passphrase` with `details.given` false where one is missing, true where it doesn't fit (then the file may also be damaged: nobody
 * can tell the two apart), `damaged`, `too-new`, or `limit-exceeded` for unreasonable costs.
 */
export async function openKeyStore(bytes: Uint8Array, passphrase: string | undefined): Promise<DeviceKeys> {
  const { head, sealed } = readShape(bytes);
  const sealedWithPassphrase = head.kdf !== keyStoreKdfs.none;
  if (sealedWithPassphrase && passphrase === undefined) {
    throw new KithError(
      'wrong-passphrase',
      'the keys of this device are sealed with a passphrase: set KITH_PASSPHRASE or give --passphrase-file FILE',
      { details: { given: false } },
    );
  }
  const key = sealedWithPassphrase && passphrase !== undefined ? await keyOf(head, passphrase) : plainKey();
  const plain = openRecord(key, encodeKeyStoreHead(head), sealed);
  wipeBytes(key);
  if (plain === undefined && sealedWithPassphrase) {
    throw new KithError('wrong-passphrase', 'the passphrase does not open the keys of this device', {
      details: { given: true },
    });
  }
  if (plain === undefined) throw new KithError('damaged', `the key store is damaged. ${damagedHint}`);
  try {
    return deviceOfContent(decodeKeyStoreContent(plain));
  } catch (cause) {
    if (!isKithError(cause, 'malformed', 'not-authentic')) throw cause;
    throw new KithError('damaged', `the key store is damaged. ${damagedHint}`, { cause });
  } finally {
    wipeBytes(plain);
  }
}

export { keyStoreBytesMax };
