import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { equalBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { leafBytes } from '../../lib/base/limits.ts';
import { leafHashes, verifyRange } from '../../lib/crypto/merkle.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import { nodeDisk } from '../../lib/disk/node-disk.ts';
import { driveMarkerFile, driveReadme } from '../../lib/format/drive-marker.ts';
import { shardFileName, shardHeadBytes } from '../../lib/format/shard-file.ts';
import { initDrive, readDriveMarker } from '../../lib/holders/drive.ts';
import type { DriveHolder } from '../../lib/holders/drive.ts';
import type { InventoryProblem, ShardRef } from '../../lib/holders/holder.ts';
import { inventoryOf, rejectsWith } from '../contract/holder-contract.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { FaultHolder } from '../support/fault-holder.ts';
import { sampleDrive } from '../support/sample-drive.ts';
import {
  sampleKeyRecord,
  sampleLog,
  samplePack,
  sampleShard,
  sampleVault,
  type SampleVault,
} from '../support/sample-pack.ts';
import { tempFolder } from '../support/temp-folder.ts';

const vault = sampleVault();
const pack = samplePack(vault);
const shard = sampleShard(pack, 0);

function placeOf(ref: ShardRef, of: SampleVault = vault): string {
  const xx = toHex(ref.packId).slice(0, 2);
  return `/drive/shards/${toHex(of.vaultId)}/${xx}/${shardFileName(ref.packId, ref.index)}`;
}

async function filled(): Promise<{ disk: FaultDisk; drive: DriveHolder }> {
  const disk = new FaultDisk();
  const drive = await sampleDrive(disk, '/drive', vault);
  await drive.put(shard);
  return { disk, drive };
}

/** Changes a stored shard's bytes behind the drive's back. */
function spoil(disk: FaultDisk, change: (bytes: Uint8Array) => Uint8Array, ref: ShardRef = shard): void {
  const bytes = disk.peek(placeOf(ref));
  assert.ok(bytes !== undefined);
  disk.poke(placeOf(ref), change(bytes));
}

function flipAt(at: number): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    return bytes;
  };
}

async function unavailable(drive: DriveHolder, foreign: boolean): Promise<void> {
  const found = await drive.check();
  assert.ok(!found.available);
  assert.equal(found.foreign, foreign);
  const log = sampleLog(vault, 1);
  const operations: readonly (() => Promise<unknown>)[] = [
    () => drive.room(),
    () => drive.reserve(1),
    () => drive.put(sampleShard(pack, 1)),
    () => drive.get(shard, 0, 1),
    () => drive.stat(shard),
    () => drive.manifest(shard),
    () => drive.verify(shard),
    () => drive.delete(shard),
    () => inventoryOf(drive),
    () => drive.logs.list(),
    () => drive.logs.putSegment(log.logKey, 0, log.segments[0]?.bytes ?? utf8('')),
    () => drive.logs.getSegment(log.logKey, 0),
    () => drive.putKeyRecord(sampleKeyRecord(vault, [1])),
    () => drive.getKeyRecord(),
  ];
  for (const operation of operations) {
    await assert.rejects(operation, (error) => {
      assert.ok(isKithError(error, 'holder-unavailable'), `${String(operation)}: ${String(error)}`);
      assert.equal(error.details['holder'], drive.id);
      assert.equal(error.details['foreign'], foreign);
      return true;
    });
  }
}

void test('initDrive lays out a drive once, beside what is there', async (t) => {
  const folder = join(await tempFolder(t), 'new', 'drive');
  const options = { name: 'Blue disk', vaultId: vault.vaultId, now: '2026-01-01T00:00:00Z' };
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'holiday.jpg'), 'mine');
  const marker = await initDrive(nodeDisk, folder, { ...options, random: (n) => new Uint8Array(n).fill(1) });
  assert.equal(marker.id, '01'.repeat(32));
  assert.deepEqual(await readDriveMarker(nodeDisk, folder), marker);
  const again = await initDrive(nodeDisk, folder, { ...options, random: (n) => new Uint8Array(n).fill(2) });
  assert.deepEqual(again, marker);
  assert.deepEqual(
    (await readdir(folder)).sort(),
    ['README.txt', 'holiday.jpg', driveMarkerFile, 'tmp'].sort(),
  );
  assert.deepEqual(await readdir(join(folder, 'tmp')), []);
});

