import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { damageBookBytesMax } from '../../lib/vault/shards/damage-book.ts';
import { filesBelow, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 1, n: 2 };

void test("opening a home removes a dead write's leftovers from tmp/ and nothing else", async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  const folder = join(fixture.home, 'tmp');
  const mine = join(folder, 'notes.tmp');
  await writeFile(mine, 'mine');
  await writeFile(join(folder, '3f0e6a1c-58d1-4c0e-9d55-0b8a3f6f7c21.tmp'), 'half');
  await fixture.use(() => Promise.resolve());
  assert.deepEqual(await filesBelow(folder), [mine]);
});

void test('a list of bad shards that is too long is told and keeps nobody from their vault', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await writeFile(join(fixture.home, 'damaged'), '');
  await truncate(join(fixture.home, 'damaged'), damageBookBytesMax + 1);
  const { summary, problems } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.deepEqual(
    problems.map(({ item, code }) => [item, code]),
    [[join(fixture.home, 'damaged'), 'limit-exceeded']],
  );
  await fixture.restoresTo();
});
