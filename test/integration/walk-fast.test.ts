import assert from 'node:assert/strict';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { equalBytes, utf8 } from '../../lib/base/bytes.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { entryOf } from '../../lib/source/entry.ts';
import { IgnoreRules } from '../../lib/source/ignore.ts';
import { fastLstat } from '../../lib/source/native-stat.ts';
import { nativeCalls } from '../../lib/source/native.ts';
import { deviceOf, numbersOf } from '../../lib/source/stat-numbers.ts';
import { walkBatches, type WalkEvent, type WalkOptions } from '../../lib/source/walk.ts';
import { aclValue, needNative, setXattr } from '../support/metadata-tree.ts';
import { tempFolder } from '../support/temp-folder.ts';

const isLinux = process.platform === 'linux';

function optionsFor(folder: string): WalkOptions {
  return { sources: [utf8(folder)], ignore: IgnoreRules.from(), neverEnter: [], onProblem: () => undefined };
}

void test('the native lstat says what node’s says, of every kind of thing', { skip: !isLinux }, async (t) => {
  const folder = await tempFolder(t);
  const fast = fastLstat();
  assert.ok(fast, 'koffi loads on Linux');
  writeFileSync(join(folder, 'file'), 'abc', { mode: 0o4640 });
  writeFileSync(join(folder, 'huge'), '');
  truncateSync(join(folder, 'huge'), 5 * 2 ** 40);
  utimesSync(join(folder, 'huge'), -5.25, -5.25);
  linkSync(join(folder, 'file'), join(folder, 'second name'));
  mkdirSync(join(folder, 'folder'), { mode: 0o1751 });
  symlinkSync('nowhere', join(folder, 'link'));
  nativeCalls()?.makeFifo(utf8(join(folder, 'fifo')), 0o600);
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]), 'not UTF-8');
  const names = ['file', 'huge', 'second name', 'folder', 'link', 'fifo', '\u00ff\u00fe'];
  fast.enter(utf8(folder));
  for (const name of names) {
    const path = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')]);
    assert.deepEqual(fast.lstat(name), numbersOf(lstatSync(path, { bigint: true })), name);
  }
  assert.equal(fast.lstat('missing'), undefined);
  assert.equal(fast.lstat('x'.repeat(5000)), undefined, 'longer than the system takes');
  fast.enter(utf8('/'));
  assert.deepEqual(fast.lstat('dev'), numbersOf(lstatSync('/dev', { bigint: true })));
  fast.enter(utf8('/dev'));
  for (const name of ['null', 'zero']) {
    assert.deepEqual(fast.lstat(name), numbersOf(lstatSync(`/dev/${name}`, { bigint: true })), name);
  }
  fast.enter(utf8(`/${'x'.repeat(4100)}`));
  assert.equal(fast.lstat('file'), undefined, 'a folder whose path is too long');
});

void test('device numbers are packed as the system packs them', () => {
  assert.equal(deviceOf(8, 1), 0x801n);
  assert.equal(deviceOf(0xabcde, 0x12345678), 0xab123456cde78n);
});

void test('a walk of thousands gives each entry as lstat does, in batches', async (t) => {
  const folder = await tempFolder(t);
  const count = 2600;
  for (let f = 0; f < 2; f++) {
    mkdirSync(join(folder, `f${f}`));
    for (let i = 0; i < count / 2; i++) writeFileSync(join(folder, `f${f}`, `n${i}`), 'x'.repeat(i % 7));
  }
  symlinkSync('f0', join(folder, 'z'));
  const accounts = localAccounts();
  const events: WalkEvent[] = [];
  for await (const batch of walkBatches(optionsFor(folder))) {
    assert.ok(batch.length > 0 && batch.length <= 256);
    events.push(...batch);
  }
  const entries = events.filter(({ kind }) => kind === 'entry');
  assert.equal(entries.length, count + 1);
  for (const { path, entry, device } of entries) {
    const stats = lstatSync(Buffer.from(path), { bigint: true });
    const target = stats.isSymbolicLink() ? utf8('f0') : undefined;
    assert.deepEqual(entry, entryOf(entry.name, stats, accounts, target));
    assert.equal(device, stats.dev);
  }
});

void test('an access list on a FIFO is told by the walk', { skip: !isLinux }, async (t) => {
  const folder = await tempFolder(t);
  needNative().makeFifo(utf8(join(folder, 'fifo')), 0o600);
  setXattr(join(folder, 'fifo'), 'system.posix_acl_access', aclValue(6, 4));
  const found: WalkEvent[] = [];
  for await (const batch of walkBatches(optionsFor(folder))) found.push(...batch);
  const fifo = found.find(({ entry }) => equalBytes(entry.name, utf8('fifo')));
  const names = fifo?.entry.xattrs?.map(({ name }) => Buffer.from(name).toString());
  assert.deepEqual(names, ['system.posix_acl_access']);
});

void test(
  'what vanishes between listing and looking is marked by a native walk as well',
  { skip: !isLinux },
  async (t) => {
    const folder = await tempFolder(t);
    for (let i = 0; i < 3000; i++) writeFileSync(join(folder, `n${String(i).padStart(5, '0')}`), '');
    const events: WalkEvent[] = [];
    for await (const batch of walkBatches(optionsFor(folder))) {
      if (events.length === 0) unlinkSync(join(folder, 'n02990'));
      events.push(...batch);
    }
    const marked = events.filter(({ entry }) => entry.error !== undefined);
    assert.deepEqual(
      marked.map(({ path }) => Buffer.from(path).toString()),
      [join(folder, 'n02990')],
    );
  },
);