void test('a folder in use keeps its README.txt and what is in its tmp/ when it becomes a drive', async (t) => {
  const folder = await tempFolder(t);
  const mine = new Map<string, string | Uint8Array>([
    ['README.txt', 'how to water the plants'],
    ['tmp/thesis.txt', 'chapter one'],
    ['tmp/thesis.tmp', 'chapter two'],
    ['tmp/3f0e6a1c-58d1-4c0e-9d55-0b8a3f6f7c21.tmp.txt', 'chapter three'],
  ]);
  const leftover = join(folder, 'tmp', '3f0e6a1c-58d1-4c0e-9d55-0b8a3f6f7c21.tmp');
  await mkdir(join(folder, 'tmp'));
  for (const [path, text] of mine) await writeFile(join(folder, path), text);
  await symlink('thesis.txt', join(folder, 'tmp', 'latest'));
  const names = (await readdir(join(folder, 'tmp'))).sort();
  await writeFile(leftover, 'half a shard');
  const drive = await sampleDrive(nodeDisk, folder, vault);
  await drive.put(shard);
  assert.equal(await drive.verify(shard), 'good');
  for (const [path, text] of mine) assert.equal(await readFile(join(folder, path), 'utf8'), text);
  assert.deepEqual((await readdir(join(folder, 'tmp'))).sort(), names, 'only the leftover is gone');
});

void test('initDrive writes README.txt anew only over one of its own', async () => {
  const ours = driveReadme({
    id: '0'.repeat(64),
    vault: '1'.repeat(64),
    name: 'of a try that died',
    created: '2020-01-01T00:00:00Z',
  });
  const cases: readonly { readonly there: Uint8Array | undefined; readonly isReplaced: boolean }[] = [
    { there: undefined, isReplaced: true },
    { there: utf8(ours), isReplaced: true },
    { there: utf8(`My notes\n\n${ours}`), isReplaced: false },
    { there: new Uint8Array(0), isReplaced: false },
    { there: new Uint8Array([0xff, 0xfe, 0x00]), isReplaced: false },
    { there: new Uint8Array(1024 * 1024), isReplaced: false },
  ];
  for (const { there, isReplaced } of cases) {
    const disk = new FaultDisk();
    await disk.makeFolder('/drive');
    if (there !== undefined) disk.poke('/drive/README.txt', there);
    const drive = await sampleDrive(disk, '/drive', vault);
    const text = new TextDecoder().decode(disk.peek('/drive/README.txt'));
    assert.equal(text.includes(drive.id), isReplaced);
    if (!isReplaced) assert.deepEqual(disk.peek('/drive/README.txt'), there);
  }
});

void test('initDrive leaves a README.txt that is a folder or cannot be read', async () => {
  const disk = new FaultDisk();
  await disk.makeFolder('/drive/README.txt');
  await sampleDrive(disk, '/drive', vault);
  assert.equal((await disk.stat('/drive/README.txt'))?.isFolder, true);
  for (const soundLooks of [0, 1]) {
    const bad = new FaultDisk();
    await bad.makeFolder('/drive');
    bad.poke('/drive/README.txt', utf8('mine'));
    let looks = 0;
    bad.failReads('EIO', (path) => path === '/drive/README.txt' && ++looks > soundLooks);
    await sampleDrive(bad, '/drive', vault);
    assert.equal(looks, soundLooks + 1);
    assert.deepEqual(bad.peek('/drive/README.txt'), utf8('mine'));
  }
});

void test('initDrive touches no other vault, nor a marker that it cannot read', async () => {
  const disk = new FaultDisk();
  await sampleDrive(disk, '/drive', sampleVault(2));
  const before = disk.steps;
  await assert.rejects(sampleDrive(disk, '/drive', vault), rejectsWith('holder-foreign'));
  disk.poke(`/drive/${driveMarkerFile}`, utf8('{"magic":"kith-dri'));
  await assert.rejects(sampleDrive(disk, '/drive', vault), rejectsWith('malformed'));
  assert.equal(disk.steps, before);
});

