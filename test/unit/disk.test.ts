import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readFile, readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { concatBytes, textOf, utf8 } from '../../lib/base/bytes.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import { diskError } from '../../lib/disk/disk-error.ts';
import { nodeDisk } from '../../lib/disk/node-disk.ts';
import { writeDurably } from '../../lib/disk/write-durably.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { atEnd } from '../support/at-end.ts';

const withSync = { sync: true };

function failsWith(code: 'io-error' | 'disk-full' | 'limit-exceeded', system?: string) {
  return (error: unknown): true => {
    assert.ok(isKithError(error, code), `${code} expected, found ${String(error)}`);
    if (system !== undefined) assert.equal(error.details['system'], system);
    return true;
  };
}

const kinds: readonly (readonly [string, (t: TestContext) => Promise<{ disk: Disk; root: string }>])[] = [
  ['node disk', async (t) => ({ disk: nodeDisk, root: await tempFolder(t) })],
  [
    'fault disk',
    async () => {
      const disk = new FaultDisk({ capacityBytes: 1e9 });
      await disk.makeFolder('/root');
      return { disk, root: '/root' };
    },
  ],
];

for (const [name, make] of kinds) {
  void describe(`disk: ${name}`, () => {
    void test('writes, reads, replaces and removes a file', async (t) => {
      const { disk, root } = await make(t);
      const path = join(root, 'a');
      await disk.write(path, [utf8('hello '), new Uint8Array(0), utf8('world')], withSync);
      assert.equal(textOf((await disk.readWhole(path, 100)) ?? utf8('')), 'hello world');
      assert.equal(textOf((await disk.read(path, 6, 3)) ?? utf8('')), 'wor');
      assert.equal(textOf((await disk.read(path, 6, 100)) ?? utf8('')), 'world');
      assert.equal((await disk.read(path, 50, 10))?.length, 0);
      await disk.write(path, [utf8('short')], { sync: false });
      assert.equal(textOf((await disk.readWhole(path, 5)) ?? utf8('')), 'short');
      assert.equal((await disk.stat(path))?.bytes, 5);
      assert.equal(await disk.unlink(path), true);
      assert.equal(await disk.unlink(path), false);
      assert.equal(await disk.stat(path), undefined);
    });

    void test('says undefined or false of what is not there', async (t) => {
      const { disk, root } = await make(t);
      const path = join(root, 'none');
      assert.equal(await disk.list(path), undefined);
      assert.equal(await disk.stat(path), undefined);
      assert.equal(await disk.stat(join(path, 'below')), undefined);
      assert.equal(await disk.read(path, 0, 1), undefined);
      assert.equal(await disk.readWhole(path, 1), undefined);
      assert.equal(await disk.removeFolder(path), false);
      assert.equal(await disk.freeBytes(path), undefined);
    });

    void test('refuses to read more than it was told to', async (t) => {
      const { disk, root } = await make(t);
      await disk.write(join(root, 'a'), [new Uint8Array(11)], withSync);
      await assert.rejects(disk.readWhole(join(root, 'a'), 10), failsWith('limit-exceeded'));
    });

    void test('an exclusive write spares what is there', async (t) => {
      const { disk, root } = await make(t);
      const path = join(root, 'a');
      await disk.write(path, [utf8('old')], { sync: false, exclusive: true });
      await assert.rejects(
        disk.write(path, [utf8('new')], { sync: false, exclusive: true }),
        failsWith('io-error', 'EEXIST'),
      );
      assert.equal(textOf((await disk.readWhole(path, 9)) ?? utf8('')), 'old');
    });

    void test('makes folders, the missing ones above too, and lists them', async (t) => {
      const { disk, root } = await make(t);
      await disk.makeFolder(join(root, 'a', 'b', 'c'));
      await disk.makeFolder(join(root, 'a', 'b', 'c'));
      await disk.write(join(root, 'a', 'file'), [], { sync: false });
      const entries = [...((await disk.list(join(root, 'a'))) ?? [])].sort((x, y) =>
        x.name < y.name ? -1 : 1,
      );
      assert.deepEqual(entries, [
        { name: 'b', isFolder: true, isFile: false },
        { name: 'file', isFolder: false, isFile: true },
      ]);
      assert.deepEqual(
        { ...(await disk.stat(join(root, 'a', 'b'))), mtimeMs: 0 },
        { bytes: 0, isFolder: true, isFile: false, mtimeMs: 0 },
      );
      await assert.rejects(disk.makeFolder(join(root, 'a', 'file')), failsWith('io-error', 'EEXIST'));
      await assert.rejects(disk.removeFolder(join(root, 'a')), failsWith('io-error', 'ENOTEMPTY'));
      assert.equal(await disk.removeFolder(join(root, 'a', 'b', 'c')), true);
      await disk.syncFolder(join(root, 'a'));
    });

    void test('needs the folder of what it writes or renames', async (t) => {
      const { disk, root } = await make(t);
      await assert.rejects(
        disk.write(join(root, 'no', 'a'), [utf8('x')], withSync),
        failsWith('io-error', 'ENOENT'),
      );
      await disk.write(join(root, 'a'), [utf8('x')], withSync);
      await assert.rejects(
        disk.rename(join(root, 'a'), join(root, 'no', 'a')),
        failsWith('io-error', 'ENOENT'),
      );
      await assert.rejects(disk.rename(join(root, 'b'), join(root, 'c')), failsWith('io-error', 'ENOENT'));
      await assert.rejects(disk.syncFolder(join(root, 'no')), failsWith('io-error', 'ENOENT'));
    });

    void test('a folder is no file', async (t) => {
      const { disk, root } = await make(t);
      await disk.makeFolder(join(root, 'a'));
      await assert.rejects(disk.readWhole(join(root, 'a'), 10), failsWith('io-error'));
      await assert.rejects(disk.write(join(root, 'a'), [], { sync: false }), failsWith('io-error'));
    });

    void test('tells the room of the disk', async (t) => {
      const { disk, root } = await make(t);
      const room = await disk.freeBytes(root);
      assert.ok(room !== undefined && room.free > 0 && room.total >= room.free);
    });

    void test('locks out a second opener until the first lets go', async (t) => {
      const { disk, root } = await make(t);
      const path = join(root, 'lock');
      const lock = await disk.lock(path);
      assert.ok(lock !== undefined);
      assert.equal(await disk.lock(path), undefined);
      await lock.release();
      await lock.release();
      const again = await disk.lock(path);
      assert.ok(again !== undefined);
      await again.release();
    });

    void test('writeDurably replaces a file and leaves nothing behind', async (t) => {
      const { disk, root } = await make(t);
      await disk.makeFolder(join(root, 'tmp'));
      const file = { tempFolder: join(root, 'tmp'), path: join(root, 'a') };
      await writeDurably(disk, { ...file, parts: [utf8('one')] });
      await writeDurably(disk, { ...file, parts: [utf8('two'), utf8('!')] });
      assert.equal(textOf((await disk.readWhole(file.path, 9)) ?? utf8('')), 'two!');
      await assert.rejects(writeDurably(disk, { ...file, path: join(root, 'no', 'a'), parts: [] }));
      assert.deepEqual(await disk.list(file.tempFolder), []);
    });
  });
}

