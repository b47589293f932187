import assert from 'node:assert/strict';
import { cp, mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { newPhrase } from '../../lib/crypto/phrase.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { failure, filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };

async function twoSnapshots(t: Parameters<typeof VaultFixture.create>[0], drives = 3): Promise<VaultFixture> {
  const fixture = await VaultFixture.create(t, { drives, spread });
  await fixture.backup({ tags: ['first'] });
  await fixture.write('second.txt', 'second');
  await fixture.backup({ tags: ['second'] });
  return fixture;
}

async function tagsIn(fixture: VaultFixture, home: string): Promise<string[]> {
  return await fixture.inHome(home, async () => (await fixture.snapshots()).flatMap(({ tags }) => tags));
}

test('the phrase and one drive bring everything back, on a machine that has nothing', async (t) => {
  const fixture = await twoSnapshots(t);
  await rm(fixture.home, { recursive: true });
  const { summary, problems } = await fixture.recover('bare', [1]);
  assert.deepEqual(problems, []);
  assert.equal(summary.id, fixture.id);
  assert.equal(summary.name, 'tester');
  assert.equal(summary.snapshots, 2);
  assert.equal(summary.witnesses, 3, 'drives that the catalog names are asked as well');
  assert.equal(summary.agreed, 3);
  assert.deepEqual(summary.drivesFound, ['drive-0', 'drive-1', 'drive-2']);
  await fixture.inHome('bare', async () => {
    const [first] = await fixture.snapshots();
    assert.equal(summary.latest, (await fixture.snapshots()).at(-1)?.id);
    await fixture.restoresTo();
    assert.equal((await fixture.restore(first?.id)).summary.filesRestored, 5);
    assert.equal((await fixture.repair()).summary.shardsRebuilt, 0);
  });
});

test('drives that moved are found by the path they have now', async (t) => {
  const fixture = await twoSnapshots(t);
  await rm(fixture.home, { recursive: true });
  await mkdir(join(fixture.root, 'media'));
  const moved = [0, 1, 2].map((drive) => join(fixture.root, 'media', `disk-${drive}`));
  for (const [drive, path] of moved.entries()) {
    await cp(fixture.drive(drive), path, { recursive: true, preserveTimestamps: true });
    await rm(fixture.drive(drive), { recursive: true });
  }
  const { summary } = await fixture.recover('bare', [0]).catch(async (error: unknown) => {
    assert.equal((error as { code?: string }).code, 'nobody-reached');
    await cp(item(moved, 0), fixture.drive(0), { recursive: true });
    return await fixture.recover('bare', [0]);
  });
  assert.deepEqual(summary.drivesAway, ['drive-1', 'drive-2']);
  await fixture.inHome('bare', async () => {
    await fixture.cannotRestore();
    await fixture.use((vault) => vault.driveAdd({ path: item(moved, 2) }));
    await fixture.restoresTo();
  });
});

test('snapshots come back out of the packs where the logs are gone', async (t) => {
  const fixture = await twoSnapshots(t);
  await rm(fixture.home, { recursive: true });
  for (const drive of [0, 1, 2]) await rm(join(fixture.drive(drive), 'logs'), { recursive: true });
  const { summary } = await fixture.recover('bare', [0, 1, 2]);
  assert.equal(summary.snapshots, 2);
  assert.deepEqual(await tagsIn(fixture, 'bare'), ['first', 'second']);
  await fixture.inHome('bare', async () => {
    await fixture.restoresTo();
    const { summary: repaired } = await fixture.repair();
    assert.equal(repaired.shardsMissing, 0);
    assert.equal(repaired.toleratesAfter, 1);
    const { summary: next } = await fixture.backup();
    assert.equal(next.filesUnmodified, 6, 'and it goes on from them');
  });
});

test('with logs gone and too few drives nothing is made up, and the rest comes with the next drive', async (t) => {
  const fixture = await twoSnapshots(t);
  await rm(fixture.home, { recursive: true });
  for (const drive of [0, 1, 2]) await rm(join(fixture.drive(drive), 'logs'), { recursive: true });
  await fixture.unplug(1, 2);
  const { summary } = await fixture.recover('bare', [0]);
  assert.equal(summary.snapshots, 0);
  assert.equal(summary.latest, null);
  await fixture.plugIn(1, 2);
  await fixture.inHome('bare', async () => {
    for (const drive of [1, 2]) await fixture.use((vault) => vault.driveAdd({ path: fixture.drive(drive) }));
    await fixture.repair();
    await fixture.restoresTo();
    assert.equal((await fixture.snapshots()).length, 2);
  });
});

test('of an older and a newer drive the newer state counts, named or only found by its path', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 1, n: 3 } });
  await fixture.backup({ tags: ['first'] });
  await fixture.unplug(0);
  await fixture.write('second.txt', 'second');
  await fixture.backup({ tags: ['second'] });
  await fixture.plugIn(0);
  const both = await fixture.recover('both', [0, 2]);
  assert.equal(both.summary.snapshots, 2);
  assert.deepEqual(await tagsIn(fixture, 'both'), ['first', 'second']);
  const found = await fixture.recover('found', [0]);
  assert.equal(found.summary.snapshots, 2);
  assert.ok(found.summary.witnesses >= 2);
});

