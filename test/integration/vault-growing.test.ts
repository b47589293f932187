import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noise } from '../support/noise.ts';
import { VaultFixture } from '../support/vault-fixture.ts';

const files = { 'photo.raw': noise(1, 300_000) };

/** Folders above the source may change meanwhile, and are stored then: far less than the file. */
const folderBytesMax = 100_000;

test('what was kept only once is stored again as soon as there are disks for more', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, files });
  assert.equal((await fixture.backup()).summary.tolerates, 0);
  await fixture.use(async (vault) => {
    await fixture.addDrive(vault);
    await fixture.addDrive(vault);
  });
  const grown = (await fixture.backup()).summary;
  assert.deepEqual(grown.spread, { k: 1, n: 3 });
  assert.ok(grown.dataAdded >= 300_000);
  assert.equal(grown.tolerates, 2);
  const again = (await fixture.backup()).summary;
  assert.ok(again.dataAdded < folderBytesMax, 'once is enough');
  assert.equal(again.tolerates, 2);
  await fixture.unplug(0, 1);
  await fixture.restoresTo();
});

test('a backup that itself asks for one copy takes what there is', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 1 }, files });
  await fixture.backup();
  assert.ok((await fixture.backup()).summary.dataAdded < folderBytesMax);
});
