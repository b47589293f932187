import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  unlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { concatBytes, utf8 } from '../../lib/base/bytes.ts';
import type { TreeEntry } from '../../lib/format/tree-entry.ts';
import { entryTypes } from '../../lib/format/tree-entry.ts';
import { compareTrees } from '../../lib/source/compare.ts';
import { mtimeGrainNs, nativeCalls, setMtime } from '../../lib/source/native.ts';
import type { SourceProblem } from '../../lib/source/problem.ts';
import type { RestoreWriterOptions } from '../../lib/source/restore-writer.ts';
import { RestoreWriter } from '../../lib/source/restore-writer.ts';
import { isTempName } from '../../lib/source/restore-sink.ts';
import { asNobody } from '../support/as-nobody.ts';
import { restoreByWalk } from '../support/restore-by-walk.ts';
import { tempFolder } from '../support/temp-folder.ts';

const always = { overwrite: 'always' } as const;

function put(path: string, text = ''): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function entry(name: string | Uint8Array, more: Partial<TreeEntry> = {}): TreeEntry {
  return {
    name: typeof name === 'string' ? utf8(name) : name,
    type: entryTypes.file,
    mode: 0o644,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    mtimeNs: 1_600_000_000_123_456_789n,
    ctimeNs: 0n,
    inode: 1n,
    size: 0,
    ...more,
  };
}

const folder = (name: string | Uint8Array, more: Partial<TreeEntry> = {}): TreeEntry =>
  entry(name, { type: entryTypes.folder, mode: 0o755, ...more });
const symlink = (name: string, target: string, more: Partial<TreeEntry> = {}): TreeEntry =>
  entry(name, { type: entryTypes.symlink, mode: 0o777, linkTarget: utf8(target), ...more });

async function file(
  writer: RestoreWriter,
  name: string,
  text: string,
  more: Partial<TreeEntry> = {},
): Promise<string> {
  const bytes = utf8(text);
  const sink = await writer.beginFile(entry(name, { size: bytes.length, ...more }));
  if (typeof sink === 'string') return sink;
  await sink.write(bytes, 0);
  await sink.commit();
  return 'written';
}

interface Trial {
  readonly writer: RestoreWriter;
  readonly problems: SourceProblem[];
}

function writerFor(target: string, options: Partial<RestoreWriterOptions> = {}): Trial {
  const problems: SourceProblem[] = [];
  const onProblem = (problem: SourceProblem): void => void problems.push(problem);
  return { writer: new RestoreWriter({ target, ...always, onProblem, ...options }), problems };
}

async function differences(left: string, right: string, grainNs = mtimeGrainNs()): Promise<string[]> {
  const found: string[] = [];
  for await (const text of compareTrees(left, right, { mtimeGrainNs: grainNs })) found.push(text);
  return found.filter((text) => !text.startsWith('the folder itself'));
}

