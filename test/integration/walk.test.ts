import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { compareBytes, concatBytes, displayText, utf8 } from '../../lib/base/bytes.ts';
import { entryTypes } from '../../lib/format/tree-entry.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { FolderChain } from '../../lib/source/folder-chain.ts';
import { IgnoreRules } from '../../lib/source/ignore.ts';
import { nativeCalls } from '../../lib/source/native.ts';
import type { SourceProblem } from '../../lib/source/problem.ts';
import { openForRead } from '../../lib/source/read.ts';
import { removeTree } from '../../lib/source/remove-tree.ts';
import { lookAgain } from '../../lib/source/walk-tree.ts';
import type { WalkEvent, WalkOptions } from '../../lib/source/walk.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { walkOf } from '../support/restore-by-walk.ts';
import { asNobody } from '../support/as-nobody.ts';

async function collect(
  sources: readonly (string | Uint8Array)[],
  options: Partial<WalkOptions> & { readonly problems?: SourceProblem[] } = {},
): Promise<WalkEvent[]> {
  const events: WalkEvent[] = [];
  for await (const event of walkOf(sources, options)) events.push(event);
  return events;
}

/** Paths under `base` of all that was met, folders with a slash; in the order of the walk. */
function pathsOf(events: readonly WalkEvent[], base: string): string[] {
  return events
    .filter((event) => event.kind !== 'leave')
    .map((event) => displayText(event.path) + (event.kind === 'enter' ? '/' : ''))
    .filter((path) => path.startsWith(`${base}/`))
    .map((path) => path.slice(base.length + 1))
    .filter((path) => path !== '');
}

function touch(path: string | Uint8Array, text = ''): void {
  if (typeof path === 'string') mkdirSync(dirname(path), { recursive: true });
  writeFileSync(typeof path === 'string' ? path : Buffer.from(path), text);
}

function eventAt(events: readonly WalkEvent[], path: string): WalkEvent {
  const event = events.find((each) => displayText(each.path) === path);
  assert.ok(event, `${path} was not met`);
  return event;
}

void test('a walk tells folders as enter … leave, from the root down, names in ascending byte order', async (t) => {
  const base = await tempFolder(t);
  for (const name of ['b', 'a/x', 'a b', 'a.c', 'Z', 'ü', '-rf', 'new\nline', '😀', 'n'.repeat(255)]) {
    touch(join(base, name));
  }
  const invalid = concatBytes(utf8(`${base}/`), new Uint8Array([0xff, 0xfe, 0x20]));
  touch(invalid);
  const events = await collect([base]);

  const depths: WalkEvent[][] = [[]];
  for (const event of events) {
    if (event.kind !== 'leave') depths.at(-1)?.push(event);
    if (event.kind === 'enter') depths.push([]);
    if (event.kind !== 'leave') continue;
    const children = depths.pop() ?? [];
    for (const [i, child] of children.entries()) {
      const before = children[i - 1];
      assert.ok(before === undefined || compareBytes(before.entry.name, child.entry.name) < 0);
    }
    assert.deepEqual(depths.at(-1)?.at(-1)?.path, event.path, 'leave belongs to the last enter');
  }
  assert.equal(depths.length, 1);
  assert.equal(events[0]?.entry.name.length, 0);
  assert.deepEqual(events[0]?.path, utf8('/'));
  assert.ok(
    events.some((event) => compareBytes(event.path, invalid) === 0),
    'a name that is not UTF-8 is kept',
  );
  assert.equal(pathsOf(events, base).length, 12);
  const outside = events.filter((event) => !displayText(event.path).startsWith(base));
  assert.ok(outside.every((event) => event.kind !== 'entry' && base.startsWith(displayText(event.path))));
});

void test('an entry has what lstat says', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, 'file'), 'four');
  chmodSync(join(base, 'file'), 0o4751);
  symlinkSync('no where\n', join(base, 'link'));
  linkSync(join(base, 'file'), join(base, 'other name'));
  const events = await collect([base]);
  const stats = lstatSync(join(base, 'file'), { bigint: true });
  const file = eventAt(events, join(base, 'file'));
  assert.equal(file.device, stats.dev);
  const { user, group, ...entry } = file.entry;
  assert.deepEqual(entry, {
    name: utf8('file'),
    type: entryTypes.file,
    mode: 0o4751,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    inode: stats.ino,
    size: 4,
    content: undefined,
    linkTarget: undefined,
    device: undefined,
    birthtimeNs: stats.birthtimeNs > 0n ? stats.birthtimeNs : undefined,
    hardlink: { device: stats.dev, inode: stats.ino, links: 2 },
    sparse: undefined,
    xattrs: undefined,
    error: undefined,
    flags: undefined,
    extra: undefined,
  });
  assert.deepEqual([user, group], [localAccounts().user(entry.uid), localAccounts().group(entry.gid)]);
  assert.deepEqual(eventAt(events, join(base, 'link')).entry.linkTarget, utf8('no where\n'));
  assert.equal(eventAt(events, join(base, 'other name')).entry.hardlink?.inode, stats.ino);
});

