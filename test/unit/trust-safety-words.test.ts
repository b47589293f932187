import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wordsOf } from '../../lib/crypto/word-list.ts';
import { safetyWordCount, safetyWords } from '../../lib/trust/safety-words.ts';
import { SamplePerson } from '../support/sample-card.ts';

const ada = new SamplePerson('Ada').identity;
const ben = new SamplePerson('Ben').identity;

test('safety words are the same on both sides, and others for anybody else', async () => {
  const words = await safetyWords(ada, ben);
  assert.equal(await safetyWords(ben, ada), words);
  assert.match(words, /^[a-z]+( [a-z]+)+$/);
  assert.equal(words.split(' ').length, safetyWordCount);
  const altered = ben.slice();
  altered[31] = (altered[31] ?? 0) ^ 1;
  assert.notEqual(await safetyWords(ada, altered), words);
});

test('safety words never change: friends compare those of two versions', async () => {
  assert.equal(await safetyWords(ada, ben), 'uphold receive attitude clog thank scout');
});

test('words stand for eleven bits each, the highest first', () => {
  assert.deepEqual(wordsOf(new Uint8Array([0, 0, 0]), 2), ['abandon', 'abandon']);
  assert.deepEqual(wordsOf(new Uint8Array([0xff, 0xe0, 0x04]), 2), ['zoo', 'ability']);
  assert.throws(() => wordsOf(new Uint8Array(2), 2), RangeError);
});
