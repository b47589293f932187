import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { failure, filesBelow, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };

test('a folder without its marker is an unplugged disk: nothing is missing, and nothing is written there', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  const placed = (await fixture.shardFiles(0)).length > 0 ? 0 : 1;
  await fixture.unplug(placed);
  await mkdir(fixture.drive(placed));
  const { summary } = await fixture.repair();
  assert.deepEqual(summary.away, [`drive-${placed}`]);
  assert.equal(summary.shardsMissing, 0);
  assert.equal(summary.shardsRebuilt, 0, 'within its grace');
  await fixture.write('new.txt', 'new');
  await fixture.backup();
  assert.deepEqual(await filesBelow(fixture.drive(placed)), []);
  const status = await fixture.status();
  assert.equal(status.drives.find((drive) => drive.name === `drive-${placed}`)?.available, false);
  await rm(fixture.drive(placed), { recursive: true });
  await fixture.plugIn(placed);
  await fixture.restoresTo();
});

test('after its grace an absent drive is replaced, and counted again when it comes back', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  await fixture.repair();
  const held = [0, 1, 2, 3].map((drive) => fixture.shardFiles(drive));
  const with1 = (await Promise.all(held)).findIndex((files) => files.length > 0);
  await fixture.unplug(with1);
  fixture.clock.forward(11 * 3600e3);
  assert.equal((await fixture.repair()).summary.shardsRebuilt, 0);
  fixture.clock.forward(80 * 3600e3);
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsRebuilt, 1);
  assert.equal(summary.toleratesAfter, 1);
  await fixture.plugIn(with1);
  const { summary: back } = await fixture.repair();
  assert.equal(back.shardsRebuilt, 0);
  assert.ok((back.toleratesAfter ?? 0) >= 1);
  await fixture.restoresTo();
});

test("a drive with another drive's marker is not used as either", async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup();
  const marker = join(fixture.drive(1), 'kith-drive.json');
  await copyFile(join(fixture.drive(0), 'kith-drive.json'), marker);
  const before = await filesBelow(fixture.drive(1));
  await fixture.restoresTo();
  await fixture.write('new.txt', 'new');
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.shardsMissing, 1);
  assert.deepEqual(await filesBelow(fixture.drive(1)), before);
});

test('two drives whose paths were exchanged are taken for unplugged, and come back by kith drive add', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup();
  await rename(fixture.drive(0), join(fixture.root, 'swap'));
  await rename(fixture.drive(1), fixture.drive(0));
  await rename(join(fixture.root, 'swap'), fixture.drive(1));
  const error = await fixture.cannotRestore();
  assert.deepEqual(error.details['away'], ['drive-0', 'drive-1']);
  await fixture.use(async (vault) => {
    const back = await vault.driveAdd({ path: fixture.drive(0) });
    assert.equal(back.name, 'drive-1', 'the disk keeps its name wherever it is');
    assert.equal(back.shards, 1);
  });
  await fixture.restoresTo();
  await fixture.use(async (vault) => {
    await vault.driveAdd({ path: fixture.drive(1) });
    assert.equal((await vault.driveList()).filter((drive) => drive.available).length, 3);
    const brief = await vault.driveList({ brief: true });
    assert.deepEqual(
      brief.map(({ id, available, shards }) => ({ id, available, shards })),
      (await vault.driveList()).map(({ id, available }) => ({ id, available, shards: null })),
    );
  });
  assert.equal((await fixture.repair()).summary.shardsMissing, 0);
});

test("another vault's drive is refused and left as it is", async (t) => {
  const mine = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  const theirs = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await theirs.backup();
  const before = await filesBelow(theirs.drive(0));
  const error = await failure(mine.use((vault) => vault.driveAdd({ path: theirs.drive(0) })));
  assert.equal(error.code, 'holder-foreign');
  assert.deepEqual(await filesBelow(theirs.drive(0)), before);
});

test('a marker that is garbage makes a drive unavailable, not a new one', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup();
  const marker = join(fixture.drive(0), 'kith-drive.json');
  const good = await readFile(marker);
  for (const bad of ['', 'x'.repeat(5000), '[]', '{"magic":"kith-drive"}', '{']) {
    await writeFile(marker, bad);
    const { drives } = await fixture.status();
    const drive = item(drives, 0);
    assert.equal(drive.available, false);
    assert.match(drive.reason ?? '', /kith-drive\.json/);
  }
  assert.equal(
    (await failure(fixture.use((vault) => vault.driveAdd({ path: fixture.drive(0), name: 'other' })))).code,
    'malformed',
  );
  await writeFile(marker, good);
  await fixture.restoresTo();
});

test('two drives die for good: the others restore, new ones take their place', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 6, spread: { k: 3, n: 5 } });
  await fixture.backup();
  await fixture.destroy(0, 3);
  await fixture.restoresTo();
  await fixture.use(async (vault) => {
    for (const name of ['drive-0', 'drive-3']) await vault.driveRemove(name);
    await fixture.addDrive(vault);
    await fixture.addDrive(vault);
  });
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsStillMissing, 0);
  assert.equal(summary.toleratesAfter, 2);
  await fixture.unplug(1, 2);
  await fixture.restoresTo();
});

test('a drive that is still needed is only forgotten when forced', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 2, n: 2 } });
  await fixture.backup();
  await fixture.use(async (vault) => {
    const error = await failure(vault.driveRemove('drive-0'));
    assert.equal(error.code, 'failed');
    assert.equal((await vault.driveList()).length, 2);
    await vault.driveRemove('drive-0', { force: true });
    assert.equal((await vault.driveList()).length, 1);
  });
  const error = await fixture.cannotRestore();
  assert.deepEqual(error.details['away'], []);
  await fixture.use((vault) => vault.driveAdd({ path: fixture.drive(0) }));
  await fixture.restoresTo();
});
