import sodium from 'sodium-native';
import { KithError } from '../base/errors.ts';
import { utf8 } from '../base/bytes.ts';

/** How a passphrase becomes a key: Argon2id (RFC 9106) with these costs. */
export interface PassphraseCosts {
  readonly operations: number;
  readonly memoryBytes: number;
}

/** libsodium's "moderate": about half a second and 256 MiB. */
export const passphraseCostsDefault: PassphraseCosts = { operations: 3, memoryBytes: 256 * 2 ** 20 };

/** A file that asks for more than this is hostile, or from a machine that this one can't follow. */
const operationsMax = 64;
const memoryBytesMax = 4 * 2 ** 30;

export const passphraseSaltBytes = 16;

/** The 32-byte key of a passphrase. Takes the time and memory that the costs say. */
export async function passphraseKey(
  passphrase: string,
  salt: Uint8Array,
  costs: PassphraseCosts,
): Promise<Uint8Array> {
  const { operations, memoryBytes } = costs;
  if (operations < 1 || operations > operationsMax || memoryBytes < 8192 || memoryBytes > memoryBytesMax) {
    throw new KithError('limit-exceeded', 'the key store asks for unreasonable passphrase costs');
  }
  const key = new Uint8Array(32);
  const text = utf8(passphrase.normalize('NFC'));
  await sodium.crypto_pwhash_async(
    key,
    text,
    salt,
    operations,
    memoryBytes,
    sodium.crypto_pwhash_ALG_ARGON2ID13,
  );
  return key;
}
