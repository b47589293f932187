import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { KithError } from '../base/errors.ts';
import { Secret, wipeBytes } from './secret.ts';
import type { RandomSource } from './random.ts';

/** Words of a recovery phrase (BIP-39, English, 256 bits). */
export const phraseWordCount = 24;

/** A fresh phrase and its root. The phrase is a string, which JavaScript can't wipe: show it and let it go. */
export function newPhrase(random: RandomSource): { phrase: string; root: Secret } {
  const entropy = random(32);
  const phrase = entropyToMnemonic(entropy, wordlist);
  return { phrase, root: Secret.take(entropy) };
}

/** The longest word of the list has eight letters: what is this long is near to none, and could take for ever to compare. */
const typedWordLengthMax = 32;

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Up to three words of the list that are nearest to a mistyped one. */
export function nearestWords(word: string): string[] {
  const scored = wordlist.map((candidate) => ({
    candidate,
    // The first four letters of every BIP-39 word are unique: whoever got them right meant that word.
    score: editDistance(word, candidate) - (candidate.slice(0, 4) === word.slice(0, 4) ? 2 : 0),
  }));
  scored.sort((a, b) => a.score - b.score || (a.candidate < b.candidate ? -1 : 1));
  return scored.slice(0, 3).map((entry) => entry.candidate);
}

/**
 * The root of a typed phrase. Case, line breaks, extra spaces and numbering ("1. abandon") don't matter.
 * KithError `wrong-phrase` names a word that isn't in the list with its nearest, a wrong count, or a failed checksum.
 */
export function rootOfPhrase(text: string): Secret {
  const words = text
    .normalize('NFKD')
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '' && !/^\d+[.):]?$/.test(word))
    .map((word) => word.replace(/^\d+[.):]/, ''));
  for (const [index, word] of words.entries()) {
    if (wordlist.includes(word)) continue;
    const shown = word.slice(0, typedWordLengthMax);
    const near = nearestWords(shown);
    throw new KithError(
      'wrong-phrase',
      `word ${index + 1} of the phrase, "${shown}", is not in the list. Nearest: ${near.join(', ')}.`,
      { details: { word: shown, position: index + 1, nearest: near } },
    );
  }
  if (words.length !== phraseWordCount) {
    throw new KithError(
      'wrong-phrase',
      `a recovery phrase has ${phraseWordCount} words; these are ${words.length}.`,
    );
  }
  let entropy: Uint8Array;
  try {
    entropy = mnemonicToEntropy(words.join(' '), wordlist);
  } catch (cause) {
    throw new KithError(
      'wrong-phrase',
      'one of the 24 words is wrong or stands in the wrong place: each is in the list, but together they fail their checksum. Compare them with the sheet, one by one.',
      { cause },
    );
  }
  const root = Secret.take(entropy);
  wipeBytes(entropy);
  return root;
}

/** Words of the same list that stand for the beginning of a hash, 11 bits each: for people to compare. */
export function wordsOfHash(hash: Uint8Array, count: number): string[] {
  let bits = 0n;
  for (const byte of hash) bits = (bits << 8n) | BigInt(byte);
  const total = BigInt(hash.length * 8);
  return Array.from({ length: count }, (_, i) => {
    const index = Number((bits >> (total - 11n * BigInt(i + 1))) & 2047n);
    return wordlist[index] ?? '';
  });
}
