import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import type { Accounts } from '../../lib/source/accounts.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { nativeCalls, setMtime, type NativeCalls } from '../../lib/source/native.ts';
import type { SourceProblem } from '../../lib/source/problem.ts';
import { openForRead } from '../../lib/source/read.ts';
import { RestoreWriter } from '../../lib/source/restore-writer.ts';
import { encodeTree } from '../../lib/format/tree.ts';
import { asNobody } from '../support/as-nobody.ts';
import {
  aclValue,
  itself,
  makeOwnMetadata,
  makeRootMetadata,
  needNative,
  setXattr,
  xattrsOf,
} from '../support/metadata-tree.ts';
import { restoreByWalk } from '../support/restore-by-walk.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { differences, VaultFixture } from '../support/vault-fixture.ts';

const always = { overwrite: 'always' } as const;
const sparseNames = ['sparse', 'all hole', 'hole first'];

/** Skips a test where what it forges can't be made. */
function needs(test: { skip(why: string): void }, what: 'root' | 'linux'): boolean {
  const there = process.platform === 'linux' && nativeCalls() !== undefined;
  if (there && (what === 'linux' || process.geteuid?.() === 0)) return true;
  test.skip(`needs ${what} and native calls`);
  return false;
}

function blocksOf(folder: string): number[] {
  return sparseNames.map((name) => lstatSync(join(folder, name)).blocks);
}

async function differ(left: string, right: string): Promise<string[]> {
  return (await differences(left, right)).filter((text) => !text.startsWith('the folder itself'));
}

/** The native calls with some replaced. */
function nativeWith(changes: Partial<NativeCalls>): NativeCalls {
  return { ...needNative(), ...changes };
}

function failing(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`${code}: no`), { code });
  };
}

test('a backup and a restore keep attributes, lists, holes, devices, owners and times', async (t) => {
  if (!needs(t, 'root')) return;
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 2, n: 3 }, files: {} });
  const { source } = fixture;
  makeRootMetadata(source);
  lchownSync(join(source, 'link'), 12345, 23456);
  chownSync(join(source, 'many'), 12345, 23456);
  chmodSync(join(source, 'many'), 0o6750);
  setMtime(needNative(), utf8(join(source, 'null')), 1_234_567_890_123_456_789n, false);
  setMtime(needNative(), utf8(join(source, 'folder')), 1_234_567_890_987_654_321n, false);
  const first = await fixture.backup();
  assert.deepEqual(first.problems, []);
  const restored = await fixture.restore();
  assert.deepEqual(restored.problems, []);
  const back = join(restored.target, source);
  assert.deepEqual(await differences(source, back), []);
  assert.deepEqual(xattrsOf(join(back, 'plain')), xattrsOf(join(source, 'plain')));
  assert.equal(xattrsOf(join(back, 'plain')).length, 2);
  assert.equal(xattrsOf(join(back, 'many')).length, 3);
  assert.deepEqual(xattrsOf(join(back, 'link')), ['trusted.of a link=x']);
  assert.deepEqual(blocksOf(back), blocksOf(source));
  assert.equal(lstatSync(join(back, 'block')).rdev, lstatSync(join(source, 'block')).rdev);
  assert.ok(lstatSync(join(back, 'block')).isBlockDevice());

  // Unchanged files keep what the parent has, and a changed attribute is a change of the file.
  setXattr(join(source, 'plain'), 'user.new', 'since then');
  const second = await fixture.backup();
  assert.equal(second.summary.filesChanged, 1);
  assert.equal(second.summary.filesUnmodified, first.summary.filesNew - 1);
  const again = await fixture.restore();
  assert.deepEqual(await differences(source, join(again.target, source)), []);
  assert.deepEqual(blocksOf(join(again.target, source)), blocksOf(source));
});

test('a second restore with if-changed mends attributes and makes nothing anew', async (t) => {
  if (!needs(t, 'root')) return;
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  makeRootMetadata(source);
  const problems: SourceProblem[] = [];
  const first = await restoreByWalk(source, { target, ...always, problems });
  assert.deepEqual(await differ(source, target), []);
  const native = needNative();
  setXattr(join(target, 'plain'), 'user.extra', 'x');
  setXattr(join(target, 'many'), 'user.empty', 'no longer');
  native.removeXattr(itself(join(target, 'listed')), utf8('system.posix_acl_access'));
  setXattr(join(target, 'folder'), 'user.extra', 'x');
  const again = await restoreByWalk(source, { target, overwrite: 'if-changed', problems });
  assert.deepEqual(await differ(source, target), []);
  assert.equal(again.files + again.others + again.symlinks, 0);
  assert.equal(again.skipped, first.files + first.others + first.symlinks);
  assert.deepEqual(problems, []);
});

