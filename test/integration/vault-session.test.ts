import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openVault, type Problem } from '../../lib/vault/index.ts';
import { failure, filesBelow, flipByte, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 1, n: 2 };

test('problems of one operation are told to its listener and to no other', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup();
  const path = item(await fixture.shardFiles(0), 0);
  await flipByte(path, 500);
  await fixture.use(async (vault) => {
    const first: Problem[] = [];
    const second: Problem[] = [];
    const options = { what: 'latest', target: join(fixture.root, 'target') };
    await vault.repair({ dryRun: true, onProblem: (problem) => void first.push(problem) });
    assert.equal(first.length, 1);
    // Nobody listens to these.
    await vault.status();
    await vault.where('latest');
    await vault.repair({ dryRun: true });
    await vault.restore({ ...options });
    assert.equal(first.length, 1, 'a listener hears nothing after its operation');
    await vault.repair();
    await vault.repair({ onProblem: (problem) => void second.push(problem) });
    assert.equal(second.length, 0, 'what others met is not told later');
    const failed = await failure(
      vault.restore({ ...options, what: 'ffff', onProblem: (p) => void second.push(p) }),
    );
    assert.equal(failed.code, 'snapshot-unknown');
    await flipByte(path, 500);
    await vault.repair({ dryRun: true });
    assert.equal(second.length, 0);
  });
});

test('what opening a home meets is told to the first who listens, once', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup();
  const logs = await filesBelow(join(fixture.home, 'logs'));
  await flipByte(item(logs, -1), 300);
  const vault = await openVault({ home: fixture.home, surroundings: fixture.surroundings });
  try {
    const told: Problem[] = [];
    await vault.status();
    await vault.backup({ paths: [fixture.source], onProblem: (problem) => void told.push(problem) });
    assert.ok(
      told.some((problem) => problem.item.startsWith('log ')),
      JSON.stringify(told),
    );
    const again: Problem[] = [];
    await vault.backup({ paths: [fixture.source], onProblem: (problem) => void again.push(problem) });
    assert.deepEqual(again, []);
  } finally {
    await vault.close();
  }
  // What was damaged in the home came back from the drives.
  assert.deepEqual((await fixture.backup()).problems, []);
  await fixture.restoresTo();
  assert.equal((await fixture.snapshots()).length, 4);
});

test('a second process is kept out of the home, and gets in once the first is gone', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.use(async () => {
    const error = await failure(openVault({ home: fixture.home }));
    assert.equal(error.code, 'locked');
    assert.equal(error.exitCode, 11);
    assert.equal(error.details['pid'], process.pid);
  });
  await fixture.use(() => Promise.resolve());
});

test('a home that lost its local state works on; only time is lost', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup();
  for (const lost of [['index'], ['current'], ['seen', 'tmp', 'cache', 'index', 'current']]) {
    for (const name of lost) await rm(join(fixture.home, name), { recursive: true, force: true });
    const { summary } = await fixture.backup();
    assert.equal(summary.state, 'complete', lost.join());
    assert.equal(summary.filesUnmodified, 5, `${lost.join()}: the parent was found again`);
    await fixture.restoresTo();
  }
  assert.equal((await fixture.snapshots()).length, 4);
});

test('a home that lost its logs asks for a disk, and has all back from the first one', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup();
  for (const lost of [['logs'], ['logs', 'current', 'index']]) {
    for (const name of lost) await rm(join(fixture.home, name), { recursive: true, force: true });
    const error = await failure(fixture.backup());
    assert.equal(error.code, 'no-holders');
    assert.match(error.message, /kith drive add/);
    await fixture.use(async (vault) => {
      await vault.driveAdd({ path: fixture.drive(1) });
      assert.equal((await vault.driveList()).length, 2, 'the other one is known from its logs');
    });
    const { summary, problems } = await fixture.backup();
    assert.deepEqual(problems, []);
    assert.equal(summary.filesUnmodified, 5);
    assert.equal(summary.shardsMissing, 0);
  }
  assert.equal((await fixture.snapshots()).length, 3);
});

test('a cache of directories that was tampered with is made again', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup();
  for (const path of await filesBelow(join(fixture.home, 'index'))) {
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(0, bytes.length - 3));
  }
  await fixture.restoresTo();
  const { summary } = await fixture.backup();
  assert.equal(summary.filesUnmodified, 5);
});

test('an interrupted backup ends with its code, and the next one goes on', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  const controller = new AbortController();
  let read = 0;
  const stopped = fixture.backup({
    signal: controller.signal,
    onItem: () => {
      if (++read === 2) controller.abort();
    },
  });
  const error = await failure(stopped);
  assert.equal(error.code, 'interrupted');
  assert.equal(error.exitCode, 130);
  assert.deepEqual(await fixture.snapshots(), []);
  assert.equal((await fixture.backup()).summary.state, 'complete');
  await fixture.restoresTo();
  const restoring = new AbortController();
  const target = join(fixture.root, 'half');
  const half = fixture.use((vault) =>
    vault.restore({ what: 'latest', target, signal: restoring.signal, onItem: () => restoring.abort() }),
  );
  assert.equal((await failure(half)).code, 'interrupted');
  for (const path of await filesBelow(target)) assert.doesNotMatch(path, /\.kith-restore-/);
});

test('names that no text can hold, and a folder of many files, come back byte for byte', async (t) => {
  const files: Record<string, string> = {};
  for (let i = 0; i < 400; i++) files[`many/${i.toString(36)} naïve ☃ ${i}`] = `content ${i % 7}`;
  const fixture = await VaultFixture.create(t, { drives: 2, spread, files });
  const odd = Buffer.concat([Buffer.from(`${fixture.source}/many/`), Buffer.from([0xff, 0xfe, 0x0a])]);
  await writeFile(odd, 'odd');
  const { summary } = await fixture.backup();
  assert.equal(summary.filesNew, 401);
  await fixture.restoresTo();
  const listed: string[] = [];
  await fixture.use(async (vault) => {
    for await (const entry of vault.list(`latest:${fixture.source}/many`)) listed.push(entry.path);
  });
  assert.equal(listed.length, 402);
});
