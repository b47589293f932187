import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../lib/base/clock.ts';
import { item, VaultFixture } from '../support/vault-fixture.ts';

const century = 100n * 365n * 86_400_000_000_000n;

/** Works for a while with a clock that is wrong by that much. */
async function withClock(fixture: VaultFixture, offsetNs: bigint, work: () => Promise<void>): Promise<void> {
  const surroundings: { clock: Clock } = fixture.surroundings;
  const right = surroundings.clock;
  surroundings.clock = { nowNs: () => right.nowNs() + offsetNs, monotonicMs: () => right.monotonicMs() };
  try {
    await work();
  } finally {
    surroundings.clock = right;
  }
}

test('what was set and removed while the clock was a century ahead can be set and added again', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 1, n: 2 } });
  await fixture.backup();
  await withClock(fixture, century, () =>
    fixture.use(async (vault) => {
      await vault.configSet('trash.keep', '9d');
      await vault.driveRemove('drive-2', { force: true });
    }),
  );
  await fixture.use(async (vault) => {
    assert.equal((await vault.configSet('trash.keep', '3d')).value, '3d');
    assert.equal((await vault.driveAdd({ path: fixture.drive(2) })).available, true);
    assert.equal((await vault.driveList()).length, 3);
  });
});

test('latest is the newest backup, though one was made while the clock was ahead', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 2, spread: { k: 1, n: 2 } });
  await fixture.backup({ tags: ['first'] });
  await withClock(fixture, century, async () => {
    await fixture.write('wrong', 'w');
    await fixture.backup({ tags: ['ahead'] });
  });
  const tags = async (): Promise<string[]> => (await fixture.snapshots()).flatMap((one) => one.tags);
  assert.deepEqual(await tags(), ['first', 'ahead'], 'nothing was made on top of it yet');
  await fixture.write('newest', 'n');
  await fixture.backup({ tags: ['newest'] });
  assert.deepEqual(await tags(), ['first', 'ahead', 'newest']);
  await fixture.restoresTo('latest');
  const snapshots = await fixture.snapshots();
  assert.equal(item(snapshots, 2).parent, item(snapshots, 1).id);
  const { summary } = await fixture.recover('bare', [0]);
  assert.equal(summary.latest, item(snapshots, 2).id);
});

test('the wait for a drive ends, though it was last seen while the clock was ahead', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 1, n: 2 } });
  await withClock(fixture, century, async () => void (await fixture.backup()));
  for (const drive of [0, 1, 2]) {
    if ((await fixture.shardFiles(drive)).length === 0) continue;
    await fixture.destroy(drive);
    break;
  }
  await fixture.repair();
  fixture.clock.forward(30 * 86_400_000);
  const { summary } = await fixture.repair();
  assert.ok(summary.shardsRebuilt > 0);
});

test('a drive that was removed comes back as what it was', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.use(async (vault) => {
    const path = await fixture.addDrive(vault, {
      household: 'office',
      quotaBytes: 5_000_000_000,
      whole: true,
      name: 'blue',
    });
    await vault.driveRemove('blue', { force: true });
    const back = await vault.driveAdd({ path });
    assert.equal(back.name, 'blue');
    assert.equal(back.household, 'office');
    assert.equal(back.quotaBytes, 5_000_000_000);
    assert.equal(back.whole, true);
  });
});
