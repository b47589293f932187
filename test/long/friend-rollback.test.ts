import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { fromHex } from '../../lib/base/bytes.ts';
import { CrashWorld, home } from '../support/crash-machine.ts';
import { firstTree, secondTree } from '../support/crash-source.ts';
import type { DetachedFolder } from '../support/fault-disk.ts';
import { branchedLogs, checkWorksAgain, segmentsIn } from '../support/friend-checks.ts';
import { friendHome } from '../support/friend-home.ts';
import { FriendMachine } from '../support/friend-machine.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { atEnd } from '../support/at-end.ts';

const names = ['anna', 'ben', 'cara', 'dora'] as const;

interface Rolled {
  readonly machine: FriendMachine;
  /** The home as it was before the second backup. */
  readonly kept: DetachedFolder;
}

/** Friends have all that the owner wrote; then the home is put back to an image from before half of it. */
async function rolledBack(test: TestContext): Promise<Rolled> {
  const machine = await FriendMachine.create(new CrashWorld(await tempFolder(test), 1), names);
  atEnd(test, () => machine.down());
  assert.equal((await machine.backup(['one'])).state, 'complete');
  const kept = machine.keepHome();
  await machine.change(secondTree);
  assert.equal((await machine.backup(['two'])).state, 'complete');
  await machine.use(({ vault }) => vault.configSet('trash.keep', '9d'));
  await machine.use(({ vault }) => vault.friendSet('anna', { household: 'street 1' }));
  machine.checkProblems();
  machine.putBack(kept);
  await machine.change(new Map([...firstTree, ['after', new Uint8Array(50)]]));
  return { machine, kept };
}

/** Nothing that was ever written is lost: to the owner, or to whoever recovers from what is on friends' disks. */
async function checkNothingIsLost(
  machine: FriendMachine,
  branched: ReadonlySet<string> = new Set(),
): Promise<void> {
  await checkWorksAgain(machine, branched);
  await machine.use(async ({ vault }) => {
    assert.equal((await vault.configGet('trash.keep')).at(0)?.value, '9d');
    assert.equal((await vault.friendShow('anna')).household, 'street 1');
  });
  for (const name of names) {
    const bare = await machine.recoveredFrom([name]);
    const listed = await bare.use(async (vault) => (await vault.snapshots()).map(({ id }) => id));
    for (const id of machine.promised.keys()) assert.ok(listed.includes(id), `${name} knows of ${id}`);
    assert.equal(await bare.use(async (vault) => (await vault.configGet('trash.keep')).at(0)?.value), '9d');
  }
  const bare = await machine.recoveredFrom(names);
  assert.ok((await bare.checkSnapshots()) >= machine.promised.size);
}

/** Branches are where they were, are on record as closed, and nobody has both. */
async function checkClosed(machine: FriendMachine, branched: ReadonlySet<string>): Promise<void> {
  await machine.use(({ session }) => {
    for (const logKey of branched) {
      assert.equal(session.logs.isCurrent(fromHex(logKey) ?? new Uint8Array(0)), false, 'it is gone on with');
      const head = session.logs.heads().find((one) => Buffer.from(one.logKey).toString('hex') === logKey);
      assert.ok(head !== undefined && session.logs.isJoined(head));
    }
    return Promise.resolve();
  });
}

/** All segments of these logs, on each disk. */
function branchesOf(machine: FriendMachine, branched: ReadonlySet<string>): unknown {
  const disks = [
    { disk: machine.disk, folder: home },
    ...machine.friends.map(({ disk }) => ({ disk, folder: friendHome })),
  ];
  return disks.map(({ disk, folder }) =>
    [...segmentsIn(disk, folder)].filter(([place]) => branched.has(place.slice(0, 64))),
  );
}

