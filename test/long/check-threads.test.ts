import { test } from 'node:test';
import { sameWhereSpoiled, several, spoils, spread } from '../support/check-on-threads.ts';

test('threads find what one thread finds, whatever damage took of a shard', async (t) => {
  const fixture = await several(t, { drives: spread.n });
  for (const [what, spoil] of Object.entries(spoils)) {
    await t.test(what, () => sameWhereSpoiled(fixture, spoil));
  }
});