void test('initDrive cut off anywhere can be done again', async () => {
  const whole = new FaultDisk();
  await sampleDrive(whole, '/a/drive', vault);
  for (let step = 1; step <= whole.steps; step++) {
    const disk = new FaultDisk();
    disk.crashAt(step);
    await assert.rejects(sampleDrive(disk, '/a/drive', vault));
    for (const mode of ['lose-unsynced', 'keep-all', 'mixed'] as const) {
      const drive = await sampleDrive(disk.afterCrash(mode, step), '/a/drive', vault);
      assert.deepEqual(await drive.check(), { available: true });
    }
  }
});

void test('a drive without its marker is unavailable, not empty, and nothing is made there', async () => {
  const { disk, drive } = await filled();
  await disk.rename('/drive', '/elsewhere');
  await unavailable(drive, false);
  await disk.makeFolder('/drive');
  const before = disk.steps;
  await unavailable(drive, false);
  assert.equal(disk.steps, before, 'an empty mount point stays empty');
  await disk.removeFolder('/drive');
  await disk.rename('/elsewhere', '/drive');
  assert.deepEqual(await drive.check(), { available: true });
  assert.equal(await drive.verify(shard), 'good');
});

void test('another drive in its place is foreign, of this vault or another', async () => {
  for (const owner of [vault, sampleVault(2)]) {
    const { disk, drive } = await filled();
    await disk.rename('/drive', '/elsewhere');
    await sampleDrive(disk, '/drive', owner, { seed: 2 });
    const before = disk.steps;
    await unavailable(drive, true);
    assert.equal(disk.steps, before);
  }
});

void test('a marker that cannot be read makes the drive unavailable', async () => {
  for (const marker of ['', '{}', 'x'.repeat(5000)]) {
    const { disk, drive } = await filled();
    disk.poke(`/drive/${driveMarkerFile}`, utf8(marker));
    await unavailable(drive, false);
  }
  const { disk, drive } = await filled();
  disk.failReads('EIO', (path) => path.startsWith('/drive'));
  await unavailable(drive, false);
});

void test('a disk unplugged while it is listed, read or written to is unavailable, not short of shards', async () => {
  const { disk, drive } = await filled();
  await drive.put(sampleShard(pack, 1));
  const listed: number[] = [];
  await assert.rejects(async () => {
    for await (const { index } of drive.inventory()) {
      listed.push(index);
      if (listed.length === 1) await disk.rename('/drive', '/elsewhere');
    }
  }, rejectsWith('holder-unavailable'));
  await disk.rename('/elsewhere', '/drive');
  const gone = (path: string): boolean => path.includes('/shards') || path.endsWith(driveMarkerFile);
  for (const work of [
    () => drive.get(shard, 0, 1),
    () => drive.verify(shard),
    () => drive.put(sampleShard(pack, 2)),
  ]) {
    // The marker was there when it began: the first look succeeds, the disk dies after it.
    const answer = work();
    disk.failReads('EIO', gone);
    await assert.rejects(answer, rejectsWith('holder-unavailable'));
    disk.heal();
  }
});

/** The same disk with something done before each look at a path other than a marker. */
function hooked(disk: Disk, before: () => Promise<void>): Disk {
  const look = async (path: string): Promise<void> => {
    if (!path.endsWith(driveMarkerFile)) await before();
  };
  return {
    list: async (folder) => (await look(folder), disk.list(folder)),
    stat: async (path) => (await look(path), disk.stat(path)),
    read: async (path, offset, length) => (await look(path), disk.read(path, offset, length)),
    readWhole: async (path, max) => (await look(path), disk.readWhole(path, max)),
    write: (path, parts, options) => disk.write(path, parts, options),
    rename: (from, to) => disk.rename(from, to),
    unlink: async (path) => (await look(path), disk.unlink(path)),
    makeFolder: (path, mode) => disk.makeFolder(path, mode),
    removeFolder: (path) => disk.removeFolder(path),
    syncFolder: (path) => disk.syncFolder(path),
    freeBytes: (path) => disk.freeBytes(path),
    lock: (path) => disk.lock(path),
  };
}

