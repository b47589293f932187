import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { concatBytes, utf8 } from '../../lib/base/bytes.ts';
import { ByteWriter } from '../../lib/base/codec.ts';
import { blobKinds } from '../../lib/format/blob.ts';
import { encodeList, type Content } from '../../lib/format/content.ts';
import { encodeTree, entryTypes } from '../../lib/format/tree.ts';
import { forgedEntry, forgeSnapshot, zstdBomb, type TreeForge } from '../support/tree-forge.ts';
import { filesBelow, VaultFixture, type Told } from '../support/vault-fixture.ts';
import type { RestoreSummary } from '../../lib/vault/index.ts';

const spread = { k: 1, n: 1 };

function of(...ids: Uint8Array[]): Content {
  return { level: 0, ids };
}

/** Bytes with every appearance of one text replaced by another of its length. */
function replaced(bytes: Uint8Array, from: string, to: string): Uint8Array {
  assert.equal(utf8(from).length, utf8(to).length);
  const text = Buffer.from(bytes).toString('latin1');
  assert.ok(text.includes(from));
  return new Uint8Array(Buffer.from(text.replaceAll(from, to), 'latin1'));
}

interface Outcome extends Told<RestoreSummary> {
  readonly target: string;
}

/**
 * Forges a snapshot beside an honest file `good.txt`, restores it, and sees to it that what is around the target is as
 * it was.
 */
async function restoreForged(
  t: Parameters<typeof VaultFixture.create>[0],
  build: (forge: TreeForge) => Promise<Content>,
): Promise<Outcome> {
  const fixture = await VaultFixture.create(t, { drives: 1, spread });
  const { id } = await forgeSnapshot(fixture, spread, build);
  await writeFile(join(fixture.root, 'precious'), 'mine');
  const before = await surroundingsOf(fixture);
  const outcome = await fixture.restore(id);
  assert.deepEqual(await surroundingsOf(fixture), before);
  assert.equal(await readFile(join(fixture.root, 'precious'), 'utf8'), 'mine');
  return outcome;
}

async function surroundingsOf(fixture: VaultFixture): Promise<string[]> {
  const names = await readdir(fixture.root);
  return names.filter((name) => !name.startsWith('target-')).sort();
}

/** Nothing of the snapshot came back but `names`, and each thing that didn't was told. */
async function onlyCameBack(outcome: Outcome, names: readonly string[], code: string): Promise<void> {
  assert.deepEqual(
    (await filesBelow(outcome.target)).map((path) => path.slice(outcome.target.length + 1)),
    names,
  );
  assert.ok(outcome.summary.filesFailed > 0);
  assert.ok(
    outcome.problems.some((problem) => problem.code === code),
    JSON.stringify(outcome.problems),
  );
}

const badNames: Readonly<Record<string, readonly [string, string]>> = {
  'the name ..': ['zz', '..'],
  'the name .': ['z', '.'],
  'a way out': ['zzzzzzzzzzz', '../precious'],
  'an absolute name': ['zzzzzzzzz', '/precious'],
  'a slash inside': ['zzzzz', 'zz/zz'],
  'a NUL': ['zzz', 'z\0z'],
};

for (const [what, [from, to]] of Object.entries(badNames)) {
  test(`${what} is refused with the tree that holds it`, async (t) => {
    const outcome = await restoreForged(t, async (forge) => {
      const evil = await forge.file(from, 'evil');
      const inner = forgedEntry('inner', entryTypes.folder, {
        content: of(await forge.tree([evil], (bytes) => replaced(bytes, from, to))),
      });
      return of(await forge.tree([await forge.file('good.txt', 'good'), inner]));
    });
    await onlyCameBack(outcome, ['good.txt'], 'malformed');
  });
}

test('a folder with the name of a symlink in the tree blob before it does not lead through the link', async (t) => {
  const outcome = await restoreForged(t, async (forge) => {
    const link = forgedEntry('out', entryTypes.symlink, { linkTarget: utf8('..') });
    const folder = await forge.folder('out', [await forge.file('precious', 'evil')]);
    const honest = await forge.tree([await forge.file('good.txt', 'good'), link]);
    return of(honest, await forge.tree([folder]));
  });
  assert.ok(outcome.summary.filesFailed > 0);
  assert.ok(outcome.problems.some((problem) => problem.code === 'malformed'));
});

test('a symlink that stands in the target already is not gone through either', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread });
  const { id } = await forgeSnapshot(fixture, spread, async (forge) => {
    const folder = await forge.folder('out', [await forge.file('precious', 'evil')]);
    return of(await forge.tree([folder]));
  });
  await writeFile(join(fixture.root, 'precious'), 'mine');
  const target = join(fixture.root, 'full');
  await mkdir(target);
  await symlink('..', join(target, 'out'));
  await fixture.use((vault) => vault.restore({ what: id, target }));
  assert.equal(await readFile(join(fixture.root, 'precious'), 'utf8'), 'mine');
});