/** A folder with what makes restoring hard. */
function makeOdd(base: string): void {
  put(join(base, 'empty'));
  mkdirSync(join(base, 'empty folder'));
  put(join(base, 'deep/er/file'), 'x'.repeat(1_000_000));
  for (const name of ['-rf', 'new\nline', ' spaces ', '😀', 'n'.repeat(255), '\x1b[2J', 'a\\b'])
    put(join(base, name), name);
  if (process.platform === 'linux') {
    const invalid = concatBytes(utf8(`${base}/`), new Uint8Array([0xff, 0xfe, 0x41]));
    writeFileSync(Buffer.from(invalid), 'not UTF-8');
    symlinkSync(Buffer.from([0x2e, 0xff]), join(base, 'link to odd'));
  }
  symlinkSync('loop', join(base, 'loop'));
  symlinkSync('.', join(base, 'deep/here'));
  symlinkSync('/etc/passwd', join(base, 'outside'));
  symlinkSync('gone', join(base, 'dangling'));
  put(join(base, 'sealed/in it'), 'text');
  put(join(base, 'set-uid'), 'x');
  chmodSync(join(base, 'set-uid'), 0o4755);
  chmodSync(join(base, 'empty'), 0o000);
  chmodSync(join(base, 'deep'), 0o1777);
  linkSync(join(base, 'deep/er/file'), join(base, 'hard link'));
  utimesSync(join(base, 'deep/er/file'), 0.5, 12.345_678);
  const native = nativeCalls();
  if (native !== undefined) {
    native.makeFifo(utf8(join(base, 'fifo')), 0o600);
    chmodSync(join(base, 'fifo'), 0o622);
    setMtime(native, utf8(join(base, 'set-uid')), -1_234_567_890_123_456_789n, false);
    setMtime(native, utf8(join(base, 'dangling')), 1_111_111_111_111_111_111n, false);
  } else {
    lutimesSync(join(base, 'dangling'), 1, 1);
  }
  if (process.geteuid?.() === 0) {
    chownSync(join(base, 'sealed/in it'), 12345, 23456);
    chownSync(join(base, 'sealed'), 12345, 23456);
  }
  chmodSync(join(base, 'sealed'), 0o555);
  utimesSync(join(base, 'sealed'), 1_000_000_000, 1_000_000_000.25);
}

void test('everything comes back: names, bytes, types, modes, owners, times, links', async (t) => {
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'new/target')];
  makeOdd(source);
  const problems: SourceProblem[] = [];
  const counts = await restoreByWalk(source, { target, ...always, problems });
  assert.deepEqual(problems, []);
  assert.deepEqual(await differences(source, target), []);
  assert.equal(counts.hardlinks, 1);
  assert.equal(counts.failed + counts.skipped, 0);
  const [a, b] = ['deep/er/file', 'hard link'].map((name) => lstatSync(join(target, name)));
  assert.equal(a?.ino, b?.ino);
});

void test('without folder handles and native calls it comes back to the µs', async (t) => {
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  makeOdd(source);
  rmSync(join(source, 'fifo'), { force: true });
  utimesSync(join(source, 'set-uid'), 1, 1);
  const counts = await restoreByWalk(source, { target, ...always, native: 'none', useHandles: false });
  assert.deepEqual(await differences(source, target, 1000n), []);
  const again = await restoreByWalk(source, {
    target,
    overwrite: 'if-changed',
    native: 'none',
    useHandles: false,
  });
  assert.equal(again.files, 0);
  assert.equal(again.skipped, counts.files + counts.hardlinks + counts.symlinks);
});

void test('a second restore with if-changed writes nothing and mends what differs', async (t) => {
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  makeOdd(source);
  const first = await restoreByWalk(source, { target, ...always });
  const again = await restoreByWalk(source, { target, overwrite: 'if-changed' });
  assert.equal(again.files + again.symlinks + again.hardlinks + again.others, 0);
  assert.equal(again.skipped, first.files + first.symlinks + first.hardlinks + first.others);
  chmodSync(join(target, '-rf'), 0o777);
  put(join(target, 'new\nline'), 'changed!');
  unlinkSync(join(target, 'dangling'));
  symlinkSync('elsewhere', join(target, 'dangling'));
  const third = await restoreByWalk(source, { target, overwrite: 'if-changed' });
  assert.deepEqual([third.files, third.symlinks], [1, 1]);
  assert.deepEqual(await differences(source, target), []);
});