void test('what is not found on a disk that just went away is unavailable, not missing', async () => {
  const operations: readonly ((drive: DriveHolder) => Promise<unknown>)[] = [
    (drive) => drive.get(shard, 0, 1),
    (drive) => drive.stat(shard),
    (drive) => drive.manifest(shard),
    (drive) => drive.verify(shard),
    (drive) => drive.delete(shard),
    (drive) => inventoryOf(drive),
    (drive) => drive.put(sampleShard(pack, 1)),
    (drive) => drive.logs.list(),
    (drive) => drive.logs.getSegment(shard.packId, 0),
    (drive) => drive.getKeyRecord(),
  ];
  for (const [operation, isCounted] of operations.flatMap((each) => [
    [each, true] as const,
    [each, false] as const,
  ])) {
    const { disk } = await filled();
    let isPlugged = true;
    const unplug = async (): Promise<void> => {
      if (!isPlugged) return;
      isPlugged = false;
      await disk.rename('/drive', '/elsewhere');
      await disk.makeFolder('/drive');
    };
    let isArmed = false;
    const hook = async (): Promise<void> => (isArmed ? await unplug() : undefined);
    const drive = await sampleDrive(hooked(disk, hook), '/drive', vault);
    // A drive that has counted what it uses has one look less before it acts.
    if (isCounted) await drive.room();
    isArmed = true;
    await assert.rejects(operation(drive), rejectsWith('holder-unavailable'), String(operation));
    assert.deepEqual(await disk.list('/drive'), [], String(operation));
  }
});

void test('what is used is counted again when the disk comes back', async () => {
  const { disk, drive } = await filled();
  assert.equal((await drive.room()).usedBytes, pack.fileBytes);
  await disk.rename('/drive', '/elsewhere');
  await assert.rejects(drive.room(), rejectsWith('holder-unavailable'));
  await disk.unlink(placeOf(shard).replace('/drive', '/elsewhere'));
  await disk.rename('/elsewhere', '/drive');
  assert.equal((await drive.room()).usedBytes, 0);
});

const damages: readonly (readonly [string, (disk: FaultDisk) => void, boolean])[] = [
  ['empty', (disk) => spoil(disk, () => new Uint8Array(0)), true],
  ['cut in its head', (disk) => spoil(disk, (bytes) => bytes.subarray(0, 100)), true],
  ['cut in its payload', (disk) => spoil(disk, (bytes) => bytes.subarray(0, 5000)), true],
  ['a byte short', (disk) => spoil(disk, (bytes) => bytes.subarray(0, -1)), true],
  ['a byte long', (disk) => spoil(disk, (bytes) => new Uint8Array([...bytes, 0])), true],
  ['huge', (disk) => spoil(disk, () => new Uint8Array(5_000_000)), true],
  ['another shard of the pack', (disk) => disk.poke(placeOf(shard), otherFile), true],
  ["another vault's shard", (disk) => disk.poke(placeOf(shard), foreignFile), true],
  ['flipped in the magic', (disk) => spoil(disk, flipAt(0)), true],
  ['flipped in the head', (disk) => spoil(disk, flipAt(20)), true],
  ['flipped in the payload', (disk) => spoil(disk, flipAt(shardHeadBytes + 777)), false],
  ['flipped in the leaves', (disk) => spoil(disk, flipAt(shardHeadBytes + leafBytes + 5)), false],
  ['flipped in a root', (disk) => spoil(disk, flipAt(shardHeadBytes + leafBytes + 32 + 100)), false],
  ['unreadable', (disk) => disk.failReads('EIO', (path) => path === placeOf(shard)), true],
];
let otherFile: Uint8Array = new Uint8Array(0);
let foreignFile: Uint8Array = new Uint8Array(0);

