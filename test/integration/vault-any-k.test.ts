import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatSpread, type Spread } from '../../lib/placement/spread.ts';
import { anyDrivesRestore } from '../support/any-drives.ts';
import { item, VaultFixture } from '../support/vault-fixture.ts';

const spreads: readonly Spread[] = [
  { k: 1, n: 1 },
  { k: 1, n: 3 },
  { k: 2, n: 3 },
];

// Of five drives: test/long/any-drives.test.ts.
for (const spread of spreads) {
  test(`at ${formatSpread(spread)} any ${spread.k} drives restore, and fewer say which would unlock it`, (t) =>
    anyDrivesRestore(t, spread));
}

test('a folder and a single file come back by their paths', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 2, n: 3 } });
  await fixture.backup();
  await fixture.unplug(1);
  const folder = await fixture.restore(`latest:${fixture.source}/photos`);
  assert.equal(folder.summary.filesRestored, 3);
  const file = await fixture.restore(`latest:${fixture.source}/photos/deep/er/three.raw`);
  assert.equal(file.summary.filesRestored, 1);
  assert.equal(file.summary.bytesRestored, 3500);
});

test('a single file comes back while a pack that it doesn’t need is away', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 1 } });
  await fixture.unplug(1);
  await fixture.backup();
  await fixture.plugIn(1);
  await fixture.unplug(0);
  await fixture.write('new.txt', 'new');
  await fixture.backup();
  await fixture.cannotRestore();
  await fixture.cannotRestore(`latest:${fixture.source}/letter.txt`);
  const { summary, problems } = await fixture.restore(`latest:${fixture.source}/new.txt`);
  assert.equal(summary.filesRestored, 1);
  assert.deepEqual(problems, []);
});

test('what --whole drives hold restores from each of them alone', async (t) => {
  const drives = [{}, {}, {}, { whole: true }];
  const fixture = await VaultFixture.create(t, { drives, spread: { k: 2, n: 3 } });
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  const packs = (await fixture.shardFiles(3)).length / 2;
  assert.equal(packs, summary.packsNew);
  await fixture.unplug(0, 1, 2);
  await fixture.restoresTo();
  await fixture.plugIn(0, 1, 2);
  await fixture.unplug(3);
  await fixture.restoresTo();
});

test('repair fills a --whole drive that came later', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 2, n: 3 } });
  await fixture.backup();
  await fixture.use((vault) => fixture.addDrive(vault, { whole: true }));
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsRebuilt, 2);
  await fixture.unplug(0, 1, 2);
  await fixture.restoresTo();
  await fixture.plugIn(0, 1, 2);
  assert.equal((await fixture.repair()).summary.shardsRebuilt, 0);
});

test('drives of one household count as one loss', async (t) => {
  const drives = [{ household: 'home' }, { household: 'home' }, { household: 'aunt' }, {}];
  const fixture = await VaultFixture.create(t, { drives, spread: { k: 1, n: 3 } });
  const { summary } = await fixture.backup();
  assert.equal(summary.tolerates, 2, 'one shard went to each household');
  const { packs } = await fixture.use((vault) => vault.where('latest'));
  const holders = item(packs, 0).shards.map((shard) => shard.holder);
  assert.ok(!holders.includes('drive-0') || !holders.includes('drive-1'));
});
