import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { allRestore, joinsBranches, keepHome, noFork, putBack, tagsOf } from '../support/put-back-home.ts';
import { VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 1, n: 2 };

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

// The same with another drive: test/long/branches-joined.test.ts.
test('two branches of one log are both kept when drive 0 comes back with the longer one', (t) =>
  joinsBranches(t, 0));

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
