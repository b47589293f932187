import assert from 'node:assert/strict';
import { lstatSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { utf8 } from '../../lib/base/bytes.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { floorTo, nativeCalls, setMtime } from '../../lib/source/native.ts';
import { displayPath, nameBytes, nameFits, nameKey, splitPath, joinPath } from '../../lib/source/path.ts';
import { tempFolder } from '../support/temp-folder.ts';

const times = fc.bigInt({ min: -2_000_000_000_000_000_000n, max: 4_000_000_000_000_000_000n });

void test('floorTo rounds down on both sides of 1970', () => {
  assert.equal(floorTo(1999n, 1000n), 1000n);
  assert.equal(floorTo(-1n, 1000n), -1000n);
  assert.equal(floorTo(-1000n, 1000n), -1000n);
});

void test('with native calls mtimes are exact to the ns, and symlinks are not followed', async (t) => {
  const native = nativeCalls();
  if (native === undefined) return t.skip('koffi does not load here');
  const folder = await tempFolder(t);
  const [file, link] = [join(folder, 'file'), join(folder, 'link')];
  writeFileSync(file, 'x');
  symlinkSync('file', link);
  fc.assert(
    fc.property(times, times, (a, b) => {
      setMtime(native, utf8(file), a, false);
      setMtime(native, utf8(link), b, false);
      assert.equal(lstatSync(file, { bigint: true }).mtimeNs, a);
      assert.equal(lstatSync(link, { bigint: true }).mtimeNs, b);
    }),
  );
  assert.throws(() => native.setMtime(utf8(join(folder, 'none')), 0n, false), { code: 'ENOENT' });
  assert.throws(() => native.makeFifo(utf8(file), 0o600), { code: 'EEXIST' });
});

void test('without native calls mtimes are exact to the µs', async (t) => {
  const folder = await tempFolder(t);
  const [file, link] = [join(folder, 'file'), join(folder, 'link')];
  writeFileSync(file, 'x');
  symlinkSync('file', link);
  const recent = fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n });
  fc.assert(
    fc.property(recent, recent, (a, b) => {
      setMtime(undefined, utf8(file), a, false);
      setMtime(undefined, utf8(link), b, false);
      for (const [path, wanted] of [
        [file, a],
        [link, b],
      ] as const) {
        assert.equal(floorTo(lstatSync(path, { bigint: true }).mtimeNs, 1000n), floorTo(wanted, 1000n));
      }
    }),
  );
});

void test('names survive the way through strings of one char per byte, in the order of their bytes', () => {
  const name = fc.uint8Array({ minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(name, name, (a, b) => {
      assert.deepEqual(nameBytes(nameKey(a)), a);
      assert.equal(
        Math.sign(Buffer.compare(a, b)),
        nameKey(a) < nameKey(b) ? -1 : nameKey(a) > nameKey(b) ? 1 : 0,
      );
    }),
  );
});

void test('paths are joined, split and shown', () => {
  const names = splitPath(utf8('//a/b//c/'));
  assert.deepEqual(names.map(nameKey), ['a', 'b', 'c']);
  assert.equal(displayPath(names, '/t'), '/t/a/b/c');
  assert.equal(displayPath(names), '/a/b/c');
  assert.equal(nameKey(joinPath(utf8('/'), utf8('a'))), '/a');
  assert.equal(nameKey(joinPath(utf8('/a'), utf8('b'))), '/a/b');
});

void test('names that Windows reserves or cuts do not fit there', () => {
  for (const name of ['CON', 'nul.txt', 'Com1', 'lpt9.x', 'a:b', 'a\\b', 'a.', 'a ', 'a\nb', '*']) {
    assert.ok(!nameFits(utf8(name), 'win32'), name);
    assert.ok(nameFits(utf8(name), 'linux'), name);
  }
  assert.ok(!nameFits(new Uint8Array([0xff]), 'win32'));
  for (const name of ['console', 'com', 'a.b', 'ü']) assert.ok(nameFits(utf8(name), 'win32'), name);
});

void test('accounts come from the files of the machine; what is odd in them is left out', async (t) => {
  const folder = await tempFolder(t);
  writeFileSync(
    join(folder, 'passwd'),
    'root:x:0:0::/:/bin/sh\n\nodd\nbad:x:abc:0\nada:x:1000:1000::/home/ada:/bin/sh\n',
  );
  const accounts = localAccounts(folder);
  assert.equal(accounts.user(0), 'root');
  assert.equal(accounts.user(1000), 'ada');
  assert.equal(accounts.user(7), undefined);
  assert.equal(accounts.group(0), undefined, 'there is no group file');
});
