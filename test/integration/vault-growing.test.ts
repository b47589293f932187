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

test('repair puts further copies of an old snapshot that was kept once where there are disks for them', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, files });
  const old = (await fixture.backup()).summary;
  // The file goes: no later backup stores it again.
  await fixture.write('photo.raw', noise(2, 300_000));
  await fixture.use(async (vault) => {
    await fixture.addDrive(vault);
  });
  await fixture.backup();
  const before = await fixture.status();
  const oldName = old.snapshotId?.slice(0, 8) ?? '';
  assert.equal(before.verdict, 'At risk');
  assert.ok(before.sentence.includes(`may lose snapshot ${oldName} of `), before.sentence);
  assert.equal(before.nextStep, 'kith repair');
  const { summary } = await fixture.repair();
  assert.equal(summary.toleratesAfter, 1);
  assert.equal(summary.shardsStillMissing, 0);
  const after = await fixture.status();
  assert.equal(after.verdict, 'Safe');
  assert.equal(after.nextStep, null);
  assert.equal((await fixture.repair()).summary.shardsRebuilt, 0, 'once is enough');
  assert.ok((await fixture.backup()).summary.dataAdded < folderBytesMax, 'nothing of it is stored anew');
  // The first disk is lost for good; what is left has all of the old snapshot.
  await fixture.unplug(0);
  await fixture.use(async (vault) => {
    assert.ok((await vault.status()).snapshots.every(({ restorable }) => restorable));
    await vault.driveRemove('drive-0');
    await fixture.addDrive(vault);
  });
  assert.equal((await fixture.status()).nextStep, 'kith repair');
  assert.equal((await fixture.repair()).summary.toleratesAfter, 1);
  await fixture.unplug(1);
  assert.ok((await fixture.status()).snapshots.every(({ restorable }) => restorable));
});

test('where everything is wanted once, as the setting says, repair adds nothing and the advice names the setting', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, toml: 'spread = "1/1"', files });
  await fixture.backup();
  assert.equal((await fixture.repair()).summary.shardsRebuilt, 0);
  const status = await fixture.status();
  assert.equal(status.verdict, 'At risk');
  assert.match(status.nextStep ?? '', /^kith config set spread auto, then kith repair/);
});