test('what a snapshot does not know of is not taken away', async (t) => {
  if (!needs(t, 'linux')) return;
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  mkdirSync(join(source, 'folder'), { recursive: true });
  mkdirSync(join(target, 'folder'), { recursive: true });
  setXattr(join(target, 'folder'), 'user.mine', 'x');
  await restoreByWalk(source, { target, ...always, metadata: [] });
  assert.deepEqual(xattrsOf(join(target, 'folder')), ['user.mine=x']);
  await restoreByWalk(source, { target, ...always, metadata: ['xattrs'] });
  assert.deepEqual(xattrsOf(join(target, 'folder')), []);
});

test('a list that the target hands down does not stay on what is restored', async (t) => {
  if (!needs(t, 'linux')) return;
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  mkdirSync(join(source, 'folder'), { recursive: true });
  writeFileSync(join(source, 'folder/file'), 'x', { mode: 0o640 });
  mkdirSync(target);
  setXattr(target, 'system.posix_acl_default', aclValue(6, 6));
  await restoreByWalk(source, { target, ...always });
  assert.deepEqual(await differ(source, target), []);
  assert.deepEqual(xattrsOf(join(target, 'folder')), []);
  assert.deepEqual(xattrsOf(join(target, 'folder/file')), []);
});

test('where a list can not be set, the group gets what the list gave it, and it is said once', async (t) => {
  if (!needs(t, 'linux')) return;
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  mkdirSync(source);
  for (const name of ['a', 'b']) {
    writeFileSync(join(source, name), 'x');
    setXattr(join(source, name), 'system.posix_acl_access', aclValue(6, 4));
    setXattr(join(source, name), 'user.note', 'x');
  }
  assert.equal(lstatSync(join(source, 'a')).mode & 0o777, 0o760);
  const problems: SourceProblem[] = [];
  const native = nativeWith({ setXattr: failing('ENOTSUP') });
  await restoreByWalk(source, { target, ...always, problems, native });
  assert.equal(lstatSync(join(target, 'a')).mode & 0o777, 0o740);
  assert.deepEqual(
    problems.map(({ item }) => item),
    [join(target, 'a')],
  );
  assert.match(problems[0]?.message ?? '', /user\.note could not be restored: this file system/);
});

test('without native calls the loss is said once in a restore', async (t) => {
  if (!needs(t, 'linux')) return;
  const base = await tempFolder(t);
  const [source, target] = [join(base, 'source'), join(base, 'target')];
  makeOwnMetadata(source);
  const problems: SourceProblem[] = [];
  await restoreByWalk(source, { target, ...always, problems, native: 'none' });
  assert.equal(problems.length, 1);
  assert.match(problems[0]?.message ?? '', /no way to set extended attributes/);
  assert.equal(lstatSync(join(target, 'listed')).mode & 0o777, 0o740);
  assert.deepEqual(blocksOf(target), blocksOf(source));
});

test('names of owners win over their numbers where this machine has them', async (t) => {
  if (!needs(t, 'root')) return;
  const target = await tempFolder(t);
  const accounts: Accounts = {
    ...localAccounts(),
    uid: (name) => (name === 'ada' ? 7777 : undefined),
    gid: (name) => (name === 'staff' ? 8888 : undefined),
  };
  const writer = new RestoreWriter({
    target,
    ...always,
    accounts,
    onProblem: ({ message }) => assert.fail(message),
  });
  const file = {
    type: 1,
    mode: 0o6755,
    uid: 1000,
    gid: 1001,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 1n,
    size: 0,
  } as const;
  for (const [name, user, group] of [
    ['both', 'ada', 'staff'],
    ['neither', 'bob', undefined],
  ] as const) {
    const sink = await writer.beginFile({ ...file, name: utf8(name), user, group });
    assert.ok(typeof sink === 'object');
    await sink.commit();
  }
  await writer.finish();
  const [both, neither] = ['both', 'neither'].map((name) => lstatSync(join(target, name)));
  assert.deepEqual([both?.uid, both?.gid, neither?.uid, neither?.gid], [7777, 8888, 1000, 1001]);
  assert.equal((both?.mode ?? 0) & 0o7777, 0o6755);
});