void test('overwrite policies: never, if-newer, always', async (t) => {
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  for (const [where, time] of [
    [source, 1000],
    [target, 2000],
  ] as const) {
    put(join(where, 'a'), where);
    utimesSync(join(where, 'a'), time, time);
  }
  put(join(target, 'sub/kept'), 'mine');
  put(join(source, 'sub/new'), 'theirs');
  chmodSync(join(target, 'sub'), 0o750);
  const text = (): string => readFileSync(join(target, 'a'), 'utf8');

  const never = await restoreByWalk(source, { target, overwrite: 'never' });
  assert.deepEqual([text(), never.skipped, never.files], [target, 1, 1]);
  assert.equal(lstatSync(join(target, 'sub')).mode & 0o777, 0o750, 'nor are folders touched that were there');
  assert.equal((await restoreByWalk(source, { target, overwrite: 'if-newer' })).skipped, 2);
  assert.equal(text(), target);
  utimesSync(join(target, 'a'), 999, 999);
  assert.equal((await restoreByWalk(source, { target, overwrite: 'if-newer' })).files, 1);
  assert.equal(text(), source);
  put(join(target, 'a'), 'again');
  await restoreByWalk(source, { target, ...always });
  assert.equal(text(), source);
  assert.equal(readFileSync(join(target, 'sub/kept'), 'utf8'), 'mine');
});

void test('names that lead out of a folder are refused and nothing is written', async (t) => {
  const base = await tempFolder(t);
  const target = join(base, 'target');
  const { writer, problems } = writerFor(target);
  const hostile = ['..', '.', '', '/etc', 'a/b', '../x', 'nul\0byte', 'x'.repeat(5000)];
  for (const name of hostile) {
    assert.equal(await file(writer, name, 'evil'), 'skipped');
    assert.equal(await writer.enterFolder(folder(name)), 'skip');
    await writer.addSymlink(symlink(name, 'x'));
    await writer.addOther(entry(name, { type: entryTypes.fifo }));
  }
  await writer.finish();
  assert.equal(problems.length, hostile.length * 4);
  assert.ok(problems.every((problem) => problem.code === 'malformed'));
  assert.deepEqual(readdirSync(base), ['target']);
  assert.deepEqual(readdirSync(target), []);
});

void test('a tree that names a symlink and then writes through it stays inside', async (t) => {
  const base = await tempFolder(t);
  const [target, outside] = [join(base, 'target'), join(base, 'outside')];
  mkdirSync(outside);
  const { writer } = writerFor(target);
  await writer.addSymlink(symlink('a', outside));
  assert.equal(await writer.enterFolder(folder('a')), 'enter');
  await file(writer, 'x', 'in a');
  await writer.addSymlink(symlink('b', outside));
  await writer.leaveFolder();
  assert.ok(lstatSync(join(target, 'a/b')).isSymbolicLink(), 'made when its folder was left');
  // The same folder once more: now its symlink is there before the folder of the same name.
  assert.equal(await writer.enterFolder(folder('a')), 'enter');
  assert.equal(await writer.enterFolder(folder('b')), 'enter');
  await file(writer, 'y', 'in b');
  await writer.leaveFolder();
  await file(writer, 'x', 'over it');
  await writer.addSymlink(symlink('x', join(outside, 'made')));
  await writer.leaveFolder();
  await file(writer, 'a', 'a file where a folder is');
  await writer.finish();
  assert.deepEqual(readdirSync(outside), []);
  assert.equal(readFileSync(join(target, 'a/b/y'), 'utf8'), 'in b');
  assert.equal(readlinkSync(join(target, 'a/x')), join(outside, 'made'));
  assert.ok(lstatSync(join(target, 'a')).isDirectory(), 'a folder with something in it gives way to nothing');
});

