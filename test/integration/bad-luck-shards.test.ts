import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Problem } from '../../lib/vault/index.ts';
import { noise } from '../support/noise.ts';
import { differences, filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 4 };
const payloadAt = 128;
const leavesAt = 128 + 65536;
const manifestAt = leavesAt + 32;

/** The drive with shard `index` of the first pack, and the shard's path. */
async function shardAt(fixture: VaultFixture, index: number): Promise<{ drive: number; path: string }> {
  for (const drive of [0, 1, 2, 3, 4]) {
    const path = (await fixture.shardFiles(drive)).find((file) => file.endsWith(`-0${index}.shard`));
    if (path !== undefined) return { drive, path };
  }
  throw new Error(`no drive has shard ${index}`);
}

function codesOf(problems: readonly Problem[]): string[] {
  return problems.map((problem) => problem.code);
}

const damages: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'a byte of the head flipped': (path) => flipByte(path, 40),
  'the checksum of the head flipped': (path) => flipByte(path, 127),
  'the first byte of the payload flipped': (path) => flipByte(path, payloadAt),
  'the last byte of the payload flipped': (path) => flipByte(path, leavesAt - 1),
  'a leaf hash flipped': (path) => flipByte(path, leavesAt + 5),
  'a root in the manifest flipped': (path) => flipByte(path, manifestAt + 110),
  'the signature of the manifest flipped': (path) => flipByte(path, -1),
  'cut in the payload': (path) => truncate(path, 5000),
  'cut in the manifest': async (path) => truncate(path, (await stat(path)).size - 1),
  'cut in the head': (path) => truncate(path, 17),
  emptied: (path) => truncate(path, 0),
  'longer than it should be': async (path) => writeFile(path, 'x', { flag: 'a' }),
};

test('a damaged shard is told once, replaced by others, and made again in its place by repair', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  // All of this little data is in the first shard.
  const { drive, path } = await shardAt(fixture, 0);
  const before = await readFile(path);
  for (const [what, damage] of Object.entries(damages)) {
    await damage(path);
    const restored = await fixture.restoresTo();
    // Whose signature it is only repair asks: a restore has the manifest from the ledger, and the bytes are right.
    const expected = what.startsWith('the signature') ? [] : ['shard-damaged'];
    assert.deepEqual(codesOf(restored.problems), expected, what);
    for (const problem of restored.problems) assert.equal(problem.item, `drive-${drive}`, what);
    assert.equal(restored.summary.shardsReplaced, expected.length, what);

    const repaired = await fixture.repair();
    assert.equal(repaired.summary.shardsDamaged, 1, what);
    assert.equal(repaired.summary.shardsRebuilt, 1, what);
    assert.equal(repaired.summary.shardsStillMissing, 0, what);
    assert.equal(repaired.summary.toleratesAfter, 2, what);
    assert.deepEqual(await readFile(path), before, `${what}: made again in the same place, byte for byte`);
  }
  const again = await fixture.repair();
  assert.deepEqual(again.problems, []);
  assert.equal(again.summary.shardsDamaged + again.summary.shardsMissing + again.summary.shardsRebuilt, 0);
  assert.deepEqual((await fixture.restoresTo()).problems, []);
});

test('a shard of another pack, of another index or of another vault under this name is not used', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  const first = await shardAt(fixture, 0);
  const whole = await readFile(first.path);
  const stranger = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await stranger.backup();
  const foreign = item(await stranger.shardFiles(0), 0);
  const sibling = (await shardAt(fixture, 1)).path;
  await fixture.write('other.txt', 'another pack');
  await fixture.backup();
  const others = (await fixture.shardFiles(first.drive)).filter((path) => path !== first.path);
  assert.equal(others.length, 1);

  for (const impostor of [sibling, foreign, ...others]) {
    await copyFile(impostor, first.path);
    const { problems, summary } = await fixture.restoresTo();
    assert.deepEqual(codesOf(problems), ['shard-damaged']);
    assert.equal(summary.shardsReplaced, 1);
  }
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsRebuilt, 1);
  assert.deepEqual(await readFile(first.path), whole);
});

test('damage on so many drives that fewer than k are whole is an error, and never wrong bytes', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  for (const index of [0, 1, 2]) await flipByte((await shardAt(fixture, index)).path, payloadAt + 100);
  // Payloads are only read on the way, so a listing shows nothing of it.
  const { summary: restored, problems, target } = await fixture.restore();
  assert.ok(restored.filesFailed > 0);
  assert.equal(restored.filesRestored, 0);
  assert.ok(codesOf(problems).includes('not-restorable'));
  assert.deepEqual(await filesBelow(target), []);
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsRebuilt, 0);
  assert.equal(summary.packsLost, 1);
  assert.equal(summary.toleratesAfter, null);
});

test('a folder in the place of a shard counts as a lost shard, and is left alone', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 5, spread });
  await fixture.backup();
  const { path } = await shardAt(fixture, 0);
  await rm(path);
  await mkdir(path);
  await fixture.restoresTo();
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsRebuilt, 1);
  assert.equal(summary.toleratesAfter, 2);
  assert.ok((await stat(path)).isDirectory());
  await fixture.restoresTo();
});

test('a shards folder that is gone, and a drive that was emptied but for its marker, are made again', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  await fixture.write('more.txt', 'more');
  await fixture.backup();
  const names = (await fixture.shardFiles(1)).map((path) => basename(path));
  assert.equal(names.length, 2);
  await rm(join(fixture.drive(1), 'shards'), { recursive: true });
  for (const folder of ['shards', 'logs', 'keys', 'tmp']) {
    await rm(join(fixture.drive(2), folder), { recursive: true, force: true });
  }
  await fixture.restoresTo();
  const { summary } = await fixture.repair();
  assert.equal(summary.shardsMissing, 4);
  assert.equal(summary.shardsRebuilt, 4);
  assert.equal(summary.toleratesAfter, 2);
  for (const drive of [1, 2]) assert.equal((await fixture.shardFiles(drive)).length, 2);
  // The emptied drive is as good as the others again: it alone, with one more, and the phrase.
  await fixture.recover('home-2', [2]);
});

test('files that are no shards are told and left alone', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.backup();
  const path = item(await fixture.shardFiles(0), 0);
  const strays = [join(dirname(path), 'holiday.jpg'), join(fixture.shardsFolder(0), 'notes.txt')];
  for (const stray of strays) await writeFile(stray, 'mine');
  await writeFile(join(dirname(path), basename(path).replace('-0', '-f')), 'not a shard');
  const { problems } = await fixture.repair();
  assert.ok(problems.length >= 2, JSON.stringify(problems));
  for (const stray of strays) {
    assert.equal(await readFile(stray, 'utf8'), 'mine');
    assert.ok(problems.some((problem) => problem.item.includes(basename(stray))));
  }
});

test('a restore over damage writes what a restore without it writes', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 4, spread });
  await fixture.write('large.bin', noise(1, 700_000));
  await fixture.backup();
  for (const index of [0, 1]) {
    const { path } = await shardAt(fixture, index);
    const { size } = await stat(path);
    for (let at = payloadAt; at < size; at += 150_000) await flipByte(path, at);
  }
  const { target, summary } = await fixture.restore('latest', { verify: true });
  assert.deepEqual(await differences(fixture.source, join(target, fixture.source)), []);
  assert.ok(summary.shardsReplaced >= 2);
});