void test('folders above sources hold only what leads to one; sources merge; files and symlinks can be sources', async (t) => {
  const base = await tempFolder(t);
  for (const name of ['a/in', 'a/deep/x', 'b/not', 'c/d/e/f', 'c/g', 'h/file', 'h/other'])
    touch(join(base, name));
  symlinkSync(join(base, 'b'), join(base, 'to-b'));
  const sources = ['a', 'a/deep', 'c/d/e', 'h/file', 'to-b', 'a'].map((name) => join(base, name));
  const events = await collect(sources);
  assert.deepEqual(pathsOf(events, base), [
    'a/',
    'a/deep/',
    'a/deep/x',
    'a/in',
    'c/',
    'c/d/',
    'c/d/e/',
    'c/d/e/f',
    'h/',
    'h/file',
    'to-b',
  ]);
  assert.equal(eventAt(events, join(base, 'to-b')).entry.type, entryTypes.symlink);
});

void test('a symlink on the way to a source is followed and appears as a folder', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, 'real/folder/x'));
  symlinkSync('real', join(base, 'way'));
  const events = await collect([join(base, 'way/folder')]);
  assert.deepEqual(pathsOf(events, base), ['way/', 'way/folder/', 'way/folder/x']);
  assert.equal(eventAt(events, join(base, 'way')).entry.type, entryTypes.folder);
});

void test('symlinks are never followed inside a source, loops included', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, 'real/x'));
  symlinkSync('.', join(base, 'loop'));
  symlinkSync('self', join(base, 'self'));
  symlinkSync('real', join(base, 'to-real'));
  assert.deepEqual(pathsOf(await collect([base]), base), ['loop', 'real/', 'real/x', 'self', 'to-real']);
});

void test('a missing source, a relative one and one inside a drive end it before it begins', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, 'drive/x'));
  symlinkSync('drive', join(base, 'alias'));
  const neverEnter = [utf8(join(base, 'drive'))];
  const missing = join(base, 'missing');
  await assert.rejects(collect([base, missing]), (error: Error) => {
    assert.ok(error.message.includes(missing));
    return 'code' in error && error.code === 'source-missing';
  });
  for (const bad of ['relative', `${base}/../x`, `${base}/\0`])
    await assert.rejects(collect([bad]), { code: 'usage' });
  for (const inside of ['drive', 'drive/x', 'alias/x']) {
    await assert.rejects(collect([join(base, inside)], { neverEnter }), { code: 'usage' }, inside);
  }
});

void test('kith’s home and drives are passed by, under whatever name', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, 'src/home/x'));
  touch(join(base, 'src/y'));
  symlinkSync(join(base, 'src'), join(base, 'alias'));
  for (const home of ['src/home', 'alias/home']) {
    const events = await collect([base], { neverEnter: [utf8(join(base, home)), utf8(join(base, 'gone'))] });
    assert.deepEqual(pathsOf(events, base), ['alias', 'src/', 'src/y'], home);
  }
});

void test('excludes, .kithignore files and size leave things out, never what was named', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, '.kithignore'), 'build/\n*.log\n/secret\n');
  touch(join(base, 'sub/.kithignore'), '!keep.log\n');
  for (const name of [
    'build/x',
    'build/named/y',
    'build/named/z.log',
    'a.log',
    'secret',
    'sub/keep.log',
    'sub/b.log',
  ]) {
    touch(join(base, name));
  }
  touch(join(base, 'big.bin'), 'x'.repeat(100));
  touch(join(base, 't.tmp'));
  const events = await collect([base, join(base, 'build/named'), join(base, 't.tmp')], {
    ignore: IgnoreRules.from(['*.tmp']),
    excludeLargerThan: 99,
  });
  assert.deepEqual(pathsOf(events, base), [
    '.kithignore',
    'build/',
    'build/named/',
    'build/named/y',
    'build/named/z.log',
    'sub/',
    'sub/.kithignore',
    'sub/keep.log',
    't.tmp',
  ]);
});