for (const useHandles of [true, false]) {
  void test(`symlinks that were in the target before are replaced, not followed (handles: ${useHandles})`, async (t) => {
    if (useHandles && process.platform !== 'linux') return t.skip('only Linux has /proc/self/fd');
    const base = await tempFolder(t);
    const [target, outside] = [join(base, 'target'), join(base, 'outside')];
    put(join(outside, 'file'), 'untouched');
    mkdirSync(target);
    symlinkSync(outside, join(target, 'folder'));
    symlinkSync(join(outside, 'file'), join(target, 'file'));
    const never = writerFor(target, { overwrite: 'never', useHandles });
    assert.equal(await never.writer.enterFolder(folder('folder')), 'skip');
    assert.equal(await file(never.writer, 'file', 'new'), 'skipped');
    await never.writer.finish();
    assert.equal(never.problems.length, 1);
    assert.ok(lstatSync(join(target, 'folder')).isSymbolicLink());

    const { writer } = writerFor(target, { useHandles });
    assert.equal(await writer.enterFolder(folder('folder')), 'enter');
    assert.equal(await file(writer, 'file', 'new'), 'written');
    await writer.leaveFolder();
    assert.equal(await file(writer, 'file', 'new'), 'written');
    await writer.finish();
    assert.ok(lstatSync(join(target, 'folder')).isDirectory());
    assert.ok(lstatSync(join(target, 'file')).isFile());
    assert.deepEqual(readdirSync(outside), ['file']);
    assert.equal(readFileSync(join(outside, 'file'), 'utf8'), 'untouched');
  });

  void test(`a folder exchanged for a symlink while it is written to is not followed (handles: ${useHandles})`, async (t) => {
    if (useHandles && process.platform !== 'linux') return t.skip('only Linux has /proc/self/fd');
    const base = await tempFolder(t);
    const [target, outside] = [join(base, 'target'), join(base, 'outside')];
    mkdirSync(outside);
    const { writer, problems } = writerFor(target, { useHandles });
    await writer.enterFolder(folder('a'));
    const open = await writer.beginFile(entry('under way', { size: 1 }));
    assert.ok(typeof open === 'object');
    renameSync(join(target, 'a'), join(target, 'moved'));
    symlinkSync(outside, join(target, 'a'));
    await file(writer, 'x', 'text');
    await open.write(utf8('1'), 0);
    await open.commit().catch((error: unknown) => assert.ok(!useHandles, String(error)));
    writer.close();
    assert.deepEqual(readdirSync(outside), []);
    if (useHandles) assert.deepEqual(readdirSync(join(target, 'moved')).sort(), ['under way', 'x']);
    else assert.equal(problems.length, 1);
  });
}

void test('a hard link already in the target is replaced, and its other name keeps bytes, mode and owner', async (t) => {
  const base = await tempFolder(t);
  const [target, outside] = [join(base, 'target'), join(base, 'outside')];
  put(outside, 'untouched');
  mkdirSync(target);
  linkSync(outside, join(target, 'a'));
  const before = lstatSync(outside);
  const same = { size: before.size, mtimeNs: lstatSync(outside, { bigint: true }).mtimeNs, mode: 0o777 };
  const { writer } = writerFor(target, { overwrite: 'if-changed' });
  assert.equal(await writer.beginFile(entry('a', same)), 'skipped');
  await writer.finish();
  assert.equal(lstatSync(outside).mode, before.mode);
  const second = writerFor(target);
  assert.equal(await file(second.writer, 'a', 'new'), 'written');
  await second.writer.finish();
  assert.equal(readFileSync(outside, 'utf8'), 'untouched');
});

void test('an interrupted restore leaves no half file under the real name, and the next one clears up', async (t) => {
  const base = await tempFolder(t);
  put(join(base, 'target/a/old'), 'old');
  const target = join(base, 'target');
  const stop = new AbortController();
  const { writer } = writerFor(target, { signal: stop.signal });
  await writer.enterFolder(folder('a'));
  for (const name of ['old', 'new']) {
    const sink = await writer.beginFile(entry(name, { size: 100 }));
    assert.ok(typeof sink === 'object');
    await sink.write(utf8('half'), 0);
  }
  assert.equal(readFileSync(join(target, 'a/old'), 'utf8'), 'old');
  const inside = readdirSync(join(target, 'a'));
  assert.equal(inside.filter(isTempName).length, 2);
  assert.ok(!inside.includes('new'));
  stop.abort();
  await assert.rejects(writer.beginFile(entry('more')), { code: 'interrupted' });
  writer.close();
  assert.deepEqual(readdirSync(join(target, 'a')), ['old']);

  put(join(target, `a/.kith-restore-${'0'.repeat(32)}`), 'left by a process that was killed');
  put(join(target, 'a/.kith-restore-mine'), 'somebody’s');
  const next = writerFor(target);
  await next.writer.enterFolder(folder('a'));
  await next.writer.leaveFolder();
  await next.writer.finish();
  assert.deepEqual(readdirSync(join(target, 'a')).sort(), ['.kith-restore-mine', 'old']);
});

