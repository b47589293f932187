import { wordlist } from '@scure/bip39/wordlists/english.js';

const bitsPerWord = 11;

/** The first `count` words that bytes stand for: eleven bits a word, the highest first. RangeError for too few bytes. */
export function wordsOf(bytes: Uint8Array, count: number): string[] {
  if (bytes.length * 8 < count * bitsPerWord)
    throw new RangeError(`${bytes.length} bytes for ${count} words`);
  let bits = 0;
  let bitCount = 0;
  const words: string[] = [];
  for (const byte of bytes) {
    bits = (bits << 8) | byte;
    bitCount += 8;
    if (bitCount < bitsPerWord) continue;
    bitCount -= bitsPerWord;
    words.push(wordlist[bits >> bitCount] ?? '');
    bits &= (1 << bitCount) - 1;
    if (words.length === count) break;
  }
  return words;
}
