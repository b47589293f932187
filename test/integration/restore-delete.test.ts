import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import type { TreeEntry } from '../../lib/format/tree-entry.ts';
import { entryTypes } from '../../lib/format/tree-entry.ts';
import type { SourceProblem } from '../../lib/source/problem.ts';
import { foldedInodes } from '../../lib/source/restore-target.ts';
import { RestoreWriter } from '../../lib/source/restore-writer.ts';
import type { Problem } from '../../lib/vault/index.ts';
import { makeTempFolder, tempFolder } from '../support/temp-folder.ts';
import { differences, VaultFixture } from '../support/vault-fixture.ts';

const oneDrive = { drives: 1, spread: { k: 1, n: 1 } } as const;

function put(path: string, text = 'text'): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Every file below a folder with its content, by path. */
function contents(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const item of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(item.parentPath, item.name);
    found[path] = item.isFile() ? readFileSync(path, 'latin1') : '';
  }
  return found;
}

void test('--delete of a part of a snapshot removes nothing above its sources', async (t) => {
  const files = { 'alice/docs/a.txt': 'a', 'alice/other/b': 'b', 'alice/c': 'c', 'bob/d': 'd' };
  const fixture = await VaultFixture.create(t, { ...oneDrive, files });
  const { source } = fixture;
  await fixture.backup({ paths: [join(source, 'alice/docs')] });
  const before = contents(source);
  put(join(source, 'alice/docs/extra/e'));
  for (const part of ['', 'alice']) {
    const what = `latest:${join(source, part)}`;
    await fixture.use((vault) => vault.restore({ what, target: join(source, part), deleteExtra: true }));
    assert.deepEqual(contents(source), before, part);
    put(join(source, 'alice/docs/extra/e'));
  }
  const docs = join(source, 'alice/docs');
  await fixture.use((vault) => vault.restore({ what: `latest:${docs}`, target: docs, deleteExtra: true }));
  assert.deepEqual(contents(source), before);
});

void test('--delete lets a folder give way to a single restored file', async (t) => {
  const fixture = await VaultFixture.create(t, { ...oneDrive, files: { 'deep/a.txt': 'a' } });
  await fixture.backup();
  const target = join(fixture.root, 'target');
  put(join(target, 'a.txt/was a folder'));
  put(join(target, 'beside'));
  const what = `latest:${join(fixture.source, 'deep/a.txt')}`;
  await fixture.use((vault) => vault.restore({ what, target, deleteExtra: true }));
  assert.deepEqual(contents(target), { [join(target, 'a.txt')]: 'a', [join(target, 'beside')]: 'text' });
});

void test('a restored folder that has become a drive is not touched', async (t) => {
  const files = { letter: 'l', 'usb/inner/old': 'o', 'usb/file': 'f' };
  const fixture = await VaultFixture.create(t, { ...oneDrive, files });
  await fixture.backup();
  const usb = join(fixture.source, 'usb');
  rmSync(usb, { recursive: true });
  await fixture.use((vault) => vault.driveAdd({ path: usb }));
  const before = contents(usb);
  assert.ok(Object.keys(before).length > 0);
  const { mode, mtimeMs } = lstatSync(usb);
  for (const deleteExtra of [true, false]) {
    const problems: Problem[] = [];
    const summary = await fixture.use((vault) =>
      vault.restore({
        what: `latest:${fixture.source}`,
        target: fixture.source,
        deleteExtra,
        onProblem: (problem) => void problems.push(problem),
      }),
    );
    assert.deepEqual(contents(usb), before);
    assert.equal(lstatSync(usb).mode, mode);
    assert.equal(lstatSync(usb).mtimeMs, mtimeMs);
    assert.equal(summary.filesFailed, 1);
    assert.deepEqual(
      problems.map(({ item }) => item),
      [usb],
    );
  }
});

void test('a target that is a home or drive, or lies in one, is refused before anything is made', async (t) => {
  const fixture = await VaultFixture.create(t, oneDrive);
  await fixture.backup();
  const link = join(fixture.root, 'link');
  symlinkSync(fixture.drive(0), link);
  const drive = contents(fixture.drive(0));
  const inHome = (): string[] => Object.keys(contents(fixture.home)).sort();
  const home = inHome();
  const targets = [
    fixture.drive(0),
    join(fixture.drive(0), 'shards'),
    join(fixture.drive(0), 'shards/new/deeper'),
    link,
    join(link, 'logs'),
    join(fixture.drive(0), 'tmp', '..', 'keys'),
    fixture.home,
    join(fixture.home, 'queue', 'new'),
  ];
  for (const target of targets) {
    for (const dryRun of [true, false]) {
      const restored = fixture.use((vault) =>
        vault.restore({ what: `latest:${fixture.source}`, target, dryRun, deleteExtra: true }),
      );
      await assert.rejects(restored, { code: 'usage' }, target);
    }
  }
  assert.deepEqual(contents(fixture.drive(0)), drive);
  assert.deepEqual(inHome(), home);
  // A folder of one's own on the same disk is a fair target.
  await fixture.use((vault) =>
    vault.restore({
      what: `latest:${fixture.source}`,
      target: join(fixture.drive(0), 'back'),
      deleteExtra: true,
    }),
  );
  assert.deepEqual(
    await differences(join(fixture.source, 'photos'), join(fixture.drive(0), 'back', 'photos')),
    [],
  );
  await fixture.restoresTo();
});

