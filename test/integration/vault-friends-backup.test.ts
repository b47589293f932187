import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KithError, type ErrorCode } from '../../lib/base/errors.ts';
import { backupOutcome } from '../../cli/commands/backup.ts';
import type { FakeFriend } from '../support/fake-friends.ts';
import { noise } from '../support/noise.ts';
import { item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 4 };
const five = ['anna', 'ben', 'cara', 'dora', 'emil'];
/** Some packs of the smallest classes. */
const files = { 'photo.raw': noise(1, 700_000), 'letter.txt': 'Dear friend,\n' };

/** Whoever is asked first to take a shard does this at every put. Gives the name, once there is one. */
function firstAsked(
  fixture: VaultFixture,
  misbehave: (friend: FakeFriend) => void | Promise<void>,
): () => string {
  let first: string | undefined;
  for (const name of five) {
    const friend = fixture.friend(name);
    friend.holder.before = async ({ operation }) => {
      if (operation !== 'put') return;
      first ??= name;
      if (first === name) await misbehave(friend);
    };
  }
  return () => {
    assert.ok(first !== undefined, 'nobody was asked');
    return first;
  };
}

/** Shards that each friend has. */
async function shardsOf(fixture: VaultFixture): Promise<Record<string, number>> {
  const { friends } = await fixture.status();
  return Object.fromEntries(friends.map(({ name, shardsOfMine }) => [name, shardsOfMine ?? 0]));
}

test('a backup spreads over friends alone, restores from any k, and repair brings a lost one’s part elsewhere', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five, spread, files });
  const { summary, problems } = await fixture.backup();
  assert.deepEqual(problems, []);
  assert.equal(summary.state, 'complete');
  assert.equal(summary.shardsMissing, 0);
  assert.equal(summary.tolerates, 2);
  fixture.friends.away('anna', 'ben');
  await fixture.restoresTo();
  fixture.friends.away('anna');
  await fixture.use((vault) => vault.friendRemove('anna', { force: true }));
  const repaired = await fixture.repair();
  assert.equal(repaired.summary.shardsStillMissing, 0);
  assert.equal(repaired.summary.toleratesAfter, 2);
  assert.deepEqual(repaired.problems, []);
});

test('all shards of a pack are on their way at once', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five, spread, files });
  let waiting = 0;
  let letGo = (): void => undefined;
  const all = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  for (const name of five) {
    fixture.friend(name).holder.before = async ({ operation, ordinal }) => {
      if (operation !== 'put' || ordinal > 0) return;
      if (++waiting === spread.n) letGo();
      await all;
    };
  }
  assert.equal((await fixture.backup()).summary.state, 'complete');
});

const refusals: readonly ErrorCode[] = [
  'quota-exceeded',
  'disk-full',
  'limit-exceeded',
  'not-granted',
  'io-error',
  'holder-unavailable',
  'failed',
  'usage',
  'malformed',
];

test('a friend who answers each put with an error, whichever it is, is replaced, and told once', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five, spread, files });
  let before: Record<string, number> = {};
  for (const [number, code] of refusals.entries()) {
    await fixture.write('photo.raw', noise(number, 700_000));
    const bad = firstAsked(fixture, () => {
      throw new KithError(code, 'no');
    });
    const { summary, problems } = await fixture.backup();
    assert.equal(summary.state, 'complete', code);
    assert.equal(summary.shardsMissing, 0, code);
    assert.deepEqual(problems, [{ item: bad(), message: 'no', code }]);
    const after = await shardsOf(fixture);
    for (const name of five) {
      const more = (after[name] ?? 0) - (before[name] ?? 0);
      assert.equal(more > 0, name !== bad(), `${code}: ${name} has ${more} more`);
    }
    before = after;
  }
});