describe('a home that was put back, with friends as holders', () => {
  it('hears friends who are online before it writes: no log is forked, nothing is lost', async (t) => {
    const { machine } = await rolledBack(t);
    assert.equal((await machine.backup(['three'])).state, 'complete');
    assert.ok(machine.problems.some(({ message }) => message.includes('fresh logs go on')));
    const tags = await machine.use(async ({ vault }) => (await vault.snapshots()).flatMap((one) => one.tags));
    assert.deepEqual(tags, ['one', 'two', 'three']);
    await checkNothingIsLost(machine);
  });

  it('with half of them online, hears those, and the others later', async (t) => {
    const { machine } = await rolledBack(t);
    await machine.down('cara', 'dora');
    assert.equal((await machine.backup(['three'])).state, 'complete');
    await machine.use(({ vault }) => vault.configSet('audit.interval', '2h'));
    await machine.down('anna', 'ben');
    await machine.up('cara');
    await machine.use(({ vault }) => vault.configSet('custody.grace', '48h'));
    await machine.up();
    for (const name of names) assert.equal(await machine.exchange(name), true);
    await checkNothingIsLost(machine);
  });

  it('put back again and again, from the same copy, loses nothing', async (t) => {
    const { machine, kept } = await rolledBack(t);
    for (const tag of ['three', 'four']) {
      await machine.change(new Map([['file', Buffer.from(tag)]]));
      assert.equal((await machine.backup([tag])).state, 'complete');
      machine.putBack(kept);
    }
    await machine.backup(['five']);
    await checkNothingIsLost(machine);
  });

  it('writes while nobody is online: both branches are kept, joined, and never gone on with', async (t) => {
    const { machine, kept } = await rolledBack(t);
    await machine.down();
    await machine.use(({ vault }) => vault.configSet('audit.interval', '2h'));
    assert.equal((await machine.backup(['waits'])).state, 'pending');
    machine.see();
    const branched = branchedLogs(machine);
    // What nobody could know: the catalog's log went on here from where friends have gone on as well.
    assert.equal(branched.size, 1);
    await machine.up();
    for (const name of names) assert.equal(await machine.exchange(name), true);
    await checkClosed(machine, branched);
    const before = branchesOf(machine, branched);
    await machine.backup(['four']);
    await checkNothingIsLost(machine, branched);
    assert.deepEqual(branchesOf(machine, branched), before, 'as they were, on all disks');
    await machine.use(async ({ vault }) => {
      assert.equal((await vault.configGet('audit.interval')).at(0)?.value, '2h');
    });
    // Put back once more, with friends who know by now.
    machine.putBack(kept);
    await machine.change(secondTree);
    await machine.backup(['five']);
    await checkNothingIsLost(machine, branched);
    await machine.use(async ({ vault }) => {
      assert.equal((await vault.configGet('audit.interval')).at(0)?.value, '2h');
    });
  });

  it('writes while only those are online who know no more: it is the same', async (t) => {
    const machine = await FriendMachine.create(new CrashWorld(await tempFolder(t), 3), names);
    atEnd(t, () => machine.down());
    await machine.backup(['one']);
    const kept = machine.keepHome();
    await machine.down('anna', 'ben');
    await machine.change(secondTree);
    assert.equal((await machine.backup(['two'])).state, 'complete');
    await machine.use(({ vault }) => vault.configSet('trash.keep', '9d'));
    await machine.use(({ vault }) => vault.friendSet('anna', { household: 'street 1' }));
    machine.putBack(kept);
    await machine.change(firstTree);
    await machine.down();
    await machine.up('anna', 'ben');
    assert.equal((await machine.backup(['three'])).state, 'complete');
    machine.see();
    const branched = branchedLogs(machine);
    assert.ok(branched.size > 0);
    await machine.up();
    for (const name of names) await machine.exchange(name);
    await checkClosed(machine, branched);
    const before = branchesOf(machine, branched);
    await machine.backup(['four']);
    await checkNothingIsLost(machine, branched);
    assert.deepEqual(branchesOf(machine, branched), before, 'as they were, on all disks');
  });

  it('after a power cut, goes on where it was', async (t) => {
    const machine = await FriendMachine.create(new CrashWorld(await tempFolder(t), 2), names);
    atEnd(t, () => machine.down());
    await machine.backup(['one']);
    const logs = (one: FriendMachine): Promise<number> =>
      one.use(({ session }) => Promise.resolve(session.logs.heads().length));
    const before = await logs(machine);
    const again = machine.restarted('lose-unsynced');
    await again.change(secondTree);
    await again.backup(['two']);
    again.checkProblems();
    assert.equal(await logs(again), before, 'no fresh logs were needed');
    await checkWorksAgain(again);
  });
});