void test('node disk: links are not followed', async (t) => {
  const root = await tempFolder(t);
  await writeFile(join(root, 'target'), 'secret');
  await symlink(join(root, 'target'), join(root, 'link'));
  await assert.rejects(nodeDisk.read(join(root, 'link'), 0, 6), failsWith('io-error', 'ELOOP'));
  await assert.rejects(nodeDisk.readWhole(join(root, 'link'), 6), failsWith('io-error', 'ELOOP'));
  await assert.rejects(
    nodeDisk.write(join(root, 'link'), [utf8('x')], withSync),
    failsWith('io-error', 'ELOOP'),
  );
  await assert.rejects(nodeDisk.lock(join(root, 'link')), failsWith('io-error', 'ELOOP'));
  const found = await nodeDisk.stat(join(root, 'link'));
  assert.deepEqual([found?.isFile, found?.isFolder, found?.bytes], [false, false, 0]);
  assert.equal(await readFile(join(root, 'target'), 'utf8'), 'secret');
  await writeDurably(nodeDisk, { tempFolder: root, path: join(root, 'link'), parts: [utf8('new')] });
  assert.equal(await readFile(join(root, 'target'), 'utf8'), 'secret');
});

void test('node disk: a large file in many parts comes back whole', async (t) => {
  const path = join(await tempFolder(t), 'large');
  const parts = Array.from({ length: 9 }, (_, i) => new Uint8Array(512 * 1024 + i).fill(i + 1));
  await nodeDisk.write(path, parts, withSync);
  assert.ok(Buffer.compare(await readFile(path), concatBytes(...parts)) === 0);
});

