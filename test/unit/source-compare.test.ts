import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { concatBytes, utf8 } from '../../lib/base/bytes.ts';
import { compareTrees } from '../../lib/source/compare.ts';
import { tempFolder } from '../support/temp-folder.ts';

async function differences(left: string, right: string): Promise<string[]> {
  const found: string[] = [];
  for await (const text of compareTrees(left, right)) found.push(text);
  return found;
}

function makeTwin(path: string): void {
  mkdirSync(join(path, 'folder'), { recursive: true });
  writeFileSync(join(path, 'folder/file'), 'x'.repeat(3_000_000));
  writeFileSync(join(path, 'text'), 'same');
  symlinkSync('text', join(path, 'link'));
  calm(path);
}

function calm(path: string): void {
  for (const name of ['folder/file', 'text', 'folder', '']) utimesSync(join(path, name), 1000, 1000);
}

const changes: readonly [what: string, change: (path: string) => void, expected: RegExp][] = [
  [
    'one byte late in a file',
    (path) => {
      writeFileSync(join(path, 'folder/file'), 'x'.repeat(2_999_999) + 'y');
      calm(path);
    },
    /^folder\/file: bytes differ from offset 2999999 on$/,
  ],
  [
    'a size',
    (path) => {
      writeFileSync(join(path, 'text'), 'longer');
      calm(path);
    },
    /^text: 4 and 6 bytes$/,
  ],
  ['a mode', (path) => chmodSync(join(path, 'text'), 0o4711), /^text: mode \d+ and 4711$/],
  [
    'the mode of the folder itself',
    (path) => chmodSync(path, 0o711),
    /^the folder itself: mode \d+ and 711$/,
  ],
  [
    'a mtime by a µs',
    (path) => utimesSync(join(path, 'text'), 1000, 1000.000_001_5),
    /^text: mtime 1000000000000 and/,
  ],
  [
    'a file only on the right',
    (path) => {
      writeFileSync(join(path, 'folder/extra'), '');
      calm(path);
    },
    /^folder\/extra: only on the right$/,
  ],
  [
    'a name that is not UTF-8',
    (path) => {
      writeFileSync(Buffer.from(concatBytes(utf8(`${path}/`), new Uint8Array([0xff]))), '');
      calm(path);
    },
    /^\uFFFD: only on the right$/,
  ],
];

for (const [what, change, expected] of changes) {
  void test(`comparing finds ${what}`, async (t) => {
    const base = await tempFolder(t);
    const [left, right] = [join(base, 'left'), join(base, 'right')];
    for (const path of [left, right]) makeTwin(path);
    const grain = (await differences(left, right)).filter((text) => !text.startsWith('link: mtime'));
    assert.deepEqual(grain, [], 'they are alike before');
    change(right);
    const found = (await differences(left, right)).filter((text) => !text.startsWith('link: mtime'));
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0] ?? '', expected);
    const mirrored = (await differences(right, left)).filter((text) => !text.startsWith('link: mtime'));
    assert.equal(mirrored.length, 1, 'both directions');
  });
}

void test('comparing finds other types, other targets and a missing side', async (t) => {
  const base = await tempFolder(t);
  const [left, right] = [join(base, 'left'), join(base, 'right')];
  for (const path of [left, right]) mkdirSync(path);
  writeFileSync(join(left, 'a'), '');
  mkdirSync(join(right, 'a'));
  symlinkSync('x', join(left, 'b'));
  symlinkSync('y', join(right, 'b'));
  const found = await differences(left, right);
  assert.ok(found.includes('a: different types'));
  assert.ok(found.includes('b: different symlink targets'));
  assert.deepEqual(await differences(left, join(base, 'none')), ['the folder itself: missing on the right']);
});
