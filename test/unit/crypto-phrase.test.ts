import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromHex, toHex } from '../../lib/base/bytes.ts';
import { isKithError, type KithError } from '../../lib/base/errors.ts';
import { nearestWords, newPhrase, phraseWordCount, rootOfPhrase } from '../../lib/crypto/phrase.ts';
import { systemRandom } from '../../lib/crypto/random.ts';

/** The 256-bit vectors of BIP-39 (entropy, phrase). */
const officialVectors: readonly (readonly [string, string])[] = [
  ['00'.repeat(32), 'abandon '.repeat(23) + 'art'],
  [
    '7f'.repeat(32),
    'legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title',
  ],
  [
    '80'.repeat(32),
    'letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless',
  ],
  ['ff'.repeat(32), 'zoo '.repeat(23) + 'vote'],
  [
    '00ac97c48106f0aeb8ba061e0250a559b3251dc35854e694780ba51d53a50120',
    'absent gorilla van acoustic humor firm title dolphin bulk barely citizen recall crane moment aspect appear track phrase actual enforce steel spoon afraid benefit',
  ],
  [
    '3edc83b60740d77af3afa2fcb82c2f1bc541ee4e2518ddef4996d32453f54a3c',
    'disagree tomato unique attend aspect runway solid violin witness scrap armed daring favorite warm decade perfect target kid grant play early wide cigar night',
  ],
  [
    '911fec0fbd88029f6fa99164896c18d898c9232af18bdcca3e42d53b86493104',
    'much youth advance kitchen lens exile salt cram goose enter alert raise milk muscle profit cousin system faint mouse price reveal cause series long',
  ],
];
const [, sample] = officialVectors[5] ?? assert.fail();
const sampleRoot = '3edc83b60740d77af3afa2fcb82c2f1bc541ee4e2518ddef4996d32453f54a3c';
const words = sample.split(' ');

function wrongPhrase(text: string): KithError {
  try {
    rootOfPhrase(text).wipe();
  } catch (error) {
    if (isKithError(error, 'wrong-phrase')) return error;
    throw error;
  }
  return assert.fail(`accepted: ${text}`);
}

void describe('recovery phrase', () => {
  void it('agrees with the vectors of BIP-39, both ways', () => {
    for (const [entropy, phrase] of officialVectors) {
      assert.equal(toHex(rootOfPhrase(phrase).bytes), entropy);
      const made = newPhrase(() => fromHex(entropy) ?? assert.fail());
      assert.equal(made.phrase, phrase);
      assert.equal(toHex(made.root.bytes), entropy);
    }
  });

  void it('a new one has 24 words, is new each time, and gives its root back', () => {
    const one = newPhrase(systemRandom);
    const two = newPhrase(systemRandom);
    assert.equal(one.phrase.split(' ').length, phraseWordCount);
    assert.notEqual(one.phrase, two.phrase);
    assert.deepEqual(rootOfPhrase(one.phrase).bytes, one.root.bytes);
  });

  void it('making one zeroes the entropy it came from', () => {
    const entropy = new Uint8Array(32).fill(7);
    newPhrase(() => entropy);
    assert.deepEqual(entropy, new Uint8Array(32));
  });

  void it('case, line breaks, spaces and numbering do not matter', () => {
    const variants = [
      sample.toUpperCase(),
      `  ${words.join('\n\t ')}\r\n`,
      words.map((word, i) => `${i + 1}. ${word}`).join('\n'),
      words.map((word, i) => `${i + 1}.${word}`).join(' '),
      words.map((word, i) => `${i + 1}) ${word}`).join(' '),
      words.map((word, i) => `${i + 1} ${word}`).join(' '),
      words.map((word, i) => `${i + 1}: ${word}`).join(' '),
    ];
    for (const variant of variants) assert.equal(toHex(rootOfPhrase(variant).bytes), sampleRoot, variant);
  });

  void it('names a word that is not in the list, where it stands, and the nearest ones', () => {
    const error = wrongPhrase(words.with(2, 'uniqe').join(' '));
    assert.match(error.message, /word 3 .*"uniqe".*unique/);
    assert.equal(error.details['position'], 3);
    assert.equal(error.exitCode, 12);
    const numbered = wrongPhrase(
      words
        .with(16, 'targett')
        .map((word, i) => `${i + 1}. ${word}`)
        .join('\n'),
    );
    assert.match(numbered.message, /word 17 .*"targett".*target/);
  });

  void it('finds what was meant', () => {
    for (const [typed, meant] of [
      ['abandn', 'abandon'],
      ['abandonned', 'abandon'],
      ['zooo', 'zoo'],
      ['runwy', 'runway'],
      ['vilin', 'violin'],
      ['witnes', 'witness'],
    ] as const) {
      assert.equal(nearestWords(typed)[0], meant, typed);
    }
    assert.equal(nearestWords('').length, 3);
  });

  void it('a word of a million letters is answered like any other, and not repeated in full', () => {
    const error = wrongPhrase(words.with(0, 'x'.repeat(1e6)).join(' '));
    assert.match(error.message, /word 1 /);
    assert.ok(error.message.length < 300);
  });

  void it('says how many words there are when it is not 24', () => {
    for (const count of [0, 1, 12, 23]) {
      assert.match(
        wrongPhrase(words.slice(0, count).join(' ')).message,
        new RegExp(`24 words; these are ${count}\\.`),
      );
    }
    assert.match(wrongPhrase(`${sample} zoo`).message, /these are 25\./);
  });

  void it('two words swapped, or one that is in the list but wrong, fail the checksum', () => {
    assert.match(wrongPhrase(words.with(0, 'tomato').with(1, 'disagree').join(' ')).message, /checksum/);
    assert.match(wrongPhrase(words.with(23, 'zoo').join(' ')).message, /checksum/);
  });
});