void test('damaged shards are told from missing ones, and replaced', async (t) => {
  const source = await filled();
  await source.drive.put(sampleShard(pack, 1));
  otherFile = source.disk.peek(placeOf(sampleShard(pack, 1))) ?? otherFile;
  const other = sampleVault(2);
  const foreignDisk = new FaultDisk();
  const foreignShard = sampleShard(samplePack(other), 0);
  await (await sampleDrive(foreignDisk, '/drive', other)).put(foreignShard);
  foreignFile = foreignDisk.peek(placeOf(foreignShard, other)) ?? foreignFile;
  for (const [what, damage, isSeenInListing] of damages) {
    await t.test(what, async () => {
      const { disk, drive } = await filled();
      const fileBytes = (await drive.room()).usedBytes;
      assert.ok((await drive.get(shard, 0, 1)) !== undefined, 'good, and remembered');
      damage(disk);
      await assert.rejects(drive.get(shard, 0, 1), rejectsWith('shard-damaged'));
      assert.equal(await drive.verify(shard), 'damaged');
      const entries = await drive.inventory().next();
      assert.equal(entries.value?.damaged !== undefined, isSeenInListing);
      disk.heal();
      const reopened = await sampleDrive(disk, '/drive', vault);
      await reopened.put(shard);
      assert.equal(await reopened.verify(shard), 'good');
      assert.ok(equalBytes((await reopened.get(shard, 0, 1))?.bytes ?? utf8(''), shard.payload));
      assert.equal((await reopened.room()).usedBytes, fileBytes);
    });
  }
});

void test('a listing opens no file that is as long as it must be, and every other', async (t) => {
  const expected = (packId: Uint8Array): { fileBytes: number; class: number } | undefined =>
    equalBytes(packId, pack.packId) ? { fileBytes: pack.fileBytes, class: shard.class } : undefined;
  const { disk, drive } = await filled();
  spoil(disk, flipAt(0));
  const [whole] = await inventoryOf(drive, { expected });
  assert.equal(whole?.index, 0);
  assert.equal(whole.fileBytes, pack.fileBytes);
  assert.equal(whole.class, shard.class);
  assert.equal(whole.damaged, undefined);
  const [unknown] = await inventoryOf(drive, { expected: () => undefined });
  assert.ok(unknown?.damaged !== undefined, 'of a pack that the asker does not know it is looked into');
  for (const [what, damage] of damages.slice(0, 6)) {
    await t.test(what, async () => {
      const each = await filled();
      damage(each.disk);
      const [entry] = await inventoryOf(each.drive, { expected });
      assert.ok(entry?.damaged !== undefined);
    });
  }
});

void test('a manifest with a bad signature is damage, for verify', async () => {
  const { disk, drive } = await filled();
  spoil(disk, flipAt(pack.fileBytes - 1));
  assert.equal(await drive.verify(shard), 'damaged');
});

void test('a damaged shard is replaced even where the quota is used up', async () => {
  const disk = new FaultDisk();
  const drive = await sampleDrive(disk, '/drive', vault, { quotaBytes: pack.fileBytes });
  await drive.put(shard);
  spoil(disk, flipAt(5000));
  await drive.put(shard);
  assert.equal(await drive.verify(shard), 'good');
  assert.deepEqual(await drive.room(), {
    quotaBytes: pack.fileBytes,
    usedBytes: pack.fileBytes,
    reservedBytes: 0,
    freeBytes: 0,
  });
});

void test('what is no shard is left alone and reported', async () => {
  const { disk, drive } = await filled();
  const vaultFolder = `/drive/shards/${toHex(vault.vaultId)}`;
  const xx = toHex(shard.packId).slice(0, 2);
  const wrongFolder = xx === 'ff' ? 'fe' : 'ff';
  await disk.makeFolder(`${vaultFolder}/${wrongFolder}`);
  await disk.makeFolder(`${vaultFolder}/lost+found`);
  await disk.makeFolder(`${vaultFolder}/${xx}/folder`);
  const strays = [
    `${vaultFolder}/.DS_Store`,
    `${vaultFolder}/${xx}/Thumbs.db`,
    `${vaultFolder}/${xx}/${shardFileName(shard.packId, 0)}.bak`,
    `${vaultFolder}/${xx}/${shardFileName(shard.packId, 0).toUpperCase()}`,
    `${vaultFolder}/${wrongFolder}/${shardFileName(shard.packId, 0)}`,
  ];
  for (const path of strays) disk.poke(path, utf8('junk'));
  const problems: InventoryProblem[] = [];
  const entries: number[] = [];
  for await (const entry of drive.inventory({ onProblem: (problem) => problems.push(problem) })) {
    entries.push(entry.index);
  }
  assert.deepEqual(entries, [0]);
  const folders = [`${vaultFolder}/lost+found`, `${vaultFolder}/${xx}/folder`];
  assert.deepEqual(
    problems.map((problem) => `/drive/${problem.name}`).sort(),
    [...strays, ...folders].sort(),
  );
  for (const path of strays) assert.ok(disk.peek(path) !== undefined);
});