test('a hole in the map never costs a byte', async (t) => {
  const target = await tempFolder(t);
  const writer = new RestoreWriter({ target, ...always, onProblem: ({ message }) => assert.fail(message) });
  const text = 'a'.repeat(100_000) + '\0'.repeat(300_000) + 'b'.repeat(10);
  const bytes = utf8(text);
  const sink = await writer.beginFile({
    name: utf8('file'),
    type: 1,
    mode: 0o644,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 1n,
    size: bytes.length,
    sparse: [{ offset: 50_000, length: 1 }],
  });
  assert.ok(typeof sink === 'object');
  for (let at = 0; at < bytes.length; at += 70_000) await sink.write(bytes.subarray(at, at + 70_000), at);
  await sink.commit();
  await writer.finish();
  assert.equal(readFileSync(join(target, 'file'), 'utf8'), text);
});

test('a sparse file that is cut short while it is read still makes a proper entry', async (t) => {
  const base = await tempFolder(t);
  const path = join(base, 'sparse');
  makeOwnMetadata(base);
  const { ino, dev } = lstatSync(path, { bigint: true });
  const file = openForRead(utf8(path), { inode: ino, device: dev });
  try {
    truncateSync(path, 100);
    const count = await file.read(new Uint8Array(1_000_000), 0);
    assert.equal(file.state(), 'changed');
    const walked = { name: utf8('sparse') } as Parameters<typeof file.entry>[0];
    const entry = { ...file.entry(walked, localAccounts()), size: count };
    assert.equal(count, 100);
    assert.ok(encodeTree([entry]).length > 0);
  } finally {
    file.close();
  }
});

test('nobody restores own attributes and lists; what is root’s is said once', async (t) => {
  const report = (await asNobody(
    t,
    `
    const { mkdtempSync, rmSync, chmodSync, chownSync, lstatSync } = await import('node:fs');
    const tree = await load('test/support/metadata-tree.ts');
    const { restoreByWalk } = await load('test/support/restore-by-walk.ts');
    const { compareTrees } = await load('lib/source/compare.ts');
    const base = mkdtempSync('/tmp/kith-test-');
    const source = base + '/source', target = base + '/target';
    tree.makeOwnMetadata(source);
    chmodSync(source + '/many', 0o400);
    tree.setXattr(source + '/plain', 'security.capability', Uint8Array.from([1, 0, 0, 2, 0, 4, ...new Uint8Array(14)]));
    tree.setXattr(source + '/plain', 'trusted.hidden', 'x');
    for (const path of ['', '/plain', '/many', '/listed', '/folder', '/sparse', '/all hole', '/hole first',
      '/folder/inherits', '/folder/before the default']) chownSync(source + path, 65534, 65534);
    tree.setXattr(source + '/plain', 'security.capability', Uint8Array.from([1, 0, 0, 2, 0, 4, ...new Uint8Array(14)]));
    chownSync(base, 65534, 65534);
    becomeNobody();
    const problems = [], different = [], again = [];
    await restoreByWalk(source, { target, overwrite: 'always', problems });
    for await (const text of compareTrees(source, target)) different.push(text);
    chmodSync(target + '/many', 0o600);
    tree.setXattr(target + '/many', 'user.extra', 'x');
    chmodSync(target + '/many', 0o400);
    await restoreByWalk(source, { target, overwrite: 'if-changed', problems: again });
    const mended = tree.xattrsOf(target + '/many').length;
    const mode = lstatSync(target + '/many').mode & 0o777;
    rmSync(base, { recursive: true });
    report({ problems, different, again, mended, mode });
    `,
  )) as
    | { problems: SourceProblem[]; different: string[]; again: SourceProblem[]; mended: number; mode: number }
    | undefined;
  if (report === undefined) return;
  const different = report.different.filter((text) => !text.startsWith('the folder itself'));
  assert.deepEqual(different, ['plain: different extended attribute security.capability']);
  assert.equal(report.problems.length, 1);
  assert.match(
    report.problems[0]?.message ?? '',
    /security\.capability could not be restored: not permitted/,
  );
  assert.deepEqual([report.mended, report.mode], [3, 0o400]);
});
