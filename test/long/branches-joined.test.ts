import assert from 'node:assert/strict';
import { test } from 'node:test';
import { branchedVault } from '../support/branched-vault.ts';
import { joinsBranches } from '../support/put-back-home.ts';

test('two branches of one log are both kept when drive 2 comes back with the longer one', (t) =>
  joinsBranches(t, 2));

test('joining two branches is done again after a crash at any write of it', async (t) => {
  const diesAt = await branchedVault(t);
  let cuts = 0;
  while (await diesAt(cuts + 1)) cuts++;
  assert.ok(cuts >= 8, `${cuts} cuts`);
});