void test('a file whose bytes are not all there, or too many, does not appear', async (t) => {
  const target = await tempFolder(t);
  const { writer } = writerFor(target);
  const short = await writer.beginFile(entry('short', { size: 5 }));
  const long = await writer.beginFile(entry('long', { size: 5 }));
  const holed = await writer.beginFile(entry('holed', { size: 5 }));
  const given = await writer.beginFile(entry('given up', { size: 5 }));
  assert.ok(
    typeof short === 'object' &&
      typeof holed === 'object' &&
      typeof long === 'object' &&
      typeof given === 'object',
  );
  await short.write(utf8('1234'), 0);
  await assert.rejects(short.commit(), { code: 'damaged' });
  await holed.write(utf8('2345'), 1);
  await assert.rejects(holed.commit(), { code: 'damaged' }, 'the first byte was never written');
  await assert.rejects(long.write(utf8('1234'), 2), { code: 'damaged' });
  await assert.rejects(long.write(utf8('1'), 0), { code: 'internal' });
  await given.abort();
  await given.abort();
  const { failed, files } = await writer.finish();
  assert.deepEqual([failed, files], [4, 0]);
  assert.deepEqual(readdirSync(target), []);
});

void test('a folder can’t be left while a file of it is under way', async (t) => {
  const target = await tempFolder(t);
  const { writer } = writerFor(target);
  await writer.enterFolder(folder('a'));
  const sink = await writer.beginFile(entry('x'));
  assert.ok(typeof sink === 'object');
  await assert.rejects(writer.leaveFolder(), { code: 'internal' });
  await sink.commit();
  await writer.leaveFolder();
  await writer.finish();
  await assert.rejects(writer.beginFile(entry('y')), { code: 'internal' });
});

void test('--delete removes what the snapshot does not have, never through a link, a mount or where it may not', async (t) => {
  const base = await tempFolder(t);
  const [target, outside] = [join(base, 'target'), join(base, 'outside')];
  put(join(outside, 'precious'), 'x');
  for (const name of [
    'a/wanted',
    'a/extra',
    'a/tree/x/y',
    'a/home/key',
    'a/unwanted-but-kept',
    'top',
    'b/x',
    'c/x',
  ]) {
    put(join(target, name), name);
  }
  symlinkSync(outside, join(target, 'a/link'));
  symlinkSync(outside, join(target, 'a/tree/link'));
  chmodSync(join(target, 'a/tree/x'), 0o000);
  async function run(dryRun: boolean): Promise<Trial> {
    const trial = writerFor(target, {
      dryRun,
      deleteExtra: (components) => components.length > 1,
      neverRemove: [utf8(join(target, 'a/home'))],
    });
    const { writer } = trial;
    await writer.enterFolder(folder('a'));
    await file(writer, 'wanted', 'new');
    writer.keep(utf8('unwanted-but-kept'));
    await writer.leaveFolder();
    await writer.enterFolder(folder('b'));
    await writer.leaveFolder({ complete: false });
    await writer.enterFolder(folder('c', { error: 'could not be listed' }));
    await writer.leaveFolder();
    await writer.finish();
    return trial;
  }
  const dry = await run(true);
  assert.equal(dry.writer.counts.removed, 6);
  assert.ok(existsSync(join(target, 'a/extra')));
  const { writer, problems } = await run(false);
  assert.equal(writer.counts.removed, 6);
  assert.deepEqual(readdirSync(join(target, 'a')).sort(), ['home', 'unwanted-but-kept', 'wanted']);
  assert.deepEqual(readdirSync(target).sort(), ['a', 'b', 'c', 'top']);
  assert.ok(existsSync(join(target, 'b/x')) && existsSync(join(target, 'c/x')));
  assert.deepEqual(readdirSync(outside), ['precious']);
  assert.deepEqual(
    problems.map((problem) => problem.item),
    [join(target, 'a/home'), join(target, 'c')],
  );
});