void test('free space keeps to its floor, and the message says what to do', async () => {
  const disk = new FaultDisk({ capacityBytes: 1_000_000 });
  const empty = await sampleDrive(disk, '/drive', vault);
  const free = (await disk.freeBytes('/drive'))?.free ?? 0;
  const floor = free - pack.fileBytes;
  const drive = await sampleDrive(disk, '/drive', vault, { freeFloorBytes: floor });
  assert.equal((await drive.room()).freeBytes, pack.fileBytes);
  const tight = await sampleDrive(disk, '/drive', vault, { freeFloorBytes: floor + 1 });
  await assert.rejects(tight.put(shard), (error) => {
    assert.ok(isKithError(error, 'disk-full'));
    assert.match(error.message, /test drive.*1 B are missing.*kith config set free\.floor/);
    assert.equal(error.retry, 'elsewhere');
    return true;
  });
  const byDefault = await sampleDrive(disk, '/drive', vault, { freeFloorBytes: undefined });
  assert.equal((await byDefault.room()).freeBytes, 0);
  await assert.rejects(byDefault.reserve(1), rejectsWith('disk-full'));
  const reservation = await drive.reserve(pack.fileBytes);
  await assert.rejects(drive.reserve(1), rejectsWith('disk-full'));
  reservation.release();
  await drive.put(shard);
  assert.equal(await empty.verify(shard), 'good');
});

void test('links inside a drive lead nowhere', async (t) => {
  const root = await tempFolder(t);
  const folder = join(root, 'drive');
  const drive = await sampleDrive(nodeDisk, folder, vault);
  await mkdir(join(root, 'outside'));
  await symlink(join(root, 'outside'), join(folder, 'shards'));
  await assert.rejects(drive.put(shard), rejectsWith('io-error'));
  assert.deepEqual(await inventoryOf(drive), []);
  assert.deepEqual(await readdir(join(root, 'outside')), []);
  assert.equal((await drive.room()).reservedBytes, 0);
  await rename(join(folder, 'shards'), join(root, 'link'));
  await drive.put(shard);
  const path = placeOf(shard).replace('/drive', folder);
  await rename(path, join(root, 'outside', 'shard'));
  await symlink(join(root, 'outside', 'shard'), path);
  await assert.rejects(drive.get(shard, 0, 1), rejectsWith('shard-damaged'));
  assert.equal(await drive.verify(shard), 'damaged');
  await drive.put(shard);
  assert.equal(await drive.verify(shard), 'good');
});

void test('a link in the place of the folder of a log or key record is refused', async (t) => {
  const root = await tempFolder(t);
  const folder = join(root, 'drive');
  const drive = await sampleDrive(nodeDisk, folder, vault);
  await mkdir(join(root, 'outside'));
  for (const name of ['logs', 'keys']) await symlink(join(root, 'outside'), join(folder, name));
  const log = sampleLog(vault, 1);
  const bytes = log.segments[0]?.bytes ?? utf8('');
  await assert.rejects(drive.logs.putSegment(log.logKey, 0, bytes), rejectsWith('io-error'));
  await assert.rejects(drive.putKeyRecord(sampleKeyRecord(vault, [1])), rejectsWith('io-error'));
  assert.deepEqual(await drive.logs.list(), []);
  assert.deepEqual(await readdir(join(root, 'outside')), []);
});