test('entries out of order or twice the same are refused', async (t) => {
  const outcome = await restoreForged(t, async (forge) => {
    const a = await forge.tree([await forge.file('m', 'm')]);
    const b = await forge.tree([await forge.file('a', 'a')]);
    return of(a, b);
  });
  await onlyCameBack(outcome, ['m'], 'malformed');
  const twice = await restoreForged(t, async (forge) => {
    const a = await forge.tree([await forge.file('m', 'm')]);
    return of(a, a, a);
  });
  await onlyCameBack(twice, ['m'], 'malformed');
});

const claims: Readonly<Record<string, Uint8Array>> = {
  'a million entries': new ByteWriter().bytes(utf8('T')).u8(1).varint(0).varint(1_000_000).finish(),
  'as many entries as are allowed': new ByteWriter().bytes(utf8('T')).u8(1).varint(0).varint(65_536).finish(),
  'two thousand million owners': new ByteWriter()
    .bytes(utf8('T'))
    .u8(1)
    .varint(2 ** 31)
    .finish(),
  'an entry of a thousand million bytes': new ByteWriter()
    .bytes(utf8('T'))
    .u8(1)
    .varint(0)
    .varint(1)
    .varint(2 ** 30)
    .bytes(new Uint8Array(64))
    .finish(),
};

for (const [what, bytes] of Object.entries(claims)) {
  test(`a tree that claims ${what} is refused without believing it`, async (t) => {
    const outcome = await restoreForged(t, async (forge) => {
      const inner = forgedEntry('inner', entryTypes.folder, {
        content: of(await forge.blob(blobKinds.tree, bytes)),
      });
      return of(await forge.tree([await forge.file('good.txt', 'good'), inner]));
    });
    await onlyCameBack(outcome, ['good.txt'], 'malformed');
  });
}

test('a content that names blobs of the wrong kind, or none at all, is refused', async (t) => {
  const outcome = await restoreForged(t, async (forge) => {
    const data = await forge.blob(blobKinds.data, utf8('bytes'));
    const tree = await forge.tree([await forge.file('x', 'x')]);
    const bad = (name: string, type: 1 | 2, content: Content): ReturnType<typeof forgedEntry> =>
      forgedEntry(name, type, { content, size: type === 1 ? 5 : 0 });
    return of(
      await forge.tree([
        bad('1 tree as file', entryTypes.file, of(tree)),
        bad('2 data as folder', entryTypes.folder, of(data)),
        bad('3 data as list', entryTypes.file, { level: 1, ids: [data] }),
        bad('4 no such blob', entryTypes.file, of(new Uint8Array(32).fill(7))),
        bad('5 no such tree', entryTypes.folder, of(new Uint8Array(32).fill(8))),
        await forge.file('6 good.txt', 'good'),
      ]),
    );
  });
  await onlyCameBack(outcome, ['6 good.txt'], 'blob-missing');
  assert.equal(outcome.summary.filesFailed, 5);
});

test('lists that claim the wrong level, or bytes of data dressed as a list, are refused', async (t) => {
  const outcome = await restoreForged(t, async (forge) => {
    const data = await forge.blob(blobKinds.data, utf8('bytes'));
    const list = await forge.blob(blobKinds.list, encodeList({ level: 0, ids: [data] }));
    const garbage = await forge.blob(blobKinds.list, utf8('Lgarbage'));
    const file = (name: string, content: Content): ReturnType<typeof forgedEntry> =>
      forgedEntry(name, entryTypes.file, { content, size: 5 });
    return of(
      await forge.tree([
        file('1 level 2 of level 0', { level: 2, ids: [list] }),
        file('2 level 3 of level 0', { level: 3, ids: [list] }),
        file('3 garbage', { level: 1, ids: [garbage] }),
        file('4 good', { level: 1, ids: [list] }),
      ]),
    );
  });
  await onlyCameBack(outcome, ['4 good'], 'malformed');
  assert.equal(outcome.summary.filesFailed, 3);
});

test('sizes that lie leave no file, neither short nor long', async (t) => {
  const outcome = await restoreForged(t, async (forge) => {
    const content = of(await forge.blob(blobKinds.data, utf8('bytes')));
    const file = (name: string, size: number): ReturnType<typeof forgedEntry> =>
      forgedEntry(name, entryTypes.file, { content, size });
    return of(
      await forge.tree([
        file('1 empty', 0),
        file('2 short', 4),
        file('3 long', 6),
        file('4 petabytes', 2 ** 52),
        file('5 right', 5),
      ]),
    );
  });
  await onlyCameBack(outcome, ['5 right'], 'malformed');
  assert.equal(outcome.summary.filesFailed, 4);
});