void test('a dry run counts and changes nothing', async (t) => {
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  makeOdd(source);
  const dry = await restoreByWalk(source, { target, ...always, dryRun: true });
  assert.ok(!existsSync(target));
  const real = await restoreByWalk(source, { target, ...always });
  assert.deepEqual(
    { ...dry, hardlinks: 0, files: dry.files - 1, bytes: 0 },
    { ...real, hardlinks: 0, bytes: 0 },
  );
  const before = lstatSync(target, { bigint: true }).ctimeNs;
  await restoreByWalk(source, { target, ...always, dryRun: true });
  assert.equal(lstatSync(target, { bigint: true }).ctimeNs, before);
});

void test('a lazy folder is made with its first file, or never', async (t) => {
  const target = await tempFolder(t);
  const { writer } = writerFor(target);
  for (const name of ['none', 'some']) {
    await writer.enterFolder(folder(name, { mode: 0o700 }), { lazy: true });
    await writer.enterFolder(folder('below', { mode: 0o711 }), { lazy: true });
    if (name === 'some') await file(writer, 'x', 'x');
    await writer.leaveFolder();
    await writer.leaveFolder();
  }
  assert.equal((await writer.finish()).folders, 2);
  assert.deepEqual(readdirSync(target), ['some']);
  assert.equal(lstatSync(join(target, 'some/below')).mode & 0o777, 0o711);
  assert.equal(lstatSync(join(target, 'some'), { bigint: true }).mtimeNs, 1_600_000_000_123_456_789n);
});

void test('what can’t be made again is said, and does not stop the rest', async (t) => {
  const target = await tempFolder(t);
  const { writer, problems } = writerFor(target, { native: 'none' });
  await writer.addOther(entry('gone', { type: entryTypes.unreadable, error: 'permission denied' }));
  await writer.addOther(entry('disk', { type: entryTypes.blockDevice, device: { major: 8, minor: 0 } }));
  await writer.addOther(entry('socket', { type: entryTypes.socket }));
  await file(writer, 'after', 'x');
  const counts = await writer.finish();
  assert.deepEqual(
    problems.map((problem) => problem.item),
    [join(target, 'gone'), join(target, 'disk')],
  );
  assert.match(problems[0]?.message ?? '', /permission denied/);
  assert.deepEqual([counts.failed, counts.skipped, counts.files], [2, 1, 1]);
});

void test('a hard link whose first file was not written becomes a copy, and that is said', async (t) => {
  const target = await tempFolder(t);
  const hardlink = { device: 1n, inode: 7n, links: 3 };
  const { writer, problems } = writerFor(target);
  const first = await writer.beginFile(entry('a', { size: 1, hardlink }));
  assert.ok(typeof first === 'object');
  const waiting = file(writer, 'b', 'x', { hardlink });
  await first.abort();
  assert.equal(await waiting, 'written');
  await writer.finish();
  assert.match(problems[0]?.message ?? '', /copy/);
});

void test('a hard link is not made to a file that was exchanged meanwhile', async (t) => {
  const target = await tempFolder(t);
  const hardlink = { device: 1n, inode: 7n, links: 2 };
  const { writer, problems } = writerFor(target);
  await file(writer, 'a', 'x', { hardlink });
  rmSync(join(target, 'a'));
  put(join(target, 'a'), 'other');
  assert.equal(await file(writer, 'b', 'x', { hardlink }), 'written');
  await writer.finish();
  assert.equal(problems.length, 1);
  assert.equal(readFileSync(join(target, 'b'), 'utf8'), 'x');
  assert.deepEqual(readdirSync(target).sort(), ['a', 'b']);
});

