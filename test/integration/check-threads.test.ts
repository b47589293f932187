import assert from 'node:assert/strict';
import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { leafBytes } from '../../lib/base/limits.ts';
import { blobKinds } from '../../lib/format/blob.ts';
import { shardHeadBytes } from '../../lib/format/shard-file.ts';
import { entryTypes } from '../../lib/format/tree.ts';
import type { CheckOptions, CheckSummary, Problem, Progress } from '../../lib/vault/index.ts';
import { noise } from '../support/noise.ts';
import { forgedEntry, forgeSnapshot } from '../support/tree-forge.ts';
import { failure, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };

/** A vault of several packs: chunks of their own frames, text in shared ones, tiny files. */
async function several(
  t: TestContext,
  { friends = [], drives = 4 }: { readonly friends?: readonly string[]; readonly drives?: number } = {},
): Promise<VaultFixture> {
  const text = (i: number): string =>
    Array.from({ length: 4000 }, (_, line) => `${line * i} lines`).join('\n');
  const files = {
    ...Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`noise/${i}`, noise(i + 1, 250_000)])),
    ...Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`text/${i}`, text(i + 1)])),
    ...Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`tiny/${i}`, `${i}`])),
  };
  const fixture = await VaultFixture.create(t, { drives, friends, spread, files });
  // It is the check that is on threads here.
  Object.assign(fixture.surroundings, { packBytes: 512 * 1024, threads: 0 });
  await fixture.backup();
  return fixture;
}

interface Found {
  readonly summary: Omit<CheckSummary, 'durationMs'>;
  readonly problems: readonly string[];
  /** What is in the damage book afterwards. */
  readonly book: readonly string[];
}

/** A check with all bytes, on so many threads; 0: in this one. What an earlier one found is forgotten first. */
async function checkOn(fixture: VaultFixture, threads: number, options: CheckOptions = {}): Promise<Found> {
  const bookPath = join(fixture.home, 'damaged');
  await rm(bookPath, { force: true });
  const { disk } = fixture.surroundings;
  const intoShared: boolean[] = [];
  const problems: Problem[] = [];
  Object.assign(fixture.surroundings, {
    threads,
    disk: {
      ...disk,
      readWhole: (path: string, bytesMax: number, into?: Uint8Array) => {
        if (into !== undefined) intoShared.push(into.buffer instanceof SharedArrayBuffer);
        return disk.readWhole(path, bytesMax, into);
      },
    },
  });
  try {
    const onProblem = (problem: Problem): void => void problems.push(problem);
    const { durationMs: _, ...summary } = await fixture.use((vault) =>
      vault.check({ readData: true, onProblem, ...options }),
    );
    // Else this would hold one thread's findings against themselves.
    assert.ok(intoShared.every((shared) => shared === threads > 0));
    const book = await readFile(bookPath, 'utf8').catch(() => '');
    // Packs end in any order.
    const words = problems.map(({ item: name, message, code }) => `${name}: ${message} (${code})`).sort();
    return { summary, problems: words, book: book.split('\n').sort() };
  } finally {
    Object.assign(fixture.surroundings, { disk });
  }
}

/** Checks here and on threads, and returns what both found. */
async function sameOnBoth(fixture: VaultFixture, options: CheckOptions = {}): Promise<Found> {
  const here = await checkOn(fixture, 0, options);
  assert.deepEqual(await checkOn(fixture, 2, options), here);
  return here;
}

test('threads find what one thread finds: nothing in a sound vault, of which they read everything', async (t) => {
  const fixture = await several(t);
  const { summary, problems } = await sameOnBoth(fixture);
  assert.deepEqual(problems, []);
  assert.ok(summary.packs >= 3);
  assert.equal(summary.shardsRead, 3 * summary.packs);
  assert.equal(summary.blobsRead, summary.blobs);
  const part = await sameOnBoth(fixture, { readPart: '2/3' });
  assert.ok(part.summary.packsRead < summary.packs);
});