void test('the fault holder fails, withholds, lies and goes away on demand', async () => {
  const { drive } = await filled();
  const holder = new FaultHolder(drive);
  holder.failOn('get', 1, 'shard-damaged');
  assert.ok((await holder.get(shard, 0, 1)) !== undefined);
  await assert.rejects(holder.get(shard, 0, 1), rejectsWith('shard-damaged'));
  holder.lie = (range) => {
    range.bytes.fill(0);
    return range;
  };
  assert.ok((await holder.get(shard, 0, 1))?.bytes.every((byte) => byte === 0));
  holder.withholds = (ref) => ref.index === 0;
  assert.equal(await holder.get(shard, 0, 1), undefined);
  holder.away = true;
  assert.equal((await holder.check()).available, false);
  await assert.rejects(holder.stat(shard), rejectsWith('holder-unavailable'));
  await assert.rejects(inventoryOf(holder), rejectsWith('holder-unavailable'));
  assert.deepEqual(
    holder.calls.map((call) => `${call.operation} ${call.ordinal}`),
    ['get 0', 'get 1', 'get 2', 'get 3', 'stat 0', 'inventory 0'],
  );
});

void test('a shard whose bytes lie in shared memory is kept like any other', async (t) => {
  const folder = await tempFolder(t);
  const drive = await sampleDrive(nodeDisk, folder, vault);
  const inShared = (bytes: Uint8Array): Uint8Array => {
    const view = new Uint8Array(new SharedArrayBuffer(bytes.length + 9), 5, bytes.length);
    view.set(bytes);
    return view;
  };
  const lent = { ...shard, payload: inShared(shard.payload), leaves: inShared(shard.leaves) };
  await drive.put(lent);
  await drive.put(lent);
  assert.equal(await drive.verify(shard), 'good');
  const leafCount = shard.leaves.length / 32;
  assert.deepEqual((await drive.get(shard, 0, leafCount))?.bytes, shard.payload);
});

void test('leaves that were computed just now spare a hash, and nothing else is believed with them', async () => {
  const { disk, drive } = await filled();
  const other = sampleShard(pack, 1);
  const payload = other.payload.slice();
  payload[100] = (payload[100] ?? 0) ^ 1;
  await assert.rejects(drive.put({ ...other, payload }), rejectsWith('not-authentic'));
  const leaves = other.leaves.slice();
  leaves[0] = (leaves[0] ?? 0) ^ 1;
  await assert.rejects(drive.put({ ...other, leaves, leavesAreFresh: true }), rejectsWith('not-authentic'));
  const cut = payload.subarray(0, -1);
  await assert.rejects(
    drive.put({ ...other, payload: cut, leavesAreFresh: true }),
    rejectsWith('not-authentic'),
  );
  const before = disk.files();
  await drive.put({ ...other, leavesAreFresh: true });
  assert.equal(disk.files().length, before.length + 1);
  assert.equal(await drive.verify(other), 'good');
  assert.equal(await drive.verify(shard), 'good');
});

void test('bytes as they are stored come with the proof that shows what they are', async () => {
  const { disk, drive } = await filled();
  const leafCount = shard.leaves.length / 32;
  const asStored = { asStored: true };
  const sound = await drive.get(shard, 0, leafCount, asStored);
  assert.deepEqual(sound, { bytes: shard.payload, proof: new Uint8Array() });
  spoil(disk, (bytes) => bytes.map((byte, at) => (at === 5000 ? byte ^ 1 : byte)));
  await assert.rejects(drive.get(shard, 0, 1), rejectsWith('shard-damaged'));
  const spoilt = await drive.get(shard, 0, leafCount, asStored);
  const root = pack.roots[0] ?? new Uint8Array();
  assert.ok(spoilt !== undefined);
  assert.equal(verifyRange(leafHashes(spoilt.bytes, leafBytes), 0, leafCount, spoilt.proof, root), false);
  spoil(disk, (bytes) => bytes.subarray(0, 5000));
  await assert.rejects(drive.get(shard, 0, 1, asStored), rejectsWith('shard-damaged'));
});