void test('node disk: bytes of shared memory are written like any other, empty parts and all', async (t) => {
  const path = join(await tempFolder(t), 'file');
  const shared = new Uint8Array(new SharedArrayBuffer(5_000_000), 7, 4_900_000).map((_, at) => at % 251);
  const lent = new Uint8Array(new SharedArrayBuffer(shared.length));
  lent.set(shared);
  const small = Array.from({ length: 40 }, (_, at) => new Uint8Array(at % 3).fill(at));
  const parts = [new Uint8Array(), utf8('head'), lent, ...small, new Uint8Array()];
  await nodeDisk.write(path, parts, { sync: true, exclusive: true });
  assert.deepEqual(new Uint8Array(await readFile(path)), concatBytes(...parts));
});

void test('node disk: a file of the given mode', async (t) => {
  const path = join(await tempFolder(t), 'key');
  await nodeDisk.write(path, [utf8('x')], { sync: false, mode: 0o600 });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

void test('node disk: a lock ends with a process that is killed, and names it while it lives', async (t) => {
  const root = await tempFolder(t);
  const path = join(root, 'lock');
  const script = `
    const { nodeDisk } = await import(${JSON.stringify(new URL('../../lib/disk/node-disk.js', import.meta.url).href)});
    const lock = await nodeDisk.lock(process.argv[1]);
    console.log(lock === undefined ? 'refused' : 'locked');
    setInterval(() => lock, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  atEnd(t, () => child.kill('SIGKILL'));
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  assert.equal(said.toString().trim(), 'locked');
  assert.equal(await nodeDisk.lock(path), undefined);
  assert.equal(await readFile(path, 'utf8'), `${child.pid}\n`);
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  const lock = await nodeDisk.lock(path);
  assert.ok(lock !== undefined);
  assert.equal(await readFile(path, 'utf8'), `${process.pid}\n`);
  await lock.release();
});

void test('node disk: listing tells links from files and folders', async (t) => {
  const root = await tempFolder(t);
  await mkdir(join(root, 'folder'));
  await symlink(join(root, 'folder'), join(root, 'link'));
  const link = (await nodeDisk.list(root))?.find((entry) => entry.name === 'link');
  assert.deepEqual(link, { name: 'link', isFolder: false, isFile: false });
  assert.equal((await readdir(root)).length, 2);
});

void test('disk errors: full is told from broken', () => {
  const of = (code: string): Error => Object.assign(new Error(code), { code });
  assert.equal(diskError(of('ENOSPC'), 'writing', '/a').code, 'disk-full');
  assert.equal(diskError(of('EDQUOT'), 'writing', '/a').code, 'disk-full');
  const broken = diskError(of('EIO'), 'writing', '/a');
  assert.equal(broken.code, 'io-error');
  assert.deepEqual(broken.details, { path: '/a', system: 'EIO' });
  assert.equal(diskError(broken, 'again', '/b'), broken);
});

test(
  'a folder that can never be made is an error, not an endless attempt',
  { skip: process.platform !== 'linux' && 'only Linux has /proc' },
  async () => {
    await assert.rejects(nodeDisk.makeFolder('/proc/kith/drive'), failsWith('io-error', 'ENOENT'));
  },
);
