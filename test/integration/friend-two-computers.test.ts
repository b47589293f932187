import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fromHex } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { initDrive, openDrive } from '../../lib/holders/drive.ts';
import type { Holder } from '../../lib/holders/holder.ts';
import { FriendDevices } from '../../lib/services/store/friend-devices.ts';
import { FaultHolder } from '../support/fault-holder.ts';
import { failure, filesBelow, item, VaultFixture } from '../support/vault-fixture.ts';
import { quickDisk } from '../support/vault-fixture-disk.ts';

/** A friend with two computers, each with a store of its own. */
interface TwoComputers {
  readonly fixture: VaultFixture;
  readonly composite: FriendDevices;
  /** Which of the two are here from now on. */
  readonly here: (...computers: (1 | 2)[]) => void;
  readonly shardsAt: (computer: 1 | 2) => Promise<number>;
}

async function store(fixture: VaultFixture, id: string, name: string): Promise<FaultHolder> {
  const vaultId = fromHex(fixture.id);
  assert.ok(vaultId !== undefined);
  const folder = join(fixture.root, 'computers', name);
  await mkdir(folder, { recursive: true });
  const made = await initDrive(quickDisk, folder, {
    name,
    vaultId,
    random: systemRandom,
    now: '2026-01-01T00:00:00Z',
  });
  const options = { id: made.id, vaultId, name, quotaBytes: 1e9, freeFloorBytes: 0, isDevice: () => true };
  const drive = openDrive(quickDisk, folder, options);
  return new FaultHolder(drive, { id, kind: 'friend', name: 'anna', household: undefined });
}

async function twoComputers(t: TestContext, drives: number): Promise<TwoComputers> {
  const fixture = await VaultFixture.create(t, { drives });
  const { friends } = fixture;
  const anna = await friends.meet('anna');
  const holders = [
    await store(fixture, anna.id, 'desktop'),
    await store(fixture, anna.id, 'laptop'),
  ] as const;
  const devices = holders.map((holder, i) => ({
    deviceId: String(i + 1).repeat(64),
    holder,
    get connected() {
      return !holder.away;
    },
  }));
  const composite = new FriendDevices({
    id: anna.id,
    name: 'anna',
    household: undefined,
    devices: () => devices,
    whyAway: () => 'not online',
  });
  const holderOf = friends.holderOf.bind(friends);
  friends.holderOf = (ref): Holder => (ref.id === anna.id ? composite : holderOf(ref));
  const here = (...computers: (1 | 2)[]): void => {
    holders.forEach((holder, i) => (holder.away = !computers.includes((i + 1) as 1 | 2)));
    friends.away(...(computers.length === 0 ? ['anna'] : []));
  };
  here(1);
  await fixture.use((vault) => vault.friendAdd(anna.card));
  const folders = ['desktop', 'laptop'].map((name) => join(fixture.root, 'computers', name, 'shards'));
  return {
    fixture,
    composite,
    here,
    shardsAt: async (computer) =>
      (await filesBelow(item(folders, computer - 1))).filter((path) => path.endsWith('.shard')).length,
  };
}

test('what one computer of a friend has is not lost while only the other is here', async (t) => {
  const { fixture, here, shardsAt } = await twoComputers(t, 0);
  await fixture.backup({ spread: { k: 1, n: 1 } });
  const stored = await shardsAt(1);
  assert.ok(stored > 0);
  here(2);
  const status = await fixture.status();
  assert.notEqual(status.verdict, 'Lost');
  const snapshot = item(status.snapshots, 0);
  assert.equal(snapshot.restorable, false);
  await fixture.cannotRestore();
  // Nothing of it is called lost, remade, or taken out of the index.
  const { summary } = await fixture.repair({ quick: true });
  assert.deepEqual([summary.packsLost, summary.shardsRebuilt, summary.shardsMissing], [0, 0, 0]);
  const check = await fixture.use((vault) => vault.check({}));
  assert.deepEqual([check.packsLost, check.packsDamaged, check.shardsMissing], [0, 0, 0]);
  assert.equal(check.shardsAway, stored);
  assert.equal(await shardsAt(2), 0);
  here(1, 2);
  await fixture.restoresTo();
  assert.equal(item((await fixture.status()).snapshots, 0).restorable, true);
  here(1);
  await fixture.restoresTo();
});

test('a friend is needed for what the computer that is away has', async (t) => {
  const { fixture, here } = await twoComputers(t, 0);
  await fixture.backup({ spread: { k: 1, n: 1 } });
  here(2);
  assert.equal((await failure(fixture.use((vault) => vault.friendRemove('anna')))).code, 'failed');
});

