import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { losePacks, storedAgainBut } from '../support/lost-packs.ts';
import { forgeSnapshot, type TreeForge } from '../support/tree-forge.ts';
import { filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';
import type { Content } from '../../lib/format/content.ts';
import { toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';

const spread = { k: 2, n: 3 };

// But for the others: test/long/any-drives.test.ts.
test('packs that are lost but for drive 0 are stored again while the source is there', (t) =>
  storedAgainBut(t, 0));

/** The same few blobs each time. */
async function sameTree(forge: TreeForge): Promise<Content> {
  return { level: 0, ids: [await forge.tree([await forge.file('file.txt', 'the same')])] };
}

test('a lost pack whose blobs are all elsewhere too takes nothing from what is restorable', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  const first = await forgeSnapshot(fixture, spread, sameTree);
  const second = await forgeSnapshot(fixture, spread, sameTree);
  for (const lost of [first, second]) {
    await losePacks(fixture, new Set(lost.packIds.map(toHex)), 1);
    if (lost === second) break;
    for (const { id } of [first, second]) assert.equal((await fixture.restore(id)).summary.filesRestored, 1);
    const status = await fixture.status();
    assert.deepEqual(
      status.snapshots.map(({ restorable }) => restorable),
      [true, true],
    );
    assert.equal(status.tolerates, 1);
    assert.equal(status.verdict, 'Safe');
  }
  await fixture.cannotRestore(first.id);
});

test('what is only away is never called lost, even by a home that has to look into every pack', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 5, spread: { k: 1, n: 1 } });
  await fixture.backup();
  for (const path of ['more.txt', 'still-more.txt', 'most.txt']) {
    await fixture.write(path, path);
    await fixture.backup();
  }
  for (const drive of [0, 1, 2, 3, 4]) {
    if ((await fixture.shardFiles(drive)).length === 0) continue;
    await fixture.unplug(drive);
    await rm(join(fixture.home, 'index'), { recursive: true, force: true });
    const status = await fixture.status();
    assert.equal(status.verdict, 'At risk', `without drive ${drive}`);
    for (const { health } of status.snapshots) assert.doesNotMatch(health, /parts of it are lost/);
    await fixture.plugIn(drive);
  }
});

test('of two packs with a blob the one that is here is read', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread: { k: 1, n: 1 } });
  const both = [
    await forgeSnapshot(fixture, { k: 1, n: 1 }, sameTree),
    await forgeSnapshot(fixture, { k: 1, n: 1 }, sameTree),
  ];
  for (const { packIds } of both) {
    const pack = toHex(item(packIds, 0));
    for (const drive of [0, 1, 2, 3]) {
      if (!(await fixture.shardFiles(drive)).some((path) => path.includes(pack))) continue;
      const others = new Set((await fixture.shardFiles(drive)).map((path) => basename(path).slice(0, 64)));
      if (others.size > 1) return; // Both on one drive: nothing to see.
      await fixture.unplug(drive);
      for (const { id } of both) assert.equal((await fixture.restore(id)).summary.filesRestored, 1);
      await fixture.plugIn(drive);
    }
  }
});

test('of two packs with a blob the one that is damaged where it lies gives way to the other', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  const first = await forgeSnapshot(fixture, spread, sameTree);
  const second = await forgeSnapshot(fixture, spread, sameTree);
  const spoil = async (packIds: readonly Uint8Array[]): Promise<void> => {
    const files = (await Promise.all([0, 1, 2].map((drive) => fixture.shardFiles(drive)))).flat();
    const ofPack = files.filter((path) => path.includes(toHex(item(packIds, 0))));
    assert.equal(ofPack.length, 3);
    for (const path of ofPack) await flipByte(path, 1000);
  };
  await spoil(first.packIds);
  for (const { id } of [first, second]) {
    const { summary, problems } = await fixture.restore(id);
    assert.equal(summary.filesRestored, 1);
    assert.equal(summary.filesFailed, 0);
    assert.ok(problems.length <= 3, 'each damaged shard is told once');
  }
  await spoil(second.packIds);
  // Whether that shows before anything is read depends on what was met before.
  const restored = await fixture.restore(first.id).catch((error: unknown) => error);
  if (restored instanceof Error) assert.ok(isKithError(restored, 'not-restorable'), String(restored));
  else assert.deepEqual(await filesBelow(join(fixture.root, 'target-2')), []);
});

test('a waiting snapshot whose waiting pack went bad is published when its blobs are stored elsewhere', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.unplug(0, 1, 2);
  const waits = await forgeSnapshot(fixture, spread, sameTree, { pending: true });
  await fixture.plugIn(0, 1, 2);
  const queued = (await filesBelow(join(fixture.home, 'queue'))).filter((path) => path.endsWith('.shard'));
  assert.equal(queued.length, 2);
  for (const path of queued) await flipByte(path, 1000);
  assert.equal((await fixture.repair()).summary.snapshotsPublished, 0, 'its blobs are nowhere');
  assert.equal((await fixture.status()).waitingPacks, 1, 'it is kept, in case');
  await forgeSnapshot(fixture, spread, sameTree);
  assert.equal((await fixture.repair()).summary.snapshotsPublished, 1);
  assert.equal((await fixture.status()).waitingPacks, 0);
  assert.equal((await fixture.restore(waits.id)).summary.filesRestored, 1);
});
