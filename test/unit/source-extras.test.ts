import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, openSync, closeSync, fstatSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { utf8 } from '../../lib/base/bytes.ts';
import { encodeTree, type TreeEntry } from '../../lib/format/tree.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { entryOf, packDevice } from '../../lib/source/entry.ts';
import { lossInWords, readableMetadata, readXattrs, withFileExtras } from '../../lib/source/extras.ts';
import { nativeCalls, type NativeCalls } from '../../lib/source/native.ts';
import { modeWithoutAcl } from '../../lib/source/posix-acl.ts';
import { partsToWrite } from '../../lib/source/restore-holes.ts';
import { clampRuns, dataRuns, dataRunsMax } from '../../lib/source/sparse-map.ts';
import { unchangedEntry } from '../../lib/source/unchanged.ts';
import { aclValue, itself, needNative, setXattr, writeSparse, xattrsOf } from '../support/metadata-tree.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { atEnd } from '../support/at-end.ts';

const here = process.platform === 'linux' && nativeCalls() !== undefined;
const skip = here ? false : 'needs Linux and native calls';

function failing(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: no`), { code });
  };
}

function entryAt(path: string): TreeEntry {
  return entryOf(utf8('file'), lstatSync(path, { bigint: true }), localAccounts());
}

test('attributes are set, listed, read and removed by handle, by path and by link', { skip }, async (t) => {
  const folder = await tempFolder(t);
  const [file, link] = [join(folder, 'file'), join(folder, 'link')];
  writeFileSync(file, 'x');
  symlinkSync('file', link);
  const native = needNative();
  const handle = openSync(file, 'r');
  atEnd(t, () => closeSync(handle));
  const name = utf8('user.note');
  native.setXattr(handle, name, utf8('by handle'));
  for (const place of [handle, itself(file), { path: utf8(link), follow: true }]) {
    assert.deepEqual(native.listXattrs(place), [name]);
    assert.deepEqual(Buffer.from(native.getXattr(place, name, 100)).toString(), 'by handle');
  }
  assert.deepEqual(native.listXattrs(itself(link)), []);
  native.setXattr({ path: utf8(link), follow: true }, name, new Uint8Array(0));
  assert.deepEqual(xattrsOf(file), ['user.note=']);
  native.removeXattr(handle, name);
  assert.deepEqual(xattrsOf(file), []);
  assert.throws(() => native.getXattr(handle, name, 100), { code: 'ENODATA' });
  assert.throws(() => native.listXattrs(itself(join(folder, 'none'))), { code: 'ENOENT' });
});

test('values come in full or not at all', { skip }, async (t) => {
  const folder = await tempFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, 'x');
  setXattr(file, 'user.long', 'x'.repeat(3000));
  assert.throws(() => needNative().getXattr(itself(file), utf8('user.long'), 2999), { code: 'E2BIG' });
  assert.equal(needNative().getXattr(itself(file), utf8('user.long'), 3000).length, 3000);
});

test('what can not be read is told or, where it is normal, passed over', { skip }, async (t) => {
  const folder = await tempFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, 'x');
  for (const name of ['user.b', 'user.c', 'user.a']) setXattr(file, name, name);
  const read = (changes: Partial<NativeCalls>): { names: string[] | undefined; told: string[] } => {
    const told: string[] = [];
    const found = readXattrs({ ...needNative(), ...changes }, itself(file), (text) => void told.push(text));
    return { names: found?.map(({ name }) => Buffer.from(name).toString()), told };
  };
  assert.deepEqual(read({}), { names: ['user.a', 'user.b', 'user.c'], told: [] });
  for (const code of ['ENOTSUP', 'EOPNOTSUPP'])
    assert.deepEqual(read({ listXattrs: failing(code) }), { names: undefined, told: [] });
  assert.match(read({ listXattrs: failing('EIO') }).told.join(), /read or write error/);
  for (const code of ['EPERM', 'ENODATA'])
    assert.deepEqual(read({ getXattr: failing(code) }), { names: undefined, told: [] });
  assert.equal(read({ getXattr: failing('EACCES') }).told.length, 2);
  // More than an entry holds: the rest is told, and what is kept can be stored.
  const huge = read({
    getXattr: (_, name, bytesMax) =>
      name.at(-1) === 0x62 ? failing('E2BIG')() : new Uint8Array(bytesMax / 2),
  });
  assert.deepEqual(huge.names, ['user.a', 'user.c']);
  assert.deepEqual(huge.told, [
    'its extended attribute user.b could not be read: it is too large to be kept',
  ]);
  const told: string[] = [];
  const many = {
    ...needNative(),
    listXattrs: () => Array.from({ length: 20_000 }, (_, i) => utf8(`user.${String(i).padStart(6, '0')}`)),
    getXattr: () => new Uint8Array(1),
  };
  const found = readXattrs(many, itself(file), (text) => void told.push(text));
  assert.equal(told.length, 2);
  assert.ok(found !== undefined && found.length <= 16384);
  assert.ok(encodeTree([{ ...entryAt(file), xattrs: found }]).length < 2 ** 20);
});

test('the map of a sparse file is that of its data', { skip }, async (t) => {
  const folder = await tempFolder(t);
  const path = join(folder, 'sparse');
  const mib = 2 ** 20;
  writeSparse(path, 16 * mib, [
    [4 * mib, 'x'.repeat(mib)],
    [8 * mib, 'x'],
  ]);
  const handle = openSync(path, 'r');
  atEnd(t, () => closeSync(handle));
  const entry = withFileExtras(entryAt(path), handle, fstatSync(handle, { bigint: true }), assert.fail);
  assert.equal(entry.sparse?.length, 2);
  assert.deepEqual(entry.sparse?.[0], { offset: 4 * mib, length: mib });
  writeFileSync(join(folder, 'full'), 'x'.repeat(10_000));
  const full = openSync(join(folder, 'full'), 'r');
  atEnd(t, () => closeSync(full));
  assert.equal(dataRuns(needNative(), full, 10_000), undefined);
});

test('a map has a bounded number of runs, and the large holes stay', () => {
  const step = 8192;
  const size = 100_000 * step;
  // Data in each second block, and one large hole.
  const native = {
    nextData: (_: number, at: number) => {
      const start = Math.ceil(at / step) * step;
      const next = at % step < 4096 ? at : start;
      return next >= size / 4 && next < size / 2 ? size / 2 : next;
    },
    nextHole: (_: number, at: number) => Math.floor(at / step) * step + 4096,
  } as unknown as NativeCalls;
  const runs = dataRuns(native, 0, size) ?? [];
  assert.ok(runs.length > 0 && runs.length <= dataRunsMax);
  const inLarge = runs.filter(({ offset, length }) => offset < size / 2 && offset + length > size / 4 + step);
  assert.deepEqual(inLarge, []);
});

test('a file system that leads round in circles gives no map', () => {
  const circling = { nextData: () => 0, nextHole: () => 4096 } as unknown as NativeCalls;
  assert.equal(dataRuns(circling, 0, 1_000_000), undefined);
  assert.equal(dataRuns({ nextData: failing('EINVAL') } as unknown as NativeCalls, 0, 1_000_000), undefined);
});

test('maps are cut where the file ends', () => {
  const runs = [
    { offset: 0, length: 10 },
    { offset: 20, length: 10 },
  ];
  assert.deepEqual(clampRuns(runs, 25), [
    { offset: 0, length: 10 },
    { offset: 20, length: 5 },
  ]);
  assert.deepEqual(clampRuns(runs, 20), [{ offset: 0, length: 10 }]);
  assert.deepEqual(clampRuns(runs, 0), []);
});

test('what is written around holes gives the same bytes, whatever the map says', () => {
  const run = fc.record({ gap: fc.nat(40), length: fc.integer({ min: 1, max: 40 }) });
  const piece = fc.record({ zero: fc.boolean(), length: fc.nat(60) });
  fc.assert(
    fc.property(fc.array(run), fc.array(piece), fc.nat(100), (runs, pieces, offset) => {
      let end = 0;
      const map = runs.map(({ gap, length }) => {
        const offset = end + gap;
        end = offset + length;
        return { offset, length };
      });
      const bytes = Uint8Array.from(
        pieces.flatMap(({ zero, length }) => Array<number>(length).fill(zero ? 0 : 1)),
      );
      const copy = new Uint8Array(bytes.length);
      let last = -1;
      for (const { start, end } of partsToWrite(map, bytes, offset)) {
        assert.ok(start > last && end > start && end <= bytes.length);
        copy.set(bytes.subarray(start, end), start);
        last = end;
      }
      assert.deepEqual(copy, bytes);
    }),
  );
  assert.deepEqual(partsToWrite([{ offset: 4, length: 4 }], new Uint8Array(16), 0), [{ start: 4, end: 8 }]);
  assert.deepEqual(partsToWrite([], new Uint8Array(300_000), 7), []);
});

test('without its list an entry gives the group what the list gave it', () => {
  const entry = (acl?: Uint8Array): TreeEntry => ({
    name: utf8('x'),
    type: 1,
    mode: 0o2660,
    uid: 0,
    gid: 0,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 1n,
    size: 0,
    xattrs: acl === undefined ? [] : [{ name: utf8('system.posix_acl_access'), value: acl }],
  });
  assert.equal(modeWithoutAcl(entry()), 0o2660);
  assert.equal(modeWithoutAcl(entry(aclValue(6, 4))), 0o2640);
  assert.equal(modeWithoutAcl(entry(aclValue(6, 7))), 0o2660);
  assert.equal(modeWithoutAcl(entry(new Uint8Array([2, 0, 0, 0, 1]))), 0o2600);
  assert.equal(modeWithoutAcl(entry(new Uint8Array(0))), 0o2600);
});

test('an unchanged file keeps what is stored of it, unless that may lack something', { skip }, async (t) => {
  const folder = await tempFolder(t);
  const path = join(folder, 'file');
  mkdirSync(join(folder, 'x'));
  writeFileSync(path, 'x');
  setXattr(path, 'user.now', 'x');
  const now = entryAt(path);
  const content = { level: 0, ids: [new Uint8Array(32)] };
  const kept = [{ name: utf8('user.kept'), value: utf8('x') }];
  const before = { ...now, content, xattrs: kept };
  const options = { path: utf8(path), tell: assert.fail };
  const same = unchangedEntry(now, before, { ...options, kept: readableMetadata() });
  assert.deepEqual([same.content, same.xattrs], [content, kept]);
  const looked = unchangedEntry(now, before, { ...options, kept: [] });
  assert.deepEqual(
    [looked.content, looked.xattrs?.map(({ name }) => Buffer.from(name).toString())],
    [content, ['user.now']],
  );
  // What changed since the walk is for the next backup.
  const stale = unchangedEntry({ ...now, ctimeNs: 1n }, before, { ...options, kept: [] });
  assert.deepEqual(stale.xattrs, kept);
});

test('device numbers are packed as the system has them', () => {
  for (const [major, minor] of [
    [1, 3],
    [4095, 255],
    [4096, 256],
    [0xffff_ffff, 0xffff_ffff],
  ] as const) {
    const rdev = packDevice({ major, minor });
    assert.ok(rdev < 2n ** 64n);
    if (process.platform !== 'linux') continue;
    const stats = { ...lstatSync('/dev/null', { bigint: true }), rdev };
    Object.setPrototypeOf(stats, Object.getPrototypeOf(lstatSync('/dev/null', { bigint: true })) as object);
    assert.deepEqual(entryOf(utf8('x'), stats, localAccounts()).device, { major, minor });
  }
  assert.equal(packDevice({ major: 1, minor: 3 }), lstatSync('/dev/null', { bigint: true }).rdev);
});

test('what can not be read is put in words', () => {
  assert.equal(lossInWords(['xattrs', 'holes']), undefined);
  assert.equal(lossInWords(['xattrs']), 'the holes of sparse files');
  assert.match(lossInWords(readableMetadata('none')) ?? '', /access control lists and the holes/);
});
