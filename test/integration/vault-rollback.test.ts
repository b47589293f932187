import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Problem } from '../../lib/vault/index.ts';
import { VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 1, n: 2 };

/** Copies of the home, to be put back: a restored disk image, a home in a snapshot of a file system. */
async function keepHome(fixture: VaultFixture): Promise<void> {
  await cp(fixture.home, join(fixture.root, 'kept'), { recursive: true, preserveTimestamps: true });
}

async function putBack(fixture: VaultFixture): Promise<void> {
  await rm(fixture.home, { recursive: true });
  await cp(join(fixture.root, 'kept'), fixture.home, { recursive: true, preserveTimestamps: true });
}

async function tagsOf(fixture: VaultFixture): Promise<string[]> {
  return (await fixture.snapshots()).flatMap(({ tags }) => tags);
}

async function allRestore(fixture: VaultFixture): Promise<void> {
  for (const { id, summary } of await fixture.snapshots()) {
    const { summary: restored } = await fixture.restore(id);
    assert.equal(restored.filesFailed, 0);
    assert.equal(restored.filesRestored, summary.files);
  }
}

function noFork(problems: readonly Problem[]): void {
  assert.deepEqual(
    problems.filter((problem) => problem.code === 'log-forked'),
    [],
  );
}

test('a home that was put back goes on in fresh logs, with all snapshots of both lines', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup({ tags: ['before'] });
  await keepHome(fixture);
  await fixture.write('new.txt', 'new');
  await fixture.backup({ tags: ['forgotten by the home'] });
  const logsBefore = await logCount(fixture);
  await putBack(fixture);
  await fixture.write('newer.txt', 'newer');
  const { problems } = await fixture.backup({ tags: ['after'] });
  noFork(problems);
  assert.ok(
    problems.some(({ message }) => message.includes('fresh logs')),
    'it is told',
  );
  assert.ok((await logCount(fixture)) > logsBefore, 'fresh logs were opened');
  assert.deepEqual(await tagsOf(fixture), ['before', 'forgotten by the home', 'after']);
  await allRestore(fixture);
  await fixture.restoresTo();
  assert.deepEqual((await fixture.backup()).problems, [], 'and it is told only once');
  // A bare machine finds the same.
  await fixture.recover('bare', [2]);
  await fixture.inHome('bare', async () => {
    assert.deepEqual(await tagsOf(fixture), ['before', 'forgotten by the home', 'after']);
    await allRestore(fixture);
  });
});

async function logCount(fixture: VaultFixture): Promise<number> {
  return await fixture.session((session) => Promise.resolve(session.logs.heads().length));
}

test('settings and drives of the lost line are not lost either', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup({ tags: ['before'] });
  await keepHome(fixture);
  await fixture.use(async (vault) => {
    await fixture.addDrive(vault);
    await vault.configSet('repair.grace', '3d');
  });
  await putBack(fixture);
  noFork((await fixture.backup({ tags: ['after'] })).problems);
  await fixture.use(async (vault) => {
    assert.equal((await vault.driveList()).length, 3);
    assert.equal((await vault.configGet('repair.grace')).at(0)?.value, '3d');
  });
});

for (const away of [0, 2]) {
  test(`two branches of one log are both kept when drive ${away} comes back with the longer one`, async (t) => {
    const fixture = await VaultFixture.create(t, { drives: 3, spread });
    await fixture.backup({ tags: ['before'] });
    const others = [0, 1, 2].filter((drive) => drive !== away);
    await keepHome(fixture);
    // The line that will be forgotten: only the one drive sees it, in several segments.
    await fixture.unplug(...others);
    await fixture.write('long.txt', 'the longer line');
    await fixture.backup({ tags: ['long 1'], spread: { k: 1, n: 1 } });
    await fixture.write('long.txt', 'the longer line, and on');
    await fixture.backup({ tags: ['long 2'], spread: { k: 1, n: 1 } });
    await fixture.plugIn(...others);
    await putBack(fixture);
    await fixture.unplug(away);
    await fixture.write('short.txt', 'the shorter line');
    noFork((await fixture.backup({ tags: ['short'] })).problems);
    assert.deepEqual(await tagsOf(fixture), ['before', 'short']);

    await fixture.plugIn(away);
    await fixture.write('joined.txt', 'both');
    const { problems } = await fixture.backup({ tags: ['joined'] });
    noFork(problems);
    const told = problems.filter(({ message }) => message.includes('another branch'));
    assert.ok(
      told.length > 0 && told.every((problem) => problem.item === `drive-${away}`),
      JSON.stringify(problems),
    );
    const all = ['before', 'long 1', 'long 2', 'short', 'joined'];
    assert.deepEqual(await tagsOf(fixture), all);
    await allRestore(fixture);
    await fixture.restoresTo();
    assert.equal((await fixture.repair()).summary.packsLost, 0);
    const again = await fixture.backup({ tags: ['again'] });
    noFork(again.problems);
    assert.equal(again.summary.filesUnmodified, again.summary.totalFilesProcessed);

    // Each drive alone tells a bare machine all of it.
    await fixture.unplug(...others);
    await fixture.recover('bare-1', [away]);
    await fixture.plugIn(...others);
    await fixture.unplug(away);
    await fixture.recover('bare-2', others);
    await fixture.plugIn(away);
    for (const home of ['bare-1', 'bare-2']) {
      assert.deepEqual(await fixture.inHome(home, () => tagsOf(fixture)), [...all, 'again']);
      await fixture.inHome(home, () => allRestore(fixture));
    }
  });
}

test('a home put back twice, from the same copy, still loses nothing', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup({ tags: ['0'] });
  await keepHome(fixture);
  for (const tag of ['1', '2', '3']) {
    await putBack(fixture);
    await fixture.write('file.txt', tag);
    noFork((await fixture.backup({ tags: [tag] })).problems);
  }
  assert.deepEqual(await tagsOf(fixture), ['0', '1', '2', '3']);
  await allRestore(fixture);
});

test('an old drive, put back from an image, catches up', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread });
  await fixture.backup({ tags: ['0'] });
  await cp(fixture.drive(0), join(fixture.root, 'image'), { recursive: true });
  await fixture.write('file.txt', '1');
  await fixture.backup({ tags: ['1'] });
  await fixture.destroy(0);
  await cp(join(fixture.root, 'image'), fixture.drive(0), { recursive: true });
  const { summary, problems } = await fixture.repair();
  assert.deepEqual(problems, []);
  assert.equal(summary.shardsRebuilt, 1);
  await fixture.unplug(1);
  await fixture.recover('bare', [0]);
  assert.deepEqual(await fixture.inHome('bare', () => tagsOf(fixture)), ['0', '1']);
  await fixture.inHome('bare', () => allRestore(fixture));
});