void test('trees deeper than the open handles come back with modes and times', async (t) => {
  const base = await tempFolder(t);
  const { writer, problems } = writerFor(base);
  const depth = 300;
  for (let i = 0; i < depth; i++)
    assert.equal(await writer.enterFolder(folder('d', { mode: 0o750 })), 'enter');
  await file(writer, 'bottom', 'x');
  for (let i = 0; i < depth; i++) {
    await file(writer, 'up', String(i));
    await writer.leaveFolder();
  }
  await writer.finish();
  assert.deepEqual(problems, []);
  let path = base;
  for (let i = depth - 1; i >= 0; i--) {
    path = join(path, 'd');
    assert.equal(lstatSync(path).mode & 0o777, 0o750);
    assert.equal(readFileSync(join(path, 'up'), 'utf8'), String(i));
  }
});

void test('beyond the depth that trees may have, a folder is refused', async (t) => {
  const base = await tempFolder(t);
  const { writer, problems } = writerFor(base, { dryRun: true });
  let depth = 0;
  while ((await writer.enterFolder(folder('d'))) === 'enter') depth++;
  assert.equal(depth, 1024);
  assert.equal(problems.length, 1);
  writer.close();
});

void test('the number of files under way is bounded', async (t) => {
  const base = await tempFolder(t);
  const { writer } = writerFor(base);
  await assert.rejects(
    async () => {
      for (let i = 0; i < 1000; i++) await writer.beginFile(entry(`f${i}`));
    },
    { code: 'limit-exceeded' },
  );
  writer.close();
  assert.deepEqual(readdirSync(base), []);
});

void test('as an ordinary user: sealed folders are filled, set-uid is not lent, owners are left', async (t) => {
  const base = await tempFolder(t);
  chmodSync(base, 0o777);
  const target = join(base, 'target');
  const result = await asNobody(
    t,
    `
    const { RestoreWriter } = await load('lib/source/restore-writer.ts');
    const { nativeCalls } = await load('lib/source/native.ts');
    nativeCalls();
    becomeNobody();
    const fs = await import('node:fs');
    const target = ${JSON.stringify(target)};
    const problems = [];
    const base = { uid: 0, gid: 0, mtimeNs: 5n, ctimeNs: 0n, inode: 1n, size: 0 };
    const entry = (name, type, mode) => ({ ...base, name: Buffer.from(name), type, mode });
    async function run(overwrite) {
      const writer = new RestoreWriter({ target, overwrite, onProblem: (problem) => problems.push(problem.item + ': ' + problem.message) });
      await writer.enterFolder(entry('sealed', 2, 0o000));
      await writer.enterFolder(entry('inner', 2, 0o500));
      await (await writer.beginFile(entry('suid', 1, 0o6755))).commit();
      await writer.leaveFolder();
      await writer.leaveFolder();
      await writer.finish();
    }
    await run('always');
    const first = fs.statSync(target + '/sealed').mode & 0o7777;
    await run('always');
    fs.chmodSync(target + '/sealed', 0o700);
    report({ problems, first, inner: fs.statSync(target + '/sealed/inner').mode & 0o7777, suid: fs.statSync(target + '/sealed/inner/suid').mode & 0o7777 });
  `,
  );
  if (result === undefined) return;
  assert.deepEqual(result, { problems: [], first: 0, inner: 0o500, suid: 0o755 });
});

void test('a target that is a file is an error before anything is written', async (t) => {
  const base = await tempFolder(t);
  put(join(base, 'file'), 'x');
  assert.throws(() => writerFor(join(base, 'file')), { code: 'io-error' });
  mkdirSync(join(base, 'real'));
  symlinkSync('real', join(base, 'alias'));
  const { writer } = writerFor(join(base, 'alias'));
  await file(writer, 'x', 'x');
  await writer.finish();
  assert.deepEqual(readdirSync(join(base, 'real')), ['x'], 'the target itself may be a symlink');
});
