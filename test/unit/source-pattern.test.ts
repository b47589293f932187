import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { utf8 } from '../../lib/base/bytes.ts';
import { insideSources, RestoreFilter } from '../../lib/source/include.ts';
import { splitPath } from '../../lib/source/path.ts';
import { compilePattern, compilePatterns, verdictOf } from '../../lib/source/pattern.ts';

const cases: readonly [pattern: string, path: string, matches: boolean][] = [
  ['*.log', '/home/x/a.log', true],
  ['*.log', '/home/x.log/a', false],
  ['*.LOG', '/home/x/a.log', false],
  ['a?c', '/x/abc', true],
  ['a?c', '/x/a/c', false],
  ['a?c', '/x/aéc', true],
  ['a?c', '/x/a😀c', true],
  ['[ab]x', '/bx', true],
  ['[!ab]x', '/bx', false],
  ['[!ab]x', '/cx', true],
  ['[a-c]x', '/bx', true],
  ['[]]x', '/]x', true],
  ['\\*', '/*', true],
  ['\\*', '/a', false],
  ['/home/x', '/home/x', true],
  ['/home/x', '/root/home/x', false],
  ['home/x', '/root/home/x', true],
  ['home/x', '/root/home/y/x', false],
  ['home/**/x', '/home/x', true],
  ['home/**/x', '/home/a/b/x', true],
  ['/home/**', '/home/a/b', true],
  ['/home/**', '/home', false],
  ['**/x', '/a/b/x', true],
  ['(a|b).txt', '/(a|b).txt', true],
  ['(a|b).txt', '/a.txt', false],
  ['a+b$', '/a+b$', true],
  ['new\nline', '/x/new\nline', true],
  ['*', '/x/new\nline', true],
];

for (const [pattern, path, expected] of cases) {
  void test(`pattern ${JSON.stringify(pattern)} ${expected ? 'matches' : "doesn't match"} ${JSON.stringify(path)}`, () => {
    assert.equal(compilePattern(pattern).matches(path), expected);
  });
}

void test('any name, escaped, matches itself and no other', () => {
  const name = fc
    .string({ minLength: 1, unit: 'grapheme' })
    .filter((text) => !/[/\0]/.test(text) && text !== '.');
  fc.assert(
    fc.property(name, name, (text, other) => {
      const pattern = compilePattern(text.replace(/[\\*?[\]!]/g, (sign) => `\\${sign}`));
      assert.ok(pattern.matches(`/a/${text}`));
      assert.equal(pattern.matches(`/a/${other}`), other === text);
    }),
  );
});

void test('a trailing slash means folders; the last pattern that matches decides', () => {
  const patterns = compilePatterns(['build/', '*.txt', '!keep.txt', '']);
  assert.equal(verdictOf(patterns, '/a/build', true), true);
  assert.equal(verdictOf(patterns, '/a/build', false), undefined);
  assert.equal(verdictOf(patterns, '/a/x.txt', false), true);
  assert.equal(verdictOf(patterns, '/a/keep.txt', false), false);
});

void test('broken and overlong patterns are usage errors', () => {
  for (const bad of ['[ab', '[z-a]', '!', 'x'.repeat(5000)]) {
    assert.throws(() => compilePattern(bad), { code: 'usage' }, bad.slice(0, 10));
  }
  assert.throws(() => compilePatterns(Array.from({ length: 5000 }, (_, i) => `p${i}`)), { code: 'usage' });
});

const names = (path: string): Uint8Array[] => splitPath(utf8(path));

void test('a restore filter takes matches and all that is in them, but what is excluded', () => {
  const filter = new RestoreFilter({ include: ['docs', '*.md'], exclude: ['secret', '/home/docs/old'] });
  assert.ok(filter.wants(names('/home/docs'), true));
  assert.ok(filter.wants(names('/home/docs/a/b.txt'), false));
  assert.ok(filter.wants(names('/other/readme.md'), false));
  assert.ok(!filter.wants(names('/other/readme.txt'), false));
  assert.ok(!filter.wants(names('/home/docs/secret/x'), false));
  assert.ok(!filter.wants(names('/home/docs/old'), true));
  assert.ok(filter.enters(names('/other')), 'a base name may be anywhere');
  assert.ok(!filter.enters(names('/home/docs/secret')));
});

void test('a restore filter enters only what can lead to an absolute include', () => {
  const filter = new RestoreFilter({ include: ['/home/*/docs'] });
  assert.ok(filter.enters(names('/')));
  assert.ok(filter.enters(names('/home')));
  assert.ok(filter.enters(names('/home/x')));
  assert.ok(filter.enters(names('/home/x/docs/deep')));
  assert.ok(!filter.enters(names('/home/x/pictures')));
  assert.ok(!filter.enters(names('/etc')));
  assert.ok(!filter.wants(names('/home/x'), true));
  assert.ok(new RestoreFilter().takesAll);
});

void test('insideSources is true for what lies in a source, not for the way to it', () => {
  const inside = insideSources([utf8('/home/x'), utf8('/etc')]);
  for (const path of ['/home/x/a', '/home/x/a/b', '/etc/hosts']) assert.ok(inside(names(path)), path);
  for (const path of ['/home', '/home/x', '/home/y', '/home/xx/a', '/usr', '/'])
    assert.ok(!inside(names(path)), path);
});