void test('a .kithignore over 1 MiB is a problem and is not used', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, '.kithignore'), 'x\n'.repeat(600_000));
  touch(join(base, 'x'));
  const problems: SourceProblem[] = [];
  assert.deepEqual(pathsOf(await collect([base], { problems }), base), ['.kithignore', 'x']);
  assert.deepEqual(
    problems.map((problem) => problem.item),
    [join(base, '.kithignore')],
  );
});

void test('of a cache folder, or one with a given file, only the tag is taken', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, 'cache/CACHEDIR.TAG'), 'Signature: 8a477f597d28d172789f06886806bc55\n# more');
  touch(join(base, 'false/CACHEDIR.TAG'), 'Signature: something else');
  touch(join(base, 'quiet/.nobackup'), 'yes');
  touch(join(base, 'loud/.nobackup'), 'no');
  for (const name of ['cache', 'false', 'quiet', 'loud']) touch(join(base, name, 'x'));
  const events = await collect([base], {
    excludeCaches: true,
    excludeIfPresent: ['.nobackup:yes', 'absent'],
  });
  assert.deepEqual(pathsOf(events, base), [
    'cache/',
    'cache/CACHEDIR.TAG',
    'false/',
    'false/CACHEDIR.TAG',
    'false/x',
    'loud/',
    'loud/.nobackup',
    'loud/x',
    'quiet/',
    'quiet/.nobackup',
  ]);
  assert.equal(pathsOf(await collect([base]), base).length, 12);
});

void test('with oneFileSystem a mount point stays as an empty folder', async (t) => {
  if (process.platform !== 'linux') return t.skip('needs /proc');
  const all = await collect(['/proc/self/fdinfo'], { oneFileSystem: true });
  assert.ok(all.length > 4, 'a source is on its own file system, whatever the root is on');
  if (lstatSync('/proc').dev === lstatSync('/').dev) return t.skip('/proc is no mount point');
  const ignore = IgnoreRules.from(['/*', '!/proc']);
  const paths = (await collect(['/'], { oneFileSystem: true, ignore })).map((event) =>
    displayText(event.path),
  );
  assert.deepEqual(paths, ['/', '/proc', '/proc', '/'], 'entered and left, with nothing in it');
  const named = '/proc/sys/kernel/random';
  const events = await collect(['/', named], { oneFileSystem: true, ignore });
  assert.ok(pathsOf(events, named).includes('boot_id'), 'a source inside another is on its own file system');
});

void test('FIFOs and sockets are entries that nobody opens', async (t) => {
  const base = await tempFolder(t);
  const native = nativeCalls();
  if (native === undefined) return t.skip('koffi does not load here');
  native.makeFifo(utf8(join(base, 'fifo')), 0o600);
  const server = createServer().listen(join(base, 'socket'));
  await once(server, 'listening');
  try {
    const events = await collect([base]);
    const fifo = eventAt(events, join(base, 'fifo'));
    assert.equal(fifo.entry.type, entryTypes.fifo);
    assert.equal(eventAt(events, join(base, 'socket')).entry.type, entryTypes.socket);
    assert.throws(() => openForRead(fifo.path, { inode: fifo.entry.inode, device: fifo.device }), {
      code: 'source-unreadable',
    });
  } finally {
    server.close();
  }
});

void test('what vanishes or becomes something else during the walk is marked, and the rest goes on', async (t) => {
  const base = await tempFolder(t);
  for (const name of ['a', 'b', 'folder/x', 'z']) touch(join(base, name));
  const problems: SourceProblem[] = [];
  const events: WalkEvent[] = [];
  for await (const event of walkOf([base], { problems })) {
    events.push(event);
    if (displayText(event.path) === join(base, 'a')) {
      unlinkSync(join(base, 'b'));
      rmSync(join(base, 'folder'), { recursive: true });
    }
  }
  assert.deepEqual(pathsOf(events, base), ['a', 'b', 'folder', 'z']);
  for (const name of ['b', 'folder']) {
    const { entry } = eventAt(events, join(base, name));
    assert.equal(entry.type, entryTypes.unreadable);
    assert.match(entry.error ?? '', /no longer there/);
  }
  assert.deepEqual(
    problems.map((problem) => [problem.item, problem.code]),
    [
      [join(base, 'b'), 'source-unreadable'],
      [join(base, 'folder'), 'source-unreadable'],
    ],
  );
});