test('new shards go to the computer that has most; both together are one holder', async (t) => {
  const { fixture, here, shardsAt } = await twoComputers(t, 2);
  const spread = { k: 2, n: 3 };
  await fixture.backup({ spread });
  const first = await shardsAt(1);
  assert.ok(first > 0);
  here(1, 2);
  await fixture.write('more.txt', 'more');
  await fixture.backup({ spread });
  assert.ok((await shardsAt(1)) > first);
  assert.equal(await shardsAt(2), 0);
  // While only the other is here it takes what is new, and each has a part.
  here(2);
  await fixture.write('other.txt', 'other');
  assert.equal((await fixture.backup({ spread })).summary.state, 'complete');
  assert.ok((await shardsAt(2)) > 0);
  const { summary } = await fixture.repair({ quick: true });
  assert.equal(summary.shardsRebuilt, 0);
  here(1, 2);
  assert.equal((await fixture.status()).tolerates, 1);
  const { summary: whole } = await fixture.repair();
  assert.deepEqual([whole.shardsMissing, whole.shardsRebuilt], [0, 0]);
  await fixture.unplug(0);
  await fixture.restoresTo();
});

test('a computer that stays away is no excuse for ever: after the grace its parts are made anew', async (t) => {
  const { fixture, here, shardsAt } = await twoComputers(t, 3);
  const spread = { k: 2, n: 4 };
  await fixture.backup({ spread });
  assert.ok((await shardsAt(1)) > 0);
  here(2);
  await fixture.use((vault) => vault.configSet('repair.grace', '1h'));
  assert.equal((await fixture.repair({ quick: true })).summary.shardsRebuilt, 0);
  fixture.clock.forward(2 * 60 * 60 * 1000);
  assert.ok((await fixture.repair({ quick: true })).summary.shardsRebuilt > 0);
  assert.ok((await shardsAt(2)) > 0);
  // What was made anew is listed, and made once.
  fixture.clock.forward(2 * 60 * 60 * 1000);
  assert.equal((await fixture.repair({ quick: true })).summary.shardsRebuilt, 0);
});

test('a shard is absent only where all computers were asked', async (t) => {
  const { fixture, composite, here } = await twoComputers(t, 0);
  await fixture.backup({ spread: { k: 1, n: 1 } });
  const ref = { packId: new Uint8Array(32).fill(9), index: 0 };
  here(1, 2);
  assert.equal(await composite.get(ref, 0, 1), undefined);
  assert.equal(await composite.verify(ref), 'missing');
  assert.equal(composite.partAway(), undefined);
  here(2);
  for (const ask of [
    () => composite.get(ref, 0, 1),
    () => composite.verify(ref),
    () => composite.manifest(ref),
    () => composite.stat(ref),
  ])
    assert.equal((await failure(Promise.resolve(ask()))).code, 'holder-unavailable');
  assert.match(composite.partAway() ?? '', /another computer/);
  here();
  assert.equal(composite.partAway(), undefined, 'all of it is away');
  assert.equal((await composite.check()).available, false);
  assert.equal((await failure(composite.room())).code, 'holder-unavailable');
});

test('logs and the key record go to each computer that is here', async (t) => {
  const { fixture, composite, here } = await twoComputers(t, 0);
  here(1, 2);
  await fixture.backup({ spread: { k: 1, n: 1 } });
  const lists = await Promise.all(composite.computers().map((computer) => computer.logs.list()));
  assert.equal(lists.length, 2);
  assert.deepEqual(item(lists, 0), item(lists, 1));
  for (const computer of composite.computers()) assert.ok((await computer.getKeyRecord()) !== undefined);
});

test('one computer that fails says nothing of the other: what that one knows is heard, and it has the logs', async (t) => {
  const { fixture, composite, here } = await twoComputers(t, 0);
  here(1, 2);
  await fixture.backup({ spread: { k: 1, n: 1 } });
  const [first, second] = composite.computers();
  assert.ok(first instanceof FaultHolder && second !== undefined);
  await fixture.session(async (session) => {
    first.before = () => {
      throw new KithError('holder-unavailable', 'it fell silent');
    };
    const { heard, gone } = await session.hearLogs([composite]);
    assert.deepEqual(
      heard.map(({ holder }) => holder),
      [second],
    );
    assert.deepEqual([...gone], []);
    const given = await session.exchangeLogs([composite]);
    assert.equal(given.reached, 1);
    assert.deepEqual([...given.gone], []);
    first.before = () => undefined;
    assert.equal((await session.exchangeLogs([composite])).reached, 1, 'a friend is one holder');
  });
});
