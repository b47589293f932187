import assert from 'node:assert/strict';
import { copyFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { leafBytes } from '../../lib/base/limits.ts';
import { shardHeadBytes } from '../../lib/format/shard-file.ts';
import { prepareRead } from '../../lib/vault/read/prepare.ts';
import { noise } from '../support/noise.ts';
import { filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };

/** Incompressible files that fill one pack of 1 MiB shards. */
function files(count: number): Record<string, Uint8Array> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, noise(i + 1, 250_000)]));
}

/** The shard files of the vault's only pack, by index. */
async function shardsByIndex(fixture: VaultFixture, drives: number): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (let number = 0; number < drives; number++) {
    for (const path of await fixture.shardFiles(number))
      found.set(Number.parseInt(path.slice(-8, -6), 16), path);
  }
  return found;
}

test('shards that are bad in different places still give everything back, and are repaired', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files: files(7) });
  await fixture.backup();
  const shards = await shardsByIndex(fixture, 3);
  assert.equal(shards.size, 3);
  for (const [index, leaf] of [
    [0, 2],
    [1, 5],
    [2, 7],
  ] as const) {
    await flipByte(shards.get(index) ?? '', shardHeadBytes + leaf * leafBytes + 100);
  }
  const { summary } = await fixture.restoresTo();
  assert.equal(summary.filesFailed, 0);
  assert.ok(summary.shardsReplaced > 0);
  const repaired = await fixture.repair();
  assert.equal(repaired.summary.packsLost, 0);
  assert.equal(repaired.summary.shardsDamaged, 3);
  assert.equal(repaired.summary.toleratesAfter, 1);
  assert.equal((await fixture.repair()).summary.shardsMissing, 0);
  assert.equal((await fixture.status()).verdict, 'Safe');
});

test('what repair found rotten is remembered: the next backup stores it again', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread, files: files(7) });
  await fixture.backup();
  const shards = await shardsByIndex(fixture, 4);
  for (const index of [0, 1]) await flipByte(shards.get(index) ?? '', shardHeadBytes + 70_000);
  const found = await fixture.repair();
  assert.equal(found.summary.packsLost, 1);
  assert.notEqual((await fixture.status()).verdict, 'Safe');
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.ok(summary.dataAdded >= 7 * 250_000, 'files whose pack is rotten are stored again');
  const restored = await fixture.restoresTo();
  assert.equal(restored.summary.filesFailed, 0);
});

test('a waiting pack is not given up for a shard that only looks whole', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files: files(2) });
  await fixture.unplug(1, 2);
  assert.equal((await fixture.backup()).summary.state, 'pending');
  const held = item(await fixture.shardFiles(0), 0);
  await flipByte(held, shardHeadBytes + 1000);
  await fixture.plugIn(1);
  await fixture.backup();
  await fixture.restoresTo();
  await fixture.plugIn(2);
  await fixture.repair();
  await fixture.destroy(2);
  await fixture.restoresTo();
});

test('a bad file in the queue takes nothing with it: the drives have the rest', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 3, n: 3 }, files: files(2) });
  await fixture.unplug(2);
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'pending');
  const queued = (await filesBelow(join(fixture.home, 'queue'))).filter((path) => path.endsWith('.shard'));
  assert.equal(queued.length, 3);
  await truncate(join(fixture.home, 'queue', item(queued, 0)), 1000).catch(() =>
    truncate(item(queued, 0), 1000),
  );
  await fixture.plugIn(2);
  const { summary: repaired } = await fixture.repair();
  assert.equal(repaired.snapshotsPublished, 1);
  await fixture.restoresTo(summary.snapshotId ?? '');
});

test('the first packs that wait make the queue together', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`g${i}`, noise(i + 100, 900_000)]));
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 2, n: 3 }, files: many });
  await fixture.unplug(0, 1, 2);
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'pending');
  assert.ok(summary.packsNew >= 2);
  await fixture.plugIn(0, 1, 2);
  assert.equal((await fixture.repair()).summary.snapshotsPublished, 1);
  await fixture.restoresTo();
});

test('a stray under an index that no pack has is neither counted nor in the way', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread, files: files(2) });
  await fixture.backup();
  const shards = await shardsByIndex(fixture, 4);
  const first = shards.get(0) ?? '';
  await copyFile(first, first.replace(/-00\.shard$/, '-3f.shard'));
  const holders = await Promise.all([0, 1, 2, 3].map((number) => fixture.shardFiles(number)));
  const victim = holders.findIndex((paths) => paths.some((path) => path.endsWith('-01.shard')));
  await fixture.destroyShardsOf(victim);
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsRebuilt, 1);
  assert.equal(summary.toleratesAfter, 1);
});

test('a snapshot that only its packs know is found once enough of them are there', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files: files(3) });
  const { summary } = await fixture.backup();
  for (const number of [0, 1, 2]) await rm(join(fixture.drive(number), 'logs'), { recursive: true });
  await fixture.unplug(1, 2);
  assert.equal((await fixture.recover('later', [0])).summary.snapshots, 0, 'one of two parts is not enough');
  await fixture.plugIn(1, 2);
  await fixture.inHome('later', async () => {
    for (const number of [1, 2])
      await fixture.use((vault) => vault.driveAdd({ path: fixture.drive(number) }));
    assert.equal((await fixture.repair()).summary.snapshotsPublished, 1);
    assert.equal((await fixture.repair()).summary.snapshotsPublished, 0);
    await fixture.restoresTo(summary.snapshotId ?? '');
  });
});

test('a drive that can’t be asked for a while has lost nothing, and is not remembered as damaged', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread, files: files(2) });
  await fixture.backup();
  const drive = fixture.drive(0);
  const path = item(await fixture.shardFiles(0), 0);
  await fixture.session(async (session) => {
    const { census, reader } = await prepareRead(session, () => undefined);
    const [pack] = [...session.state.packs()];
    assert.ok(pack !== undefined);
    const shard = census.shards(pack.manifest.packId).find((found) => found.keeper.path === drive);
    assert.ok(shard !== undefined);
    census.disregard(pack.manifest.packId, shard.index, shard.keeper, 'no answer');
    assert.equal(census.good(pack.manifest.packId).length, 2);
    assert.ok(!session.damage.has(shard.keeper.id, pack.manifest.packId, shard.index));
    // What the reader finds wrong counts in the same operation, and later.
    census.markHeld(pack.manifest.packId, shard.index, shard.keeper);
    await flipByte(path, shardHeadBytes + 5);
    await reader.shards.verified(pack.manifest, shard.index, 0, 1);
    assert.equal(census.good(pack.manifest.packId).length, 2);
    assert.ok(session.damage.has(shard.keeper.id, pack.manifest.packId, shard.index));
  });
});

test('nothing that waits goes while a pending snapshot can’t be read', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 3, n: 3 }, files: files(2) });
  await fixture.unplug(2);
  await fixture.backup();
  const shards = async (): Promise<number> =>
    (await filesBelow(join(fixture.home, 'queue'))).filter((path) => path.endsWith('.shard')).length;
  assert.equal(await shards(), 3);
  const [first] = (await filesBelow(join(fixture.home, 'queue'))).filter((path) => path.endsWith('.shard'));
  await rm(join(fixture.home, 'queue', first ?? '')).catch(() => rm(first ?? ''));
  const [pending] = await filesBelow(join(fixture.home, 'pending'));
  const name = pending?.split('/').at(-1) ?? '';
  await truncate(join(fixture.home, 'pending', name), 20);
  await fixture.repair();
  assert.equal(await shards(), 2, 'a half-taken pack may be what that snapshot waits for');
});
