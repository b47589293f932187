import { deriveKey } from '../crypto/hash.ts';
import type { Context } from '../crypto/hash.ts';
import { Secret, wipeBytes } from '../crypto/secret.ts';
import { boxKeyPair, signKeyPair, wipeKeyPair } from '../crypto/sign.ts';
import type { BoxKeyPair } from '../crypto/sign.ts';

/** What is made from the root, the 32 bytes behind the phrase (docs/formats/keys.md). Nothing here keeps or wipes the root. */

/** Is told of every secret that a call makes and wipes, so that a test can see it zeroed. */
export type SecretWitness = (secret: Secret) => void;

function seedOf(context: Context, root: Secret): Uint8Array {
  return deriveKey(context, root.bytes);
}

/**
 * Lends the identity's secret signing key (64 bytes, in guarded memory) to `use` and zeroes it after, also when `use`
 * throws. `use` is synchronous so that the key never outlives the call.
 */
export function withIdentityKey<T>(
  root: Secret,
  use: (identity: { readonly vaultId: Uint8Array; readonly secretKey: Uint8Array }) => T,
  witness?: SecretWitness,
): T {
  const seed = Secret.take(seedOf('identity', root));
  const pair = signKeyPair(seed.bytes);
  const secretKey = Secret.take(pair.secretKey);
  witness?.(seed);
  witness?.(secretKey);
  try {
    return use({ vaultId: pair.publicKey, secretKey: secretKey.bytes });
  } finally {
    seed.wipe();
    secretKey.wipe();
  }
}

/** The vault id: the identity's public key. */
export function vaultIdOfRoot(root: Secret): Uint8Array {
  return withIdentityKey(root, ({ vaultId }) => vaultId);
}

/** The pair that every epoch is sealed to. The caller wipes it with wipeKeyPair. */
export function recoveryKeysOfRoot(root: Secret): BoxKeyPair {
  const seed = seedOf('recovery', root);
  const pair = boxKeyPair(seed);
  wipeBytes(seed);
  return pair;
}

/** Seed of the doorstep pair, which every device of the identity keeps. */
export function doorstepSeedOfRoot(root: Secret): Uint8Array {
  return seedOf('doorstep', root);
}

/** Public half of the doorstep key. */
export function doorstepKeyOfRoot(root: Secret): Uint8Array {
  const seed = doorstepSeedOfRoot(root);
  const pair = signKeyPair(seed);
  wipeBytes(seed);
  wipeKeyPair(pair);
  return pair.publicKey;
}

/** The two keys that are the same on every device for ever, so that all devices find the same blobs. */
export function dedupKeysOfRoot(root: Secret): { blobIdKey: Uint8Array; cutKey: Uint8Array } {
  return { blobIdKey: seedOf('blobId', root), cutKey: seedOf('cut', root) };
}
