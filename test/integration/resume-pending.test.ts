import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };

/** A vault with one complete snapshot and one that waits, since two of its three drives are away. */
async function waiting(t: Parameters<typeof VaultFixture.create>[0]): Promise<VaultFixture> {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup();
  await fixture.unplug(0, 2);
  await fixture.write('new.txt', 'written while the disks were away');
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'pending');
  assert.equal(summary.packsBelowK, 1);
  assert.equal(summary.tolerates, null);
  assert.ok(summary.shardsMissing > 0);
  return fixture;
}

test('a snapshot that waits is listed so, and is not the latest', async (t) => {
  const fixture = await waiting(t);
  const listed = await fixture.snapshots();
  assert.deepEqual(
    listed.map(({ state }) => state),
    ['complete', 'pending'],
  );
  const status = await fixture.status();
  assert.equal(status.waitingPacks, 1);
  assert.ok(status.waitingBytes > 0);
  assert.equal(status.snapshots.at(-1)?.restorable, false, 'a waiting snapshot is nowhere safe');
});

test('it restores on this computer as far as its packs are here', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.unplug(0, 1, 2);
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'pending');
  await fixture.restoresTo(summary.snapshotId ?? '');
  // The cache of directories is a cache: packs that wait have their own.
  await rm(join(fixture.home, 'index'), { recursive: true });
  await fixture.restoresTo(summary.snapshotId ?? '');
});

for (const way of ['backup', 'repair'] as const) {
  test(`${way} publishes it once the drives are back, and empties the queue`, async (t) => {
    const fixture = await waiting(t);
    const pending = item(await fixture.snapshots(), 1).id;
    await fixture.plugIn(0, 2);
    if (way === 'repair') assert.equal((await fixture.repair()).summary.snapshotsPublished, 1);
    else await fixture.backup();
    const listed = await fixture.snapshots();
    assert.ok(listed.every(({ state }) => state === 'complete'));
    assert.ok(listed.some(({ id }) => id === pending));
    assert.deepEqual(await filesBelow(join(fixture.home, 'pending')), []);
    const queued = await filesBelow(join(fixture.home, 'queue'));
    assert.deepEqual(
      queued.filter((path) => path.endsWith('.shard')),
      [],
    );
    await fixture.restoresTo(pending);
    assert.equal((await fixture.repair()).summary.shardsStillMissing, 0);
    await fixture.unplug(1);
    await fixture.restoresTo(pending);
  });
}

test('resuming twice is resuming once', async (t) => {
  const fixture = await waiting(t);
  await fixture.plugIn(0, 2);
  await fixture.repair();
  const listed = await fixture.snapshots();
  const { summary } = await fixture.repair();
  assert.equal(summary.snapshotsPublished, 0);
  assert.equal(summary.shardsRebuilt, 0);
  assert.equal(summary.bytesSent, 0);
  assert.deepEqual(await fixture.snapshots(), listed);
});

test('resuming while the drives are still away changes nothing and says so again', async (t) => {
  const fixture = await waiting(t);
  const before = await fixture.snapshots();
  assert.equal((await fixture.repair()).summary.snapshotsPublished, 0);
  assert.deepEqual(await fixture.snapshots(), before);
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'pending', 'what it needs waits still');
  assert.ok(summary.dataAdded < 4096, 'only folders above the source, whose times others change');
  await fixture.plugIn(0, 2);
  await fixture.backup();
  assert.deepEqual(
    (await fixture.snapshots()).map(({ state }) => state),
    ['complete', 'complete', 'complete', 'complete'],
  );
  await fixture.restoresTo();
});

test('a drive that comes alone makes do with k, and repair adds the rest later', async (t) => {
  const fixture = await waiting(t);
  await fixture.plugIn(0);
  assert.equal((await fixture.repair()).summary.snapshotsPublished, 1);
  const { tolerates } = await fixture.use((vault) => vault.where('latest'));
  assert.equal(tolerates, 0);
  await fixture.plugIn(2);
  assert.equal((await fixture.repair()).summary.toleratesAfter, 1);
});

test('what waits and goes bad is told, and read again from the source', async (t) => {
  const fixture = await waiting(t);
  const queue = join(fixture.home, 'queue');
  const shards = (await filesBelow(queue)).filter((path) => path.endsWith('.shard'));
  assert.equal(shards.length, 2);
  for (const path of shards) await flipByte(path, 4000);
  await fixture.destroyShardsOf(1);
  await fixture.plugIn(0, 2);
  const { summary, problems } = await fixture.backup();
  assert.ok(problems.some((problem) => problem.item === 'waiting data'));
  assert.equal(summary.state, 'complete');
  await fixture.restoresTo(summary.snapshotId ?? '');
  await fixture.restoresTo();
});

test('a waiting snapshot whose file is damaged is told and left where it is', async (t) => {
  const fixture = await waiting(t);
  const [file] = await filesBelow(join(fixture.home, 'pending'));
  assert.ok(file !== undefined);
  const before = await readFile(file);
  await flipByte(file, 60);
  const { problems } = await fixture.backup();
  assert.ok(problems.some((problem) => problem.item.startsWith('pending/') && problem.code === 'damaged'));
  const after = await readFile(file);
  assert.equal(after.length, before.length);
});

test('drives that are all full make it wait too, and the next drive takes it', async (t) => {
  const quotaBytes = 520_000;
  const fixture = await VaultFixture.create(t, {
    drives: [{ quotaBytes }, { quotaBytes }],
    spread: { k: 1, n: 2 },
  });
  assert.equal((await fixture.backup()).summary.state, 'pending');
  assert.equal((await fixture.status()).verdict, 'Waiting');
  await fixture.use((vault) => fixture.addDrive(vault));
  const { summary } = await fixture.repair();
  assert.equal(summary.snapshotsPublished, 1);
  await fixture.restoresTo();
});
