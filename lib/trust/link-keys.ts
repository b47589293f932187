import { concatBytes } from '../base/bytes.ts';
import { deriveKey, hashIn } from '../crypto/hash.ts';
import { wipeBytes } from '../crypto/secret.ts';
import { wordsOfHash } from '../crypto/phrase.ts';
import { signKeyPair, type SignKeyPair } from '../crypto/sign.ts';

/** Words that both screens show: 55 bits, and no second try for whoever stands in between. */
const wordCount = 5;

/** The pairs of both ends of a device link: whoever has the link's seed can be either, so people compare words. */
export function linkKeys(seed: Uint8Array): { readonly host: SignKeyPair; readonly guest: SignKeyPair } {
  return { host: pairOf('linkHost', seed), guest: pairOf('linkGuest', seed) };
}

function pairOf(context: 'linkHost' | 'linkGuest', seed: Uint8Array): SignKeyPair {
  const own = deriveKey(context, seed);
  const pair = signKeyPair(own);
  wipeBytes(own);
  return pair;
}

/** The words of one link between two devices: others where somebody stands in between, or either device is another. */
export function linkWords(parts: {
  readonly handshakeHash: Uint8Array;
  readonly vaultId: Uint8Array;
  readonly deviceId: Uint8Array;
  readonly boxKey: Uint8Array;
}): string {
  const { handshakeHash, vaultId, deviceId, boxKey } = parts;
  return wordsOfHash(
    hashIn('linkWords', concatBytes(handshakeHash, vaultId, deviceId, boxKey)),
    wordCount,
  ).join(' ');
}