const spoils: readonly (readonly [string, (path: string, other: string) => Promise<void>])[] = [
  ['a byte of the payload', (path) => flipByte(path, shardHeadBytes + 60_017)],
  ['a byte of the manifest', (path) => flipByte(path, -100)],
  ['a byte of the head', (path) => flipByte(path, 20)],
  ['the end of the file', (path) => truncate(path, 100_000)],
  ['the file, by that of another pack', (path, other) => copyFile(other, path)],
  ['the file, by a longer one', (path) => writeFile(path, noise(77, 3_000_000))],
];

for (const [what, spoil] of spoils) {
  test(`threads find what one thread finds where damage took ${what}`, async (t) => {
    // As many as a pack has shards: each has one of every pack.
    const fixture = await several(t, { drives: spread.n });
    for (const drive of [0, 1]) {
      const paths = await fixture.shardFiles(drive);
      await spoil(item(paths, drive), item(paths, drive + 1));
    }
    const { summary, problems, book } = await sameOnBoth(fixture);
    assert.equal(summary.shardsDamaged, 2);
    assert.equal(problems.filter((words) => /part \d of pack .* is damaged/.test(words)).length, 2);
    assert.ok(book.length >= 2);
  });
}

test('threads find what one thread finds where a drive is away, shards are gone and every shard has a bad leaf', async (t) => {
  const fixture = await several(t);
  await fixture.unplug(3);
  for (const drive of [0, 1, 2]) {
    const paths = await fixture.shardFiles(drive);
    await flipByte(item(paths, 0), shardHeadBytes + leafBytes + 7);
    if (drive === 0) await rm(item(paths, -1));
  }
  const { summary, problems } = await sameOnBoth(fixture);
  assert.deepEqual(summary.away, ['drive-3']);
  assert.equal(problems.filter((words) => /part \d of pack .* is damaged/.test(words)).length, 3);
});

test('threads find what one thread finds where all is as it was signed, and a blob is not what its name says', async (t) => {
  const fixture = await several(t);
  await forgeSnapshot(fixture, spread, async (forge) => {
    const named = new Uint8Array(32).fill(7);
    const body = utf8('not what it is called');
    await forge.plainFrame({ kind: blobKinds.data, blobId: named, body });
    const content = { level: 0, ids: [named] };
    const file = forgedEntry('file', entryTypes.file, { size: body.length, content });
    return { level: 0, ids: [await forge.tree([file])] };
  });
  const { summary } = await sameOnBoth(fixture);
  assert.equal(summary.shardsDamaged, 0);
  assert.equal(summary.blobsDamaged, 1);
  assert.equal(summary.snapshotsAffected.length, 1);
});

test('threads find what one thread finds at friends, of whom one lies', async (t) => {
  const fixture = await several(t, { drives: 1, friends: ['anna', 'ben', 'cleo'] });
  fixture.friend('anna').holder.lie = (range) => {
    range.bytes[5] = (range.bytes[5] ?? 0) ^ 1;
    return range;
  };
  const { summary, problems } = await sameOnBoth(fixture);
  assert.ok(summary.shardsDamaged > 0);
  assert.deepEqual(summary.snapshotsAffected, []);
  assert.ok(problems.every((words) => words.startsWith('anna: ')));
});

test('progress under threads ends with all bytes, and Ctrl-C ends a check in the middle', async (t) => {
  const fixture = await several(t);
  const steps: Progress[] = [];
  await checkOn(fixture, 2, { onProgress: (step) => void steps.push(step) });
  const last = item(
    steps.filter(({ bytesTotal }) => bytesTotal !== undefined),
    -1,
  );
  assert.ok((last.bytesTotal ?? 0) > 0);
  assert.equal(last.bytesDone, last.bytesTotal);
  const stop = new AbortController();
  const error = await failure(
    checkOn(fixture, 2, {
      signal: stop.signal,
      onProgress: ({ bytesDone }) => {
        if (bytesDone > 0) stop.abort();
      },
    }),
  );
  assert.equal(error.code, 'interrupted');
});
