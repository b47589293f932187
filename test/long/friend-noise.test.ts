import { test } from 'node:test';
import { noiseEndsEveryExchange, usedMachine } from '../support/friend-noise.ts';

test('a friend answers anything with noise: every exchange ends, and nothing of it is believed', async (t) => {
  await noiseEndsEveryExchange(await usedMachine(t), 11, 40);
});
