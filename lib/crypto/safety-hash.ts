import sodium from 'sodium-native';
import { hashIn } from './hash.ts';

/** What each try costs somebody who looks for two identities with the same words; and us, once a friend is shown. */
const operations = 2;
const memoryBytes: number = 64 * 2 ** 20;

/** 32 bytes of Argon2id (RFC 9106) over public bytes, made to be slow: some 0.17 s on a busy machine, and 64 MiB (docs/formats/invite.md). */
export async function safetyHash(bytes: Uint8Array): Promise<Uint8Array> {
  const hash = new Uint8Array(32);
  const salt = hashIn('safetyWords').slice(0, 16);
  await sodium.crypto_pwhash_async(
    hash,
    bytes,
    salt,
    operations,
    memoryBytes,
    sodium.crypto_pwhash_ALG_ARGON2ID13,
  );
  return hash;
}
