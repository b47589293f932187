import assert from 'node:assert/strict';
import { it } from 'node:test';
import { liveCircle } from '../support/live-circle.ts';

const quiet = { skip: process.platform === 'win32' };

it('two who both moved find each other through one who stayed', quiet, async (test) => {
  const [anna, ben, cleo] = await liveCircle(test, ['anna', 'ben', 'cleo']);
  assert.ok(anna !== undefined && ben !== undefined && cleo !== undefined);
  await Promise.all([anna.down(), ben.down()]);
  await Promise.all([anna.up(), ben.up()]);
  await Promise.all([anna.sees(ben, cleo), ben.sees(anna, cleo)]);
});
