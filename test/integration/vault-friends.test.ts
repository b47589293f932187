import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { decodeCardText } from '../../lib/format/card-text.ts';
import { decodeCard, encodeCard, verifyCard } from '../../lib/format/card.ts';
import { endpointsOf, nameOfCard } from '../../lib/trust/card.ts';
import { openVault } from '../../lib/vault/index.ts';
import { cardLine } from '../support/fake-friends.ts';
import { endpointOf, SamplePerson } from '../support/sample-card.ts';
import { failure, item, VaultFixture } from '../support/vault-fixture.ts';

test('a friend is added with defaults, shown, changed and removed', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1 });
  await fixture.use(async (vault) => {
    const anna = await fixture.friends.meet('anna');
    const added = await vault.friendAdd(anna.card);
    assert.equal(added.name, 'anna');
    assert.equal(added.id, anna.id);
    assert.equal(added.household, null);
    assert.equal(added.quotaGiven, 50e9);
    assert.deepEqual(added.allow, ['cards', 'store']);
    assert.equal(added.online, true);
    assert.equal(added.via, 'direct');
    assert.equal(added.reason, null);
    assert.equal(added.quotaReceived, 1e9);
    assert.ok((added.usedByMe ?? 0) > 0, 'logs and keys are there already');
    assert.deepEqual(added.addresses, ['127.0.0.1:1001']);
    assert.deepEqual(
      added.devices.map(({ name }) => name),
      ['device 1'],
    );
    assert.ok(fixture.friends.refreshes.length > 0);

    const set = await vault.friendSet('anna', {
      name: 'Anna B.',
      quotaBytes: 7,
      household: 'street 1',
      deny: ['store'],
    });
    assert.deepEqual(
      [set.name, set.quotaGiven, set.household, set.allow],
      ['Anna B.', 7, 'street 1', ['cards']],
    );
    assert.equal((await vault.friendShow(anna.id.slice(0, 8))).name, 'Anna B.');
    assert.equal((await failure(vault.friendShow('anna'))).code, 'friend-unknown');
    assert.equal((await failure(vault.friendShow(anna.id.slice(0, 4)))).code, 'friend-unknown');

    fixture.friends.hostedBy.set(anna.id, { quotaBytes: 7, usedBytes: 3, reservedBytes: 2, trashBytes: 1 });
    const shown = await vault.friendShow('Anna B.');
    assert.deepEqual([shown.usedByThem, shown.reservedByThem, shown.trashOfThem], [3, 2, 1]);
    const ping = await vault.friendPing('Anna B.');
    assert.equal(item(ping.steps, 0).ok, true);
  });
  // The book is in the catalog: another process knows it.
  await fixture.use(async (vault) => {
    assert.deepEqual(
      (await vault.friendList()).map(({ name }) => name),
      ['Anna B.'],
    );
    const before = fixture.friends.refreshes.length;
    await vault.friendRemove('Anna B.');
    assert.ok(fixture.friends.refreshes.length > before);
    assert.deepEqual(await vault.friendList(), []);
  });
  await fixture.use(async (vault) => assert.deepEqual(await vault.friendList(), []));
});

test('without a network all friends are away, and nothing waits for them', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, friends: ['anna'] });
  const vault = await openVault({ home: fixture.home, surroundings: fixture.surroundings });
  try {
    const [anna] = await vault.friendList();
    assert.equal(anna?.online, false);
    assert.match(anna.reason ?? '', /isn't connected to friends/);
    const { steps } = await vault.friendPing('anna');
    assert.deepEqual(steps, []);
    const status = await vault.status();
    assert.equal(status.listen, null);
    assert.equal(status.friends.length, 1);
  } finally {
    await vault.close();
  }
});

test('names are unique over disks and friends, can be shown, and are never taken on trust', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1 });
  await fixture.use(async (vault) => {
    const sameName = await fixture.friends.meet('drive-0');
    assert.equal((await vault.friendAdd(sameName.card)).name, 'drive-0-2');
    const hostile = new SamplePerson('hostile');
    const name = `\u001b[2J\u202eevil\n${'x'.repeat(200)}`;
    const shown = (
      await vault.friendAdd(cardLine(hostile.card(1, { addresses: [hostile.address(1, 1, { name })] })))
    ).name;
    assert.match(shown, /^\[2Jevil x+$/);
    assert.ok(shown.length <= 64);
    const mute = new SamplePerson('mute');
    const silent = await vault.friendAdd(cardLine(mute.card(1, { addresses: [] })));
    assert.equal(silent.name, `friend-${silent.id.slice(0, 8)}`);
    const anna = await fixture.friends.meet('anna');
    for (const bad of ['', ' ', 'a\u0007b', 'drive-0', 'drive-0-2', 'x'.repeat(256)]) {
      assert.equal((await failure(vault.friendAdd(anna.card, { name: bad }))).code, 'usage', bad);
    }
    for (const options of [
      { household: 'a\nb' },
      { quotaBytes: -1 },
      { quotaBytes: 0.5 },
      { allow: ['everything'] },
      { allow: ['store'], deny: ['store'] },
    ]) {
      assert.equal((await failure(vault.friendAdd(anna.card, options))).code, 'usage');
    }
    assert.equal((await vault.friendList()).length, 3, 'nothing of it was kept');
    await vault.friendAdd(anna.card);
    assert.equal((await failure(vault.friendSet('anna', { name: 'drive-0' }))).code, 'usage');
    assert.equal(
      (await failure(vault.driveAdd({ path: fixture.drive(7), name: 'anna' }))).code,
      'usage',
      'a disk can’t have a friend’s name',
    );
  });
});