void test('a folder that can’t be listed and a file that can’t be read are marked, as another user', async (t) => {
  const base = await tempFolder(t);
  chmodSync(base, 0o755);
  touch(join(base, 'closed/x'));
  touch(join(base, 'open/secret'));
  touch(join(base, 'open/plain'));
  chmodSync(join(base, 'closed'), 0o311);
  chmodSync(join(base, 'open/secret'), 0o200);
  const result = await asNobody(
    t,
    `
    const { walkOf } = await load('test/support/restore-by-walk.ts');
    const { openForRead } = await load('lib/source/read.ts');
    becomeNobody();
    const problems = [], seen = {};
    for await (const { kind, path, entry, device } of walkOf([${JSON.stringify(base)}], { problems })) {
      const name = Buffer.from(path).toString().slice(${base.length + 1});
      if (kind !== 'enter') seen[name] = entry.error ?? 'ok';
      if (kind !== 'entry') continue;
      try { openForRead(path, { inode: entry.inode, device }).close(); } catch (error) { seen[name] = error.code + ' ' + error.message; }
    }
    report({ problems: problems.map((problem) => problem.item), closed: seen['closed'], secret: seen['open/secret'], plain: seen['open/plain'] });
  `,
  );
  if (result === undefined) return;
  assert.deepEqual(result, {
    problems: [join(base, 'closed')],
    closed: "this folder can't be listed: permission denied",
    secret: "source-unreadable can't be read: permission denied",
    plain: 'ok',
  });
});

void test('a file is read in pieces; replaced, vanished or exchanged for a symlink it is refused', async (t) => {
  const base = await tempFolder(t);
  const path = join(base, 'file');
  touch(path, 'abcdefghij');
  const at = (await collect([base])).find((event) => displayText(event.path) === path);
  assert.ok(at);
  const expected = { inode: at.entry.inode, device: at.device };
  const file = openForRead(at.path, expected);
  const pieces: string[] = [];
  for await (const bytes of file.chunks(new Uint8Array(4))) pieces.push(displayText(bytes));
  assert.deepEqual(pieces, ['abcd', 'efgh', 'ij']);
  assert.equal(file.state(), 'same');
  truncateSync(path, 6);
  assert.equal(file.state(), 'changed');
  assert.equal(await file.read(new Uint8Array(10), 2), 4, 'a read ends where the file now ends');
  file.close();
  file.close();

  touch(join(base, 'new'), 'other');
  renameSync(join(base, 'new'), path);
  assert.throws(
    () => openForRead(at.path, expected),
    (error: Error) => {
      assert.ok('details' in error);
      assert.deepEqual(error.details, { path, replaced: true });
      return true;
    },
  );
  const again = lookAgain(at.path, at.entry.name, localAccounts());
  const second = openForRead(at.path, { inode: again.entry.inode, device: again.device });
  assert.equal(second.entry(again.entry, localAccounts()).size, 5);
  second.close();

  unlinkSync(path);
  assert.throws(() => openForRead(at.path, expected), { code: 'source-unreadable' });
  symlinkSync('/etc/hostname', path);
  assert.throws(() => openForRead(at.path, expected), { code: 'source-unreadable' });
});

void test('paths longer than the system takes are walked, read and removed through folder handles', async (t) => {
  if (process.platform !== 'linux') return t.skip('only Linux has /proc/self/fd');
  const base = await tempFolder(t);
  const name = 'd'.repeat(250);
  const depth = 80;
  const start = process.cwd();
  try {
    process.chdir(base);
    for (let i = 0; i < depth; i++) {
      mkdirSync(name);
      process.chdir(name);
    }
    writeFileSync('bottom', 'found');
  } finally {
    process.chdir(start);
  }
  try {
    const events = await collect([base]);
    const bottom = events.find((event) => event.kind === 'entry');
    assert.ok(bottom);
    assert.equal(bottom.path.length, base.length + depth * 251 + '/bottom'.length);
    const file = openForRead(bottom.path, { inode: bottom.entry.inode, device: bottom.device });
    const bytes = new Uint8Array(5);
    await file.read(bytes, 0);
    file.close();
    assert.equal(displayText(bytes), 'found');
  } finally {
    const chain = new FolderChain(utf8(base));
    assert.equal(removeTree(chain, utf8(name)), depth + 1);
    chain.close();
  }
  assert.ok(!existsSync(join(base, name)));
});

void test('a fired signal ends the walk', async (t) => {
  const base = await tempFolder(t);
  touch(join(base, 'a'));
  touch(join(base, 'b'));
  const stop = new AbortController();
  const seen: string[] = [];
  await assert.rejects(
    async () => {
      for await (const event of walkOf([base], { signal: stop.signal })) {
        seen.push(displayText(event.path));
        if (seen.at(-1) === join(base, 'a')) stop.abort();
      }
    },
    { code: 'interrupted' },
  );
  assert.equal(seen.at(-1), join(base, 'a'));
});
