import { compareBytes, concatBytes, toHex } from '../base/bytes.ts';
import { safetyHash } from '../crypto/safety-hash.ts';
import { wordsOf } from '../crypto/word-list.ts';

/** 66 bits; why so many is told in docs/formats/invite.md. */
export const safetyWordCount = 6;

/** Pairs whose words are remembered: those of one person's friends, each some 200 bytes. */
const rememberedMax = 1024;

const remembered = new Map<string, Promise<string>>();

/**
 * Words that two friends compare, by telephone say, to see that nobody sits between them: the same whichever identity (32
 * bytes) comes first, with single spaces between them. Some 0.17 s and 64 MiB for a pair that wasn't asked for before.
 */
export async function safetyWords(one: Uint8Array, other: Uint8Array): Promise<string> {
  const [low, high] = compareBytes(one, other) <= 0 ? [one, other] : [other, one];
  const both = concatBytes(low, high);
  const key = toHex(both);
  const known = remembered.get(key);
  if (known !== undefined) return await known;
  if (remembered.size >= rememberedMax) remembered.clear();
  const words = safetyHash(both).then((hash) => wordsOf(hash, safetyWordCount).join(' '));
  remembered.set(key, words);
  words.catch(() => remembered.delete(key));
  return await words;
}