test('cards that are no good, or one’s own, are refused', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1 });
  await fixture.use(async (vault) => {
    const own = await vault.card();
    assert.equal((await failure(vault.friendAdd(own))).code, 'usage');
    const { card } = await fixture.friends.meet('anna');
    for (const text of ['', 'kith:card:', 'kith:invite:abc', card.slice(0, -1), card.replace(/.$/, '!')])
      assert.equal((await failure(vault.friendAdd(text))).code, 'malformed', text.slice(0, 20));
    const anna = new SamplePerson('anna');
    const ben = new SamplePerson('ben');
    const stolen = anna.card(1, { identity: ben.identity });
    assert.equal((await failure(vault.friendAdd(cardLine(stolen)))).code, 'not-authentic');
    assert.deepEqual(await vault.friendList(), []);
  });
});

test('a card of a known friend brings what is new, and nothing else counts as news', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1 });
  await fixture.use(async (vault) => {
    const anna = await fixture.friends.meet('anna');
    await vault.friendAdd(anna.card, { name: 'a', quotaBytes: 5 });
    assert.equal((await failure(vault.friendAdd(anna.card))).code, 'friend-exists');
    assert.equal((await vault.friendAdd(anna.card, { quotaBytes: 6 })).quotaGiven, 6);
    const { person } = anna;
    const second = person.card(2, { addresses: [person.address(1, 5), person.address(2, 4)] });
    const merged = await vault.friendAdd(cardLine(second));
    assert.equal(merged.name, 'a');
    assert.equal(merged.quotaGiven, 6);
    assert.deepEqual(merged.addresses, ['127.0.0.1:1005', '127.0.0.1:1004']);
    assert.equal((await failure(vault.friendAdd(anna.card))).code, 'friend-exists', 'an old card is no news');
    await vault.friendSet('a', { deny: ['store'] });
    await vault.friendRemove('a');
    const back = await vault.friendAdd(anna.card);
    assert.deepEqual(
      [back.name, back.quotaGiven, back.allow, back.addresses.length],
      ['a', 6, ['cards', 'store'], 2],
    );
  });
});

test('one’s own card says who one is, and stays the same', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1 });
  const line = await fixture.use((vault) => vault.card());
  const card = decodeCard(decodeCardText(line));
  verifyCard(card);
  assert.equal(toHex(card.identity), fixture.id);
  assert.equal(nameOfCard(card), 'tester');
  assert.deepEqual(endpointsOf(card, item(card.certificates, 0).deviceId), []);
  assert.equal(await fixture.use((vault) => vault.card()), line);
  await fixture.session(async (session) => {
    await session.ownAddress.publish(session.name, [endpointOf(4000)]);
  });
  const later = decodeCard(decodeCardText(await fixture.use((vault) => vault.card())));
  assert.deepEqual(endpointsOf(later, item(later.certificates, 0).deviceId), [endpointOf(4000)]);
});

test('what the network learns of a card is kept, but not before some holder was heard', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, friends: ['anna', 'ben'] });
  const { person, id } = fixture.friend('anna');
  const learned = encodeCard(person.card(1, { addresses: [person.address(1, 9)] }));
  const addresses = async (): Promise<readonly string[]> =>
    await fixture.use(async (vault) => (await vault.friendShow('anna')).addresses);
  await fixture.session(async (session) => {
    assert.equal(await session.learnFriendCard(id, learned), false);
    await session.exchangeLogs([]);
    assert.equal(await session.learnFriendCard(id, learned), false, 'nobody was heard');
  });
  assert.deepEqual(await addresses(), ['127.0.0.1:1001']);
  await fixture.session(async (session) => {
    await session.learnFriendCard(id, learned);
    await session.exchangeLogs([fixture.friend('ben').holder]);
  });
  assert.deepEqual(await addresses(), ['127.0.0.1:1009']);
  await fixture.session(async (session) => {
    await session.exchangeLogs([fixture.friend('ben').holder]);
    const lengths = (): number => session.logs.heads().reduce((sum, { length }) => sum + length, 0);
    const before = lengths();
    assert.equal(await session.learnFriendCard(id, learned), true);
    const old = encodeCard(person.card());
    assert.equal(await session.learnFriendCard(id, old), true, 'known');
    const other = encodeCard(new SamplePerson('ben').card());
    assert.equal(await session.learnFriendCard(id, other), false, 'not hers');
    assert.equal(await session.learnFriendCard(fixture.id, other), false, 'no friend');
    assert.equal(await session.learnFriendCard(id, new Uint8Array(9)), false);
    assert.equal(lengths(), before, 'nothing new, nothing written');
    const newer = encodeCard(person.card(1, { addresses: [person.address(1, 11)] }));
    await Promise.all([session.learnFriendCard(id, newer), session.learnFriendCard(id, newer)]);
    assert.equal(lengths(), before + 1);
  });
  assert.deepEqual(await addresses(), ['127.0.0.1:1011']);
});

test('a friend without whom something could not be restored is only removed when forced', async (t) => {
  const fixture = await VaultFixture.create(t, {
    drives: 0,
    friends: ['anna', 'ben', 'cara'],
    spread: { k: 2, n: 2 },
  });
  await fixture.backup();
  await fixture.use(async (vault) => {
    const { packs } = await vault.where('latest');
    const needed = item(item(packs, 0).shards, 0).holder ?? '';
    const error = await failure(vault.friendRemove(needed));
    assert.equal(error.code, 'failed');
    assert.match(error.message, /kith repair/);
    assert.equal((await vault.friendList()).length, 3);
    assert.equal((await vault.friendRemove(needed, { force: true })).name, needed);
    assert.equal((await vault.friendList()).length, 2);
  });
});