test('endless lists of nothing end: an empty chunk, or an empty tree, has no place in a content', async (t) => {
  const outcome = await restoreForged(t, async (forge) => {
    const empty = await forge.blob(blobKinds.data, new Uint8Array(0));
    const noTree = await forge.blob(blobKinds.tree, encodeTree([]));
    const many = async (id: Uint8Array): Promise<Content> => {
      let ids = Array.from({ length: 32_768 }, () => id);
      for (let level = 0; level < 3; level++) {
        const list = await forge.blob(blobKinds.list, encodeList({ level, ids }));
        ids = Array.from({ length: level === 2 ? 4096 : 32_768 }, () => list);
      }
      return { level: 3, ids };
    };
    return of(
      await forge.tree([
        forgedEntry('1 endless file', entryTypes.file, { content: await many(empty) }),
        forgedEntry('2 endless folder', entryTypes.folder, { content: await many(noTree) }),
        await forge.file('3 good', 'good'),
      ]),
    );
  });
  await onlyCameBack(outcome, ['3 good'], 'malformed');
});

test('an endless file does not hold up those who only count what a snapshot needs', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 1 } });
  const { id } = await forgeSnapshot(fixture, spread, async (forge) => {
    const chunk = await forge.blob(blobKinds.data, utf8('x'));
    let ids = Array.from({ length: 32_768 }, () => chunk);
    for (let level = 0; level < 3; level++) {
      const list = await forge.blob(blobKinds.list, encodeList({ level, ids }));
      ids = Array.from({ length: level === 2 ? 4096 : 32_768 }, () => list);
    }
    return of(
      await forge.tree([forgedEntry('endless', entryTypes.file, { content: { level: 3, ids }, size: 10 })]),
    );
  });
  const { packs } = await fixture.use((vault) => vault.where(id));
  assert.equal(packs.length, 1);
});

test('folders deeper than any real tree are refused, not followed', async (t) => {
  const outcome = await restoreForged(t, async (forge) => {
    let inner = await forge.file('bottom', 'x');
    for (let depth = 0; depth < 1100; depth++) inner = await forge.folder('d', [inner]);
    return of(await forge.tree([inner, await forge.file('good.txt', 'good')]));
  });
  assert.equal(await readFile(join(outcome.target, 'good.txt'), 'utf8'), 'good');
  assert.ok(outcome.summary.filesFailed > 0);
  assert.ok(!(await filesBelow(outcome.target)).some((path) => path.endsWith('bottom')));
});

const bombs: Readonly<Record<string, Uint8Array>> = {
  'says nothing of its size': zstdBomb(32_768),
  'claims to be small': zstdBomb(32_768, 200_000),
  'claims four GiB': zstdBomb(32_768, 0xffff_ffff),
  'comes in two frames': concatBytes(zstdBomb(1, 131_072), zstdBomb(32_000)),
};

for (const [what, body] of Object.entries(bombs)) {
  test(`a decompression bomb that ${what} is refused in bounded memory`, async (t) => {
    const peakBefore = process.resourceUsage().maxRSS;
    const outcome = await restoreForged(t, async (forge) => {
      const blobId = new Uint8Array(32).fill(9);
      await forge.frame({ kind: blobKinds.data, blobId, plainBytes: 200_000, body });
      const bomb = forgedEntry('bomb', entryTypes.file, { size: 200_000, content: of(blobId) });
      return of(await forge.tree([bomb, await forge.file('good.txt', 'good')]));
    });
    await onlyCameBack(outcome, ['good.txt'], 'damaged');
    const grownKib = process.resourceUsage().maxRSS - peakBefore;
    assert.ok(grownKib < 200 * 1024, `${grownKib} KiB more`);
  });
}

test('a tree in a bomb, and a frame whose bytes are not the blob it names, are refused', async (t) => {
  const outcome = await restoreForged(t, async (forge) => {
    const treeId = new Uint8Array(32).fill(10);
    await forge.frame({ kind: blobKinds.tree, blobId: treeId, plainBytes: 200_000, body: zstdBomb(32_768) });
    const liarId = new Uint8Array(32).fill(11);
    await forge.frame({
      kind: blobKinds.data,
      blobId: liarId,
      plainBytes: 131_072,
      body: zstdBomb(1, 131_072),
    });
    return of(
      await forge.tree([
        forgedEntry('1 folder', entryTypes.folder, { content: of(treeId) }),
        forgedEntry('2 liar', entryTypes.file, { size: 131_072, content: of(liarId) }),
        await forge.file('3 good', 'good'),
      ]),
    );
  });
  await onlyCameBack(outcome, ['3 good'], 'damaged');
  assert.equal(outcome.summary.filesFailed, 2);
});
