import assert from 'node:assert/strict';
import { chmod, copyFile, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { noise } from '../support/noise.ts';
import { VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };
/** What the folders above the source may bring: their times change when other tests come and go. */
const aboveBytesMax = 8192;

test('a second backup of the same stores nothing but its snapshot', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  const first = await fixture.backup();
  assert.equal(first.summary.filesNew, 5);
  const { summary } = await fixture.backup();
  assert.equal(summary.filesUnmodified, 5);
  assert.equal(summary.filesNew + summary.filesChanged, 0);
  assert.equal(summary.packsNew, 1);
  assert.ok(summary.dataAdded < aboveBytesMax, `${summary.dataAdded}`);
  assert.equal(summary.totalBytesProcessed, first.summary.totalBytesProcessed);
  const [older, newer] = await fixture.snapshots();
  assert.equal(newer?.parent, older?.id);
  await fixture.restoresTo(older?.id);
  await fixture.restoresTo(newer?.id);
});

test('--force reads everything again and stores nothing twice', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup();
  const read: string[] = [];
  const { summary } = await fixture.backup({ force: true, onItem: ({ path }) => void read.push(path) });
  assert.equal(read.length, 5);
  assert.equal(summary.filesUnmodified, 0);
  assert.ok(summary.dataAdded < aboveBytesMax);
});

test('an edited line stores at most 1 MiB, at 4 of 6', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 6, spread: { k: 4, n: 6 } });
  const lines = Array.from({ length: 60_000 }, (_, i) => `line ${i} of a long text\n`);
  await fixture.write('novel.txt', lines.join(''));
  await fixture.write('photo.raw', noise(1, 3_000_000));
  await fixture.backup();
  lines[30_000] = 'a better line\n';
  await fixture.write('novel.txt', lines.join(''));
  const { summary } = await fixture.backup();
  assert.equal(summary.filesChanged, 1);
  assert.equal(summary.packsNew, 1);
  assert.ok(summary.dataStored <= 2 ** 20, `${summary.dataStored} bytes sent`);
  await fixture.restoresTo();
});

test('a file that was moved or copied is stored once', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.write('large.bin', noise(2, 2_000_000));
  await fixture.backup();
  await rename(join(fixture.source, 'large.bin'), join(fixture.source, 'photos', 'renamed.bin'));
  await copyFile(join(fixture.source, 'photos', 'renamed.bin'), join(fixture.source, 'copy.bin'));
  const { summary } = await fixture.backup();
  assert.equal(summary.filesNew, 2);
  assert.ok(summary.dataAdded < 3 * aboveBytesMax, `${summary.dataAdded}`);
  await fixture.restoresTo();
});

/** Changes to one file, each of which must make it be read again. */
const changes: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'its size': (path) => writeFile(path, 'more', { flag: 'a' }),
  'its mtime alone': (path) => utimes(path, 1_500_000_000, 1_500_000_000),
  'its bytes, with size and mtime put back': async (path) => {
    const { atime, mtime } = await stat(path);
    const bytes = await readFile(path);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await utimes(path, atime, mtime);
  },
  'its inode, with bytes, size and mtime as they were': async (path) => {
    const { atime, mtime } = await stat(path);
    await copyFile(path, `${path}.new`);
    await utimes(`${path}.new`, atime, mtime);
    await rename(`${path}.new`, path);
  },
  'its mode': (path) => chmod(path, 0o600),
};

test('a change of size, mtime, bytes, inode or mode is seen', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 1 } });
  const path = join(fixture.source, 'photos', 'one.raw');
  await fixture.backup();
  for (const [what, change] of Object.entries(changes)) {
    await change(path);
    const read: string[] = [];
    const { summary } = await fixture.backup({ onItem: (item) => void read.push(item.path) });
    assert.deepEqual(read, [path], what);
    assert.equal(summary.filesChanged, 1, what);
    assert.equal(summary.filesUnmodified, 4, what);
    await fixture.restoresTo();
  }
});

test('what was deleted is not in the next snapshot, and still in the one before', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 1 } });
  await fixture.backup();
  await rename(join(fixture.source, 'photos'), join(fixture.root, 'elsewhere'));
  const { summary } = await fixture.backup();
  assert.equal(summary.totalFilesProcessed, 2);
  const { summary: latest } = await fixture.restore();
  assert.equal(latest.filesRestored, 2);
  const [older] = await fixture.snapshots();
  assert.equal((await fixture.restore(older?.id)).summary.filesRestored, 5);
});

test('other sources are compared with their own past', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 1 } });
  await fixture.backup();
  const photos = [join(fixture.source, 'photos')];
  const { summary } = await fixture.backup({ paths: photos });
  assert.equal(summary.filesNew, 3);
  assert.equal((await fixture.backup({ paths: photos })).summary.filesUnmodified, 3);
  assert.equal((await fixture.backup()).summary.filesUnmodified, 5);
});

test('a dry run says what a backup would read, with force all of it', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 1 } });
  await fixture.backup();
  const again = await fixture.backup({ dryRun: true });
  assert.equal(again.summary.filesUnmodified, 5);
  assert.equal(again.summary.dataAdded, 0);
  const forced = await fixture.backup({ dryRun: true, force: true });
  assert.equal(forced.summary.filesUnmodified, 0);
  assert.ok(forced.summary.dataAdded > 0);
});

test('a dry run writes nothing, anywhere', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 1 } });
  const { summary } = await fixture.backup({ dryRun: true });
  assert.equal(summary.snapshotId, null);
  assert.equal(summary.filesNew, 5);
  assert.ok(summary.dataAdded > 0);
  assert.deepEqual(await fixture.snapshots(), []);
  for (const drive of [0, 1]) assert.deepEqual(await fixture.shardFiles(drive), []);
  const target = join(fixture.root, 'dry');
  await fixture.backup();
  await fixture.use((vault) => vault.restore({ what: 'latest', target, dryRun: true }));
  await assert.rejects(stat(target), { code: 'ENOENT' });
});