test('a friend who is full to the byte is replaced', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five.slice(1), spread, files });
  await fixture.use((vault) => fixture.addFriend(vault, 'anna', { room: 40_000 }));
  const { summary } = await fixture.backup();
  assert.deepEqual([summary.state, summary.shardsMissing], ['complete', 0]);
  assert.equal((await shardsOf(fixture))['anna'], 0);
});

test('a friend who goes in the middle of a put is replaced and left alone; back again, repair needs nothing', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five, spread, files });
  const gone = firstAsked(fixture, (friend) => {
    friend.holder.away = true;
    throw new KithError('holder-unavailable', 'gone');
  });
  const { summary, problems } = await fixture.backup();
  const { holder } = fixture.friend(gone());
  assert.deepEqual([summary.state, summary.shardsMissing], ['complete', 0]);
  assert.deepEqual(
    problems.map(({ item: who, code }) => [who, code]),
    [[gone(), 'holder-unavailable']],
  );
  assert.equal(
    holder.calls.filter(({ operation }) => operation === 'put').length <= 2,
    true,
    'two packs at a time',
  );
  const after = holder.calls.length;
  await fixture.status();
  assert.equal(holder.calls.length, after, 'nobody calls one who is away');
  holder.before = () => undefined;
  holder.away = false;
  const { summary: repaired } = await fixture.repair();
  assert.equal(repaired.shardsMissing, 0);
  await fixture.restoresTo();
});

test('a silent friend holds up nobody: the spare has the shard when the call’s limit ends the wait', async (t) => {
  const fixture = await VaultFixture.create(t, {
    drives: 0,
    friends: five,
    spread,
    files: { a: 'one small pack' },
  });
  // Whoever is asked first falls silent, until all others have what they are to have.
  let silent: string | undefined;
  let placed = 0;
  let giveUp = (): void => undefined;
  const limit = new Promise<void>((resolve) => {
    giveUp = resolve;
  });
  for (const name of five) {
    fixture.friend(name).holder.before = async ({ operation }) => {
      if (operation !== 'put') return;
      silent ??= name;
      if (silent === name) {
        await limit;
        throw new KithError('holder-unavailable', 'no answer for 30 s');
      }
      if (++placed === spread.n - 1) giveUp();
    };
  }
  const { summary, problems } = await fixture.backup();
  assert.deepEqual([summary.state, summary.shardsMissing], ['complete', 0]);
  assert.deepEqual(
    problems.map(({ item: who, code }) => [who, code]),
    [[silent, 'holder-unavailable']],
  );
});

test('too few friends for all shards is exit 4, too few for any k is pending, and repair finishes both', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five, spread, files });
  fixture.friends.away('anna', 'ben');
  const thin = (await fixture.backup()).summary;
  assert.equal(thin.state, 'complete');
  assert.ok(thin.shardsMissing > 0);
  const outcome = backupOutcome(thin, false, { drives: 0, friends: 5 });
  assert.equal(outcome?.exit, 4);
  assert.match(outcome.message ?? '', /fewer friends than asked/);
  fixture.friends.away('anna', 'ben', 'cara', 'dora');
  await fixture.write('more.raw', noise(2, 300_000));
  const pending = (await fixture.backup()).summary;
  assert.equal(pending.state, 'pending');
  assert.equal(backupOutcome(pending, false, { drives: 0, friends: 5 })?.exit, 1);
  const waiting = await fixture.status();
  assert.match(waiting.reasons.join('\n'), /wait on this computer for friends/);
  assert.equal(item(waiting.snapshots, -1).health, 'waits for friends: not safe yet');
  fixture.friends.away();
  const repaired = (await fixture.repair()).summary;
  assert.deepEqual([repaired.snapshotsPublished, repaired.shardsStillMissing], [1, 0]);
  assert.equal((await fixture.status()).verdict, 'Safe');
  fixture.friends.away('emil', 'dora');
  await fixture.restoresTo();
});

