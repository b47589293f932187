import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { ignoreBytesMax, IgnoreRules, readExcludeFile } from '../../lib/source/ignore.ts';
import { tempFolder } from '../support/temp-folder.ts';

const source = utf8('/home/x');

function leavesOut(rules: IgnoreRules, path: string): boolean {
  return rules.excludes(utf8(path.replace(/\/$/, '')), path.endsWith('/'));
}

void test('patterns of --exclude are matched against the whole path, with or without .kithignore', () => {
  const rules = IgnoreRules.from(['*.tmp', '/home/x/cache', 'node_modules/']).startingAt(source);
  assert.ok(leavesOut(rules, '/home/x/a/b.tmp'));
  assert.ok(leavesOut(rules, '/home/x/cache/'));
  assert.ok(!leavesOut(rules, '/home/x/a/cache/'));
  assert.ok(leavesOut(rules, '/home/x/a/node_modules/'));
  assert.ok(!leavesOut(rules, '/home/x/a/node_modules'));
  assert.ok(leavesOut(rules.deeper(source, 'other'), '/home/x/a/b.tmp'));
});

void test('a .kithignore works as a .gitignore in its folder does', () => {
  const rules = IgnoreRules.from()
    .startingAt(source)
    .deeper(source, '\uFEFF# comment\n*.log\n!keep.log\n/only-here\nbuild/\na/b\r\n\\#sharp\n');
  for (const path of [
    '/home/x/a.log',
    '/home/x/q/a.log',
    '/home/x/only-here',
    '/home/x/build/',
    '/home/x/q/build/',
    '/home/x/a/b',
    '/home/x/#sharp',
  ]) {
    assert.ok(leavesOut(rules, path), path);
  }
  for (const path of [
    '/home/x/keep.log',
    '/home/x/q/only-here',
    '/home/x/build',
    '/home/x/q/a/b',
    '/home/x/A.LOG',
    '/home/x/# comment',
    '/home/x',
  ]) {
    assert.ok(!leavesOut(rules, path), path);
  }
});

void test('a deeper .kithignore has the last word in its folder, and only there', () => {
  const upper = IgnoreRules.from().startingAt(source).deeper(source, '*.log\nbuild/\n');
  const lower = upper.deeper(utf8('/home/x/a [1]'), '!*.log\n!build/\n/x\nsub/y\n*.bin\n!  spaced\n');
  assert.ok(!leavesOut(lower, '/home/x/a [1]/q.log'));
  assert.ok(!leavesOut(lower, '/home/x/a [1]/deep/q.log'));
  assert.ok(!leavesOut(lower, '/home/x/a [1]/build/'));
  assert.ok(
    !leavesOut(lower, '/home/x/a [1]/build/file'),
    'the folder was taken back in, so what is in it is',
  );
  assert.ok(leavesOut(lower, '/home/x/a [1]/x'));
  assert.ok(!leavesOut(lower, '/home/x/a [1]/deep/x'));
  assert.ok(leavesOut(lower, '/home/x/a [1]/sub/y'));
  assert.ok(leavesOut(lower, '/home/x/a [1]/deep/z.bin'));
  assert.ok(!leavesOut(lower, '/home/x/other/z.bin'));
  assert.ok(leavesOut(upper, '/home/x/a [1]/q.log'), 'the upper rules are unchanged');
});

void test('names that are not UTF-8 are matched with a replacement sign for each stray byte', () => {
  const rules = IgnoreRules.from(['bad?.tmp']);
  assert.ok(rules.excludes(new Uint8Array([...utf8('/x/bad'), 0xff, ...utf8('.tmp')]), false));
});

void test('verdicts stay the same while many paths are asked about', () => {
  const rules = IgnoreRules.from().startingAt(source).deeper(source, '*.log\n!7.log');
  for (let i = 0; i < 10_000; i++) {
    assert.equal(leavesOut(rules, `/home/x/${i}.log`), i !== 7);
    assert.equal(leavesOut(rules, `/home/x/${i}.txt`), false);
  }
});

void test('rules that are too long are refused', () => {
  const rules = IgnoreRules.from().startingAt(source);
  assert.throws(() => rules.deeper(source, 'x'.repeat(ignoreBytesMax + 1)), { code: 'limit-exceeded' });
  assert.throws(() => rules.deeper(source, 'a\n'.repeat(70_000)), { code: 'limit-exceeded' });
});

void test('an exclude file gives its patterns without comments and blanks', async (t) => {
  const folder = await tempFolder(t);
  const path = join(folder, 'excludes');
  writeFileSync(path, '# what to leave out\n\n*.tmp\r\n  /a b \n');
  assert.deepEqual(readExcludeFile(path), ['*.tmp', '/a b']);
  assert.throws(() => readExcludeFile(join(folder, 'missing')), { code: 'usage' });
  writeFileSync(path, 'x'.repeat(ignoreBytesMax + 1));
  assert.throws(() => readExcludeFile(path), { code: 'usage' });
});
