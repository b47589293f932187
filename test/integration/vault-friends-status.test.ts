import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KithError } from '../../lib/base/errors.ts';
import { notWanted } from '../../lib/base/refusals.ts';
import { failure, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };

test('status: nobody yet, then friends, then who would unlock what', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, spread });
  const lonely = await fixture.status();
  assert.equal(lonely.verdict, 'Waiting');
  assert.match(lonely.nextStep ?? '', /^kith invite/);
  assert.equal((await failure(fixture.backup())).code, 'no-holders');
  await fixture.use(async (vault) => {
    for (const name of ['anna', 'ben', 'cara']) await fixture.addFriend(vault, name);
  });
  assert.equal((await fixture.status()).nextStep, 'kith backup PATH');

  await fixture.backup();
  const safe = await fixture.status();
  assert.equal(safe.verdict, 'Safe');
  assert.match(safe.sentence, /any 1 friend may be lost/);
  assert.deepEqual([safe.tolerates, safe.offsiteTolerates, safe.survivesHomeLoss], [1, 1, true]);
  assert.equal(safe.listen, fixture.friends.listen);
  assert.deepEqual(safe.reasons, []);
  assert.equal(item(safe.snapshots, 0).health, 'restorable; any 1 friend may be lost');
  assert.deepEqual(
    safe.friends.map(({ name, online, shardsOfMine, quotaReceived }) => [
      name,
      online,
      shardsOfMine,
      quotaReceived,
    ]),
    ['anna', 'ben', 'cara'].map((name) => [name, true, 1, 1e9]),
  );

  // Who revoked this computer may not have reached it: its friends were, and refuse it.
  fixture.friends.away('anna', 'ben', 'cara');
  fixture.friends.whyAway = 'the other side ended it: whatever words it has for that';
  fixture.friends.disown = true;
  const disowned = await fixture.status();
  assert.match(
    item(disowned.reasons, 0),
    /^"anna", "ben" and "cara" no longer take this computer .* revoked/,
  );
  assert.match(disowned.nextStep ?? '', /^kith device list, on another computer/);
  fixture.friends.disown = false;
  fixture.friends.whyAway = `the other side ended it: ${notWanted}`;
  assert.doesNotMatch((await fixture.status()).reasons.join(' '), /revoked/, 'a friendship may end as well');

  fixture.friends.whyAway = 'nobody answers';
  fixture.friends.away('anna', 'ben');
  const risky = await fixture.status();
  assert.equal(risky.verdict, 'At risk');
  assert.match(risky.sentence, /with the friends that can be reached now/);
  assert.ok(risky.reasons.some((reason) => reason === 'anna and ben are not online.'));
  assert.match(risky.nextStep ?? '', /ask anna and ben to run kith up/);
  assert.equal(item(risky.snapshots, 0).health, 'not restorable until anna or ben is online');
  const anna = item(risky.friends, 0);
  assert.deepEqual([anna.online, anna.via, anna.reason], [false, null, 'nobody answers']);
  assert.equal(risky.snapshots[0]?.restorable, false);

  const error = await fixture.cannotRestore();
  assert.match(error.message, /Wait until anna or ben is online/);
  assert.deepEqual(error.details['away'], ['anna', 'ben']);
  fixture.friends.away();
  await fixture.restoresTo();
});

test('status asks nothing of friends who are away, and lives with one who is broken', async (t) => {
  const names = Array.from({ length: 12 }, (_, i) => `friend-${i}`);
  const fixture = await VaultFixture.create(t, { drives: 0, friends: names, spread });
  await fixture.backup();
  fixture.friends.away(...names.slice(2));
  const broken = fixture.friend('friend-0').holder;
  broken.before = () => {
    throw new KithError('failed', 'the other side could not do it');
  };
  const callsBefore = names.map((name) => fixture.friend(name).holder.calls.length);
  const status = await fixture.status();
  assert.equal(status.friends.length, 12);
  const calls = names.map((name, i) => fixture.friend(name).holder.calls.length - (callsBefore[i] ?? 0));
  assert.ok(item(calls, 0) > 0 && item(calls, 1) > 0);
  assert.deepEqual(
    calls.slice(2),
    Array.from({ length: 10 }, () => 0),
  );
  assert.equal(
    status.friends.find(({ name }) => name === 'friend-0')?.reason,
    'the other side could not do it',
  );
});

test('friends with disks: home counts as home, and words name both', async (t) => {
  const fixture = await VaultFixture.create(t, {
    drives: 1,
    friends: ['anna', 'ben'],
    spread: { k: 1, n: 3 },
  });
  await fixture.backup();
  const far = await fixture.status();
  assert.match(far.sentence, /any 2 disks or friends may be lost/);
  assert.deepEqual([far.tolerates, far.offsiteTolerates, far.survivesHomeLoss], [2, 1, true]);
  const { packs } = await fixture.use((vault) => vault.where('latest'));
  const shards = item(packs, 0).shards;
  assert.deepEqual(shards.map(({ holder, kind, state }) => `${holder} ${kind} ${state}`).sort(), [
    'anna friend held',
    'ben friend held',
    'drive-0 drive held',
  ]);
  assert.ok(shards.some(({ holderId }) => holderId === fixture.friend('anna').id));
  await fixture.use(async (vault) => {
    await vault.friendSet('anna', { household: 'home' });
    await vault.friendSet('ben', { household: 'home' });
  });
  const near = await fixture.status();
  assert.deepEqual([near.tolerates, near.offsiteTolerates, near.survivesHomeLoss], [1, null, false]);
  assert.ok(near.reasons.some((reason) => reason.includes('fire or theft')));
});