test('the older drive alone gives the older state, and says with how many witnesses', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 1, n: 3 } });
  await fixture.backup({ tags: ['first'] });
  await fixture.unplug(0);
  await fixture.write('second.txt', 'second');
  await fixture.backup({ tags: ['second'] });
  await fixture.plugIn(0);
  await fixture.unplug(1, 2);
  const { summary } = await fixture.recover('bare', [0]);
  assert.equal(summary.snapshots, 1);
  assert.equal(summary.witnesses, 1);
  assert.deepEqual(summary.drivesAway, ['drive-1', 'drive-2']);
  await fixture.plugIn(1, 2);
  await fixture.inHome('bare', () => fixture.repair());
  assert.deepEqual(
    await tagsIn(fixture, 'bare'),
    ['first', 'second'],
    'the others are heard when they are back',
  );
});

test('the phrase of somebody else opens nothing and leaves no home', async (t) => {
  const fixture = await twoSnapshots(t);
  const { phrase } = newPhrase(systemRandom);
  const error = await failure(fixture.recover('bare', [0, 1], phrase));
  assert.equal(error.code, 'unknown-identity');
  assert.equal(error.exitCode, 12);
  assert.deepEqual(await filesBelow(join(fixture.root, 'bare')), []);
});

test('a phrase with a wrong word, a missing word or a bad checksum is told apart', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  const words = fixture.phrase.split(' ');
  const swapped = [item(words, 1), item(words, 0), ...words.slice(2)].join(' ');
  const cases: readonly [string, RegExp][] = [
    [['abandonn', ...words.slice(1)].join(' '), /word 1.*abandonn.*abandon/s],
    [words.slice(1).join(' '), /24 words/],
    ['', /24 words/],
  ];
  for (const [phrase, expected] of cases) {
    const error = await failure(fixture.recover('bare', [0], phrase));
    assert.equal(error.code, 'wrong-phrase');
    assert.equal(error.exitCode, 12);
    assert.match(error.message, expected);
  }
  // Two words exchanged: by chance (1 in 256) another valid phrase, and then somebody else's.
  const error = await failure(fixture.recover('bare', [0], swapped));
  assert.ok(['wrong-phrase', 'unknown-identity'].includes(error.code) || words[0] === words[1]);
});