function folder(name: string): TreeEntry {
  return {
    name: utf8(name),
    type: entryTypes.folder,
    mode: 0o755,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    mtimeNs: 1n,
    ctimeNs: 0n,
    inode: 1n,
    size: 0,
  };
}

/** Whether mounts can be made here: root alone may, and not in every container. */
async function whyNoMounts(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'mounts are tried on Linux only';
  if (process.geteuid?.() !== 0) return 'only root may mount';
  const { path, remove } = await makeTempFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'none', path], { stdio: 'ignore' });
    execFileSync('umount', [path], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'mount does not work here';
  } finally {
    await remove();
  }
}

const noMounts = await whyNoMounts();
const mounts = {
  'a tmpfs': ['-t', 'tmpfs', 'none'],
  'a bind mount of the same file system': ['--bind', 'elsewhere'],
};

for (const [kind, args] of Object.entries(mounts)) {
  void test(`--delete removes nothing from ${kind}`, { skip: noMounts ?? false }, async (t) => {
    const root = await tempFolder(t);
    const target = join(root, 'target');
    const mounted: string[] = [];
    const mount = (point: string): void => {
      mkdirSync(join(target, point), { recursive: true });
      execFileSync('mount', [...args, join(target, point)], { cwd: root });
      mounted.push(join(target, point));
      put(join(target, point, `kept/below`));
      put(join(target, point, 'file/in its place'));
    };
    mkdirSync(join(root, 'elsewhere'));
    try {
      mount('point');
      mount('extra/point');
      put(join(target, 'gone/file'));
      const problems: SourceProblem[] = [];
      const writer = new RestoreWriter({
        target,
        overwrite: 'always',
        deleteExtra: () => true,
        onProblem: (problem) => void problems.push(problem),
      });
      try {
        await writer.enterFolder(folder('point'));
        await writer.enterFolder(folder('kept'));
        await writer.leaveFolder();
        assert.equal(
          await writer.beginFile({ ...folder('file'), type: entryTypes.file }),
          'skipped',
          'a file in the place of a folder on the mount',
        );
        await writer.leaveFolder();
        await writer.finish();
      } finally {
        writer.close();
      }
      for (const point of mounted)
        for (const path of ['kept/below', 'file/in its place'])
          assert.ok(existsSync(join(point, path)), path);
      assert.ok(!existsSync(join(target, 'gone')));
      assert.deepEqual(problems.map(({ item }) => item.slice(target.length)).sort(), [
        '/extra',
        '/point/file',
        '/point/kept/below',
      ]);
    } finally {
      for (const point of mounted) execFileSync('umount', [point]);
    }
  });
}

void test('a wanted name that the file system knows in other letters is told from a hard link', async (t) => {
  const root = await tempFolder(t);
  put(join(root, 'README'));
  const readme = lstatSync(join(root, 'README'), { bigint: true });
  const folding = (key: string): typeof readme | undefined =>
    key.toUpperCase() === 'README' ? readme : undefined;
  const inodes = foldedInodes(new Set(['readme', 'away']), ['README', 'other'], folding);
  assert.deepEqual([...inodes], [`${readme.dev}:${readme.ino}`]);
  assert.equal(foldedInodes(new Set(['README']), ['README', 'hard link'], folding).size, 0);
});

void test('--delete says what it takes, and a dry run what it would take and write', async (t) => {
  const fixture = await VaultFixture.create(t, { ...oneDrive, files: { 'a/one': 'one', two: 'two' } });
  await fixture.backup();
  const target = join(fixture.root, 'back');
  const run = async (dryRun: boolean): Promise<{ items: string[]; removed: number }> => {
    const items: string[] = [];
    const summary = await fixture.use((vault) =>
      vault.restore({
        what: `latest:${fixture.source}`,
        target,
        deleteExtra: true,
        dryRun,
        onItem: ({ action, path }) => items.push(`${action} ${path.split('/').slice(-2).join('/')}`),
      }),
    );
    return { items: items.sort(), removed: summary.removed };
  };
  put(join(target, 'extra/in it'));
  put(join(target, 'a/three'));
  const expected = {
    items: ['removed a/three', 'removed back/extra', 'restored /two', 'restored a/one'],
    removed: 3,
  };
  const would = await run(true);
  assert.deepEqual(would, expected);
  assert.ok(existsSync(join(target, 'extra/in it')));
  assert.deepEqual(await run(false), expected);
  assert.deepEqual(readdirSync(target).sort(), ['a', 'two']);
});
