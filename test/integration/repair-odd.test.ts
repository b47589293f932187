import assert from 'node:assert/strict';
import { copyFile, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import type { Content } from '../../lib/format/content.ts';
import { noise } from '../support/noise.ts';
import { forgeSnapshot, type TreeForge } from '../support/tree-forge.ts';
import { failure, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

/** Files of which a pack of 2 MiB holds six. */
function noiseFiles(count: number): Record<string, Uint8Array> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`file-${i}`, noise(i, 300_000)]));
}

async function firstPack(fixture: VaultFixture): Promise<string> {
  return await fixture.session(async (session) =>
    Promise.resolve(toHex(item([...session.state.packs()], 0).manifest.packId)),
  );
}

/** Shard files of all drives of that many whose name has a text in it. */
async function shardsWith(fixture: VaultFixture, drives: number, text: string): Promise<string[]> {
  const files = await Promise.all(Array.from({ length: drives }, (_, drive) => fixture.shardFiles(drive)));
  return files.flat().filter((path) => basename(path).includes(text));
}

/** The drive that has a shard of the one pack, by its listing. */
async function driveWith(fixture: VaultFixture, index: number, but: readonly string[] = []): Promise<number> {
  const { packs } = await fixture.use((vault) => vault.where('latest'));
  const place = item(packs, 0).shards.find(
    (shard) => shard.index === index && shard.holder !== null && !but.includes(shard.holder),
  );
  return Number(place?.holder?.replace('drive-', ''));
}

async function forget(fixture: VaultFixture, drive: number): Promise<void> {
  await fixture.destroy(drive);
  await fixture.use((vault) => vault.driveRemove(`drive-${drive}`, { force: true }));
}

for (const suffix of ['3f', '07']) {
  test(`a file under the shard number ${suffix}, which no pack has, is told and doesn’t keep repair from its work`, async (t) => {
    const fixture = await VaultFixture.create(t, { drives: 5, spread: { k: 2, n: 4 } });
    await fixture.backup();
    const some = item(await shardsWith(fixture, 5, '-00.shard'), 0);
    await copyFile(some, some.replace('-00.shard', `-${suffix}.shard`));
    const lost = await driveWith(fixture, 1);
    await forget(fixture, lost);
    const { summary, problems } = await fixture.repair();
    assert.equal(summary.shardsRebuilt, 1);
    assert.equal(summary.packsFailed, 0);
    assert.equal(summary.shardsDamaged, 0);
    assert.equal(summary.toleratesAfter, 2);
    assert.ok(problems.some(({ message }) => message.includes('number of a part that doesn’t exist')));
    const { packs } = await fixture.use((vault) => vault.where('latest'));
    assert.deepEqual(
      item(packs, 0).shards.map(({ index }) => index),
      [0, 1, 2, 3],
    );
    await fixture.restoresTo();
  });
}

test('repair --quick: a pack of which too little is whole is told and counted, and the others are repaired', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 5, spread: { k: 2, n: 4 }, files: noiseFiles(14) });
  Object.assign(fixture.surroundings, { packBytes: 2 * 1024 * 1024 });
  await fixture.backup();
  const bad = await firstPack(fixture);
  for (const path of await shardsWith(fixture, 5, bad)) await flipByte(path, 5000);
  const held = await Promise.all([0, 1, 2, 3, 4].map((drive) => fixture.shardFiles(drive)));
  const withBad = held.findIndex((files) => files.some((path) => path.includes(bad)) && files.length > 1);
  const others = item(held, withBad).length - 1;
  await forget(fixture, withBad);
  const { summary, problems } = await fixture.repair({ quick: true });
  assert.equal(summary.packsFailed, 1);
  assert.equal(summary.shardsRebuilt, others);
  assert.equal(summary.shardsStillMissing, 1);
  assert.ok(problems.some(({ item: name }) => name === `pack ${bad.slice(0, 12)}`));
});

test('a drive with everything hides nothing that the others lack', async (t) => {
  const drives = [{}, {}, {}, {}, { whole: true }];
  const fixture = await VaultFixture.create(t, { drives, spread: { k: 2, n: 4 } });
  await fixture.backup();
  for (const index of [0, 1]) await forget(fixture, await driveWith(fixture, index, ['drive-4']));
  const thin = await fixture.status();
  assert.equal(thin.nextStep, 'kith repair');
  await fixture.use(async (vault) => {
    for (let i = 0; i < 2; i++) await fixture.addDrive(vault);
  });
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsMissing, 2);
  assert.equal(summary.shardsRebuilt, 2);
  assert.equal(summary.shardsStillMissing, 0);
  assert.equal(summary.toleratesAfter, 3);
});

test('where all drives are whole, nothing is missing', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: [{ whole: true }, { whole: true }] });
  const { summary } = await fixture.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.shardsMissing, 0);
  assert.equal((await fixture.repair()).summary.shardsStillMissing, 0);
});

test('what an absent drive has stays on record when another gets the same shard', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 2, n: 3 } });
  await fixture.backup();
  const absent = await driveWith(fixture, 0);
  const second = await driveWith(fixture, 1);
  await fixture.unplug(absent);
  await fixture.use((vault) => fixture.addDrive(vault, { whole: true }));
  await fixture.repair();
  await forget(fixture, 3);
  await forget(fixture, second);
  const status = await fixture.status();
  assert.equal(status.verdict, 'At risk');
  assert.match(item(status.snapshots, 0).health, new RegExp(`until drive-${absent} is back`));
  await fixture.plugIn(absent);
  await fixture.restoresTo();
});

test('a lost pack whose files were stored again is no business of repair, nor of drives that leave', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread: { k: 2, n: 3 } });
  const same = async (forge: TreeForge): Promise<Content> => ({
    level: 0,
    ids: [await forge.tree([await forge.file('file.txt', 'the same')])],
  });
  const first = await forgeSnapshot(fixture, { k: 2, n: 3 }, same);
  const bad = toHex(item(first.packIds, 0));
  for (const path of await shardsWith(fixture, 4, bad)) await rm(path);
  const { summary: before } = await fixture.repair();
  assert.equal(before.packsLost, 1);
  assert.equal(before.toleratesAfter, null);
  await forgeSnapshot(fixture, { k: 2, n: 3 }, same);
  const { summary } = await fixture.repair();
  assert.equal(summary.packsLost, 0);
  assert.equal(summary.shardsMissing, 0);
  assert.equal(summary.toleratesBefore, 1);
  assert.equal(summary.toleratesAfter, 1);
  // Three are enough for what is left: any one of the four may go, but not the last two.
  const unused = (await Promise.all([0, 1, 2, 3].map((drive) => fixture.shardFiles(drive)))).findIndex(
    (files) => files.length === 0,
  );
  assert.ok(unused >= 0);
  await fixture.use((vault) => vault.driveRemove(`drive-${unused}`));
  const [one, two, three] = [0, 1, 2, 3].filter((drive) => drive !== unused);
  await fixture.use((vault) => vault.driveRemove(`drive-${one}`));
  const error = await failure(fixture.use((vault) => vault.driveRemove(`drive-${two}`)));
  assert.equal(error.code, 'failed');
  // The same of one that is away: what it has, the ledger knows.
  await fixture.unplug(three ?? 0);
  assert.equal((await failure(fixture.use((vault) => vault.driveRemove(`drive-${three}`)))).code, 'failed');
});