test('twenty friends, 15 of them dead: the five are enough, and nobody asks the dead', async (t) => {
  const names = Array.from({ length: 20 }, (_, i) => `f${i}`);
  const fixture = await VaultFixture.create(t, { drives: 0, friends: names.slice(0, 5), spread, files });
  await fixture.use(async (vault) => {
    for (const name of names.slice(5)) {
      const friend = await fixture.friends.meet(name);
      friend.holder.away = true;
      await vault.friendAdd(friend.card);
    }
  });
  const { summary, problems } = await fixture.backup();
  assert.deepEqual([summary.state, summary.shardsMissing, problems.length], ['complete', 0, 0]);
  await fixture.restoresTo();
  await fixture.repair();
  await fixture.status();
  for (const name of names.slice(5)) assert.equal(fixture.friend(name).holder.calls.length, 0);
});

test('one who lists shards and doesn’t give them: restored all the same, told, and rebuilt elsewhere', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five, spread, files });
  await fixture.backup();
  const { packs } = await fixture.use((vault) => vault.where('latest'));
  const liar = item(
    packs.flatMap(({ shards }) => shards.filter(({ index }) => index === 0)),
    0,
  ).holder;
  assert.ok(liar !== null);
  fixture.friend(liar).holder.withholds = () => true;
  const restored = await fixture.restoresTo();
  assert.ok(restored.problems.some(({ item: who, code }) => who === liar && code === 'shard-missing'));
  assert.ok(restored.problems.every(({ item: who }) => who === liar));
  const repaired = await fixture.repair();
  assert.ok(repaired.summary.shardsRebuilt > 0);
  assert.equal(repaired.summary.shardsStillMissing, 0);
  assert.ok(repaired.problems.some(({ item: who, code }) => who === liar && code === 'shard-missing'));
  fixture.friends.away(liar);
  await fixture.restoresTo();
  const without = await fixture.status();
  assert.equal(without.tolerates, 2, 'nothing hangs on the word of the one who lied');
});

test('wrong bytes are found, remembered, and no word of whom they came from makes them right', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five, spread, files });
  await fixture.backup();
  const { packs } = await fixture.use((vault) => vault.where('latest'));
  const liar = item(item(packs, 0).shards, 0).holder;
  assert.ok(liar !== null);
  const { holder } = fixture.friend(liar);
  holder.lie = (range) => {
    const { bytes } = range;
    bytes[7] = (bytes[7] ?? 0) ^ 1;
    return range;
  };
  const restored = await fixture.restoresTo();
  assert.ok(restored.summary.shardsReplaced > 0);
  assert.ok(restored.problems.every(({ item: who, code }) => who === liar && code === 'shard-damaged'));
  assert.equal((await fixture.status()).verdict, 'Thin');
  const repaired = await fixture.repair();
  assert.ok(repaired.problems.some(({ item: who, code }) => who === liar && code === 'shard-damaged'));
  assert.equal(repaired.summary.shardsStillMissing, 0);
  fixture.friends.away(liar);
  assert.equal((await fixture.status()).tolerates, 2);
});

test('an inventory that makes things up is worth nothing', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: five, spread, files });
  await fixture.backup();
  const { holder } = fixture.friend('ben');
  const made = (index: number): { packId: Uint8Array; index: number } => ({
    packId: noise(index, 32),
    index,
  });
  for (const extra of [
    [made(1), made(2), made(3)],
    [{ packId: noise(1, 32), index: 300 }],
    [{ packId: noise(1, 31), index: 1 }],
    [{ packId: noise(1, 32), index: -1 }],
    [{ packId: noise(1, 32), index: Number.NaN }],
  ]) {
    holder.adds = extra.map((ref) => ({ ...ref, class: 0, fileBytes: 1, sinceMs: 0, damaged: undefined }));
    const status = await fixture.status();
    assert.ok(['Safe', 'Thin'].includes(status.verdict), status.verdict);
    const { summary } = await fixture.repair();
    assert.deepEqual([summary.packsAdopted, summary.packsLost], [0, 0]);
  }
  await fixture.restoresTo();
});