test("another vault's drive beside the right one is passed over; alone it is nobody's", async (t) => {
  const fixture = await twoSnapshots(t);
  const stranger = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await stranger.backup();
  const before = await filesBelow(stranger.drive(0));
  await rm(fixture.drive(2), { recursive: true });
  await cp(stranger.drive(0), fixture.drive(2), { recursive: true });
  assert.equal((await fixture.recover('bare', [2, 0, 1])).summary.snapshots, 2);
  assert.equal((await failure(fixture.recover('none', [2]))).code, 'unknown-identity');
  assert.deepEqual(
    (await filesBelow(fixture.drive(2))).map((path) => path.slice(fixture.drive(2).length)),
    before.map((path) => path.slice(stranger.drive(0).length)),
  );
});

test('nothing at all at the paths is another error than the wrong phrase', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.unplug(0);
  assert.equal((await failure(fixture.recover('bare', [0]))).code, 'nobody-reached');
  assert.equal((await failure(fixture.recover('bare', []))).code, 'nobody-reached');
  await mkdir(fixture.drive(0));
  await writeFile(join(fixture.drive(0), 'holiday.jpg'), 'mine');
  const error = await failure(fixture.recover('bare', [0]));
  assert.equal(error.code, 'nobody-reached');
  assert.equal(error.exitCode, 5);
});

test('a damaged key record on one drive is made good from another', async (t) => {
  const fixture = await twoSnapshots(t);
  const keys = (drive: number): string => join(fixture.drive(drive), 'keys', `${fixture.id}.keys`);
  const damages: readonly ((path: string) => Promise<void>)[] = [
    (path) => flipByte(path, 100),
    (path) => truncate(path, 50),
    (path) => truncate(path, 0),
    (path) => rm(path),
  ];
  for (const [i, damage] of damages.entries()) {
    await damage(keys(0));
    const { summary, problems } = await fixture.recover(`bare-${i}`, [0, 1]);
    assert.equal(summary.snapshots, 2);
    assert.ok(problems.length > 0, 'it is told');
    const { summary: after } = await fixture.recover(`again-${i}`, [0]);
    assert.equal(after.snapshots, 2, 'and good again');
    assert.deepEqual(await readFile(keys(0)), await readFile(keys(1)));
  }
  await flipByte(keys(0), 100);
  await fixture.unplug(1, 2);
  const error = await failure(fixture.recover('alone', [0]));
  assert.equal(error.code, 'unknown-identity');
  assert.match(error.message, /keys are damaged/);
});

test('the old home goes on beside the recovered one, and both see all that either made', async (t) => {
  const fixture = await twoSnapshots(t);
  await fixture.recover('new', [0]);
  await fixture.inHome('new', () => fixture.backup({ tags: ['by the new'] }));
  const { problems } = await fixture.backup({ tags: ['by the old'] });
  assert.deepEqual(problems, []);
  await fixture.inHome('new', async () => {
    assert.deepEqual((await fixture.backup({ tags: ['by the new again'] })).problems, []);
  });
  await fixture.repair();
  const all = ['first', 'second', 'by the new', 'by the old', 'by the new again'];
  assert.deepEqual(await tagsIn(fixture, 'home'), all);
  assert.deepEqual(await tagsIn(fixture, 'new'), all);
  for (const home of ['home', 'new']) {
    await fixture.inHome(home, async () => {
      for (const { id } of (await fixture.snapshots()).slice(1)) {
        assert.equal((await fixture.restore(id)).summary.filesFailed, 0);
      }
    });
  }
});

test('a home that is there already is not written over by a recovery of another identity', async (t) => {
  const fixture = await twoSnapshots(t);
  const stranger = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  const before = await readFile(join(stranger.home, 'keystore'));
  const error = await failure(
    stranger.inHome('home', async () => {
      const { recoverVault } = await import('../../lib/vault/index.ts');
      return await recoverVault({ home: stranger.home, phrase: fixture.phrase, drives: [fixture.drive(0)] });
    }),
  );
  assert.equal(error.code, 'vault-exists');
  assert.deepEqual(await readFile(join(stranger.home, 'keystore')), before);
});
