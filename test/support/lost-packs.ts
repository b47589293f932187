import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import type { TestContext } from 'node:test';
import { noise } from './noise.ts';
import { VaultFixture } from './vault-fixture.ts';

/** Ids, in hex, of all packs of which a drive has a shard. */
async function packsAt(fixture: VaultFixture, drives: readonly number[]): Promise<Set<string>> {
  const files = await Promise.all(drives.map((drive) => fixture.shardFiles(drive)));
  return new Set(files.flat().map((path) => basename(path).slice(0, 64)));
}

/** Deletes the shards of these packs from all drives but `spared`. */
export async function losePacks(
  fixture: VaultFixture,
  packs: ReadonlySet<string>,
  spared: number,
): Promise<void> {
  for (const drive of [0, 1, 2]) {
    if (drive === spared) continue;
    for (const path of await fixture.shardFiles(drive))
      if (packs.has(basename(path).slice(0, 64))) await rm(path);
  }
}

/** Packs that are lost but for one drive's part are stored again while the source is there. */
export async function storedAgainBut(t: TestContext, spared: 0 | 1 | 2): Promise<void> {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 2, n: 3 } });
  for (let i = 0; i < 3; i++) await fixture.write(`set/${i}.bin`, noise(i, 150_000));
  await fixture.backup();
  const lost = await packsAt(fixture, [0, 1, 2]);
  await fixture.write('later.txt', 'later');
  await fixture.backup();
  await losePacks(fixture, lost, spared);
  const error = await fixture.cannotRestore();
  assert.match(error.message, /lost for good/);
  assert.equal((await fixture.status()).verdict, 'Lost');

  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.ok(summary.dataAdded >= 450_000, 'all of it was read and stored again');
  await fixture.restoresTo(summary.snapshotId ?? '');
  await fixture.restoresTo();
  const latest = (await fixture.status()).snapshots.at(-1);
  assert.equal(latest?.restorable, true);
  assert.equal(latest.tolerates, 1);
  // Again with a drive away, and from a bare machine that meets both the lost packs and the new ones.
  const away = (spared + 1) % 3;
  await fixture.unplug(away);
  await fixture.restoresTo();
  const here = [0, 1, 2].filter((drive) => drive !== away);
  await fixture.recover('bare', here);
  await fixture.inHome('bare', () => fixture.restoresTo());
  await fixture.plugIn(away);
  const { summary: third } = await fixture.backup();
  assert.equal(third.filesUnmodified, 9);
  assert.ok(third.dataAdded < 8192);
}
