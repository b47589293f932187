import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { noise } from '../support/noise.ts';
import { PartlyFullDisk } from '../support/vault-fixture-disk.ts';
import { failure, filesBelow, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };
/** Room for logs and keys, and for no shard beside what is kept free for them. */
const tooSmall = { quotaBytes: 520_000 };

test('other drives take over from one whose quota is too small', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: [tooSmall, {}, {}, {}], spread });
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.shardsMissing, 0);
  assert.deepEqual(await fixture.shardFiles(0), []);
  const drives = await fixture.use((vault) => vault.driveList());
  assert.ok((item(drives, 0).usedBytes ?? 0) <= 520_000);
});

test('shards that find no place are counted, and a new drive and repair complete them', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: [tooSmall, {}, {}], spread });
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete', 'k of them are safe');
  assert.equal(summary.shardsMissing, 1);
  assert.equal(summary.tolerates, 0);
  assert.equal((await fixture.status()).verdict, 'At risk');
  const helpless = await fixture.repair();
  assert.equal(helpless.summary.shardsStillMissing, 1);
  await fixture.use((vault) => fixture.addDrive(vault));
  const { summary: repaired } = await fixture.repair();
  assert.equal(repaired.shardsRebuilt, 1);
  assert.equal(repaired.shardsStillMissing, 0);
  assert.equal(repaired.toleratesAfter, 1);
  assert.equal((await fixture.status()).verdict, 'Safe');
});

test('a larger quota for a known drive counts from then on', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: [tooSmall, {}, {}], spread });
  await fixture.backup();
  await fixture.use((vault) => vault.driveAdd({ path: fixture.drive(0), quotaBytes: 5_000_000 }));
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsStillMissing, 0);
  assert.equal((await fixture.shardFiles(0)).length, 1);
});

test('a disk that is full (ENOSPC) is told once, and others take over', async (t) => {
  const faults = new PartlyFullDisk();
  const fixture = await VaultFixture.create(t, { drives: 4, spread, disk: faults.disk });
  for (const drive of [0, 1]) faults.full.add(fixture.drive(drive));
  const { summary, problems } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.shardsMissing, 1);
  const about = problems.filter((problem) => problem.code === 'disk-full');
  assert.ok(about.length >= 1 && about.every((problem) => /^drive-[01]$/.test(problem.item)));
  for (const drive of [0, 1]) assert.deepEqual(await filesBelow(join(fixture.drive(drive), 'tmp')), []);
  await fixture.restoresTo();
  faults.full.clear();
  const { summary: repaired } = await fixture.repair();
  assert.equal(repaired.shardsRebuilt, 1);
  assert.equal(repaired.toleratesAfter, 1);
});

test('a disk that fills up in the middle of a backup loses nothing of what it has', async (t) => {
  const faults = new PartlyFullDisk();
  const fixture = await VaultFixture.create(t, { drives: 4, spread, disk: faults.disk });
  await fixture.backup();
  for (let i = 0; i < 6; i++) await fixture.write(`big-${i}`, noise(i, 400_000));
  faults.room.set(fixture.drive(1), 700_000);
  faults.room.set(fixture.drive(2), 300_000);
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  await fixture.restoresTo();
  faults.room.clear();
  assert.equal((await fixture.repair()).summary.shardsStillMissing, 0);
  await fixture.unplug(3);
  await fixture.restoresTo();
});

test('a home without room ends the backup, and the next one goes on', async (t) => {
  const faults = new PartlyFullDisk();
  const fixture = await VaultFixture.create(t, { drives: 3, spread, disk: faults.disk });
  faults.full.add(fixture.home);
  assert.equal((await failure(fixture.backup())).code, 'disk-full');
  faults.full.clear();
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  for (const { id } of await fixture.snapshots()) await fixture.restoresTo(id);
});

test('what waits on this computer has a limit, and says what to do', async (t) => {
  const toml = 'shard.queue = "100kB"';
  const fixture = await VaultFixture.create(t, { drives: [tooSmall, tooSmall], spread, toml });
  const error = await failure(fixture.backup());
  assert.equal(error.code, 'queue-full');
  assert.match(error.message, /shard\.queue/);
  assert.match(error.message, /kith drive add/);
  assert.deepEqual(await fixture.snapshots(), []);
  assert.deepEqual(shardsIn(await filesBelow(join(fixture.home, 'queue'))), []);
  await fixture.use(async (vault) => {
    for (let i = 0; i < 3; i++) await fixture.addDrive(vault);
  });
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.shardsMissing, 0);
  await fixture.restoresTo();
});

test('a queue that is full stops a backup only where it is needed', async (t) => {
  const toml = 'shard.queue = "400kB"';
  const fixture = await VaultFixture.create(t, { drives: [tooSmall, tooSmall, tooSmall], spread, toml });
  assert.equal((await fixture.backup()).summary.state, 'pending');
  for (let i = 0; i < 4; i++) await fixture.write(`big-${i}`, noise(i, 500_000));
  assert.equal((await failure(fixture.backup())).code, 'queue-full');
  const before = await fixture.snapshots();
  assert.deepEqual(
    before.map(({ state }) => state),
    ['pending'],
  );
  await fixture.use(async (vault) => {
    for (let i = 0; i < 3; i++) await fixture.addDrive(vault);
  });
  assert.equal((await fixture.backup()).summary.state, 'complete');
  const after = await fixture.snapshots();
  assert.deepEqual(
    after.map(({ state }) => state),
    ['complete', 'complete'],
  );
  await fixture.restoresTo();
});

function shardsIn(paths: readonly string[]): string[] {
  return paths.filter((path) => path.endsWith('.shard'));
}
