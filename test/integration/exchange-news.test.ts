import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { exchangeWith } from '../../lib/vault/index.ts';
import { liveCircle } from '../support/live-circle.ts';
import { poll } from '../support/poll.ts';
import { item, VaultFixture } from '../support/vault-fixture.ts';

/** A vault with some friends, and another device of it that works with anna alone. */
async function twoDevices(t: TestContext): Promise<{
  readonly fixture: VaultFixture;
  readonly atOther: (work: Parameters<VaultFixture['use']>[0]) => Promise<void>;
}> {
  const names = ['anna', 'ben', 'cara', 'dora'];
  const fixture = await VaultFixture.create(t, { drives: 1, friends: names, spread: { k: 1, n: 2 } });
  await fixture.backup();
  await fixture.recover('other', [0]);
  await fixture.unplug(0);
  const atOther = async (work: Parameters<VaultFixture['use']>[0]): Promise<void> => {
    fixture.friends.away('ben', 'cara', 'dora');
    await fixture.inHome('other', () => fixture.use(work));
    fixture.friends.away();
  };
  // By then anna has the key record that names it.
  await atOther((vault) => vault.configSet('repair.grace', '5h'));
  return { fixture, atOther };
}

test('an exchange of logs that brings nothing new has nobody looked at; of what it brings, only those it is about', async (t) => {
  const { fixture, atOther } = await twoDevices(t);
  const { refreshes } = fixture.friends;
  await fixture.session(async (session) => {
    const id = (name: string): string => fixture.friend(name).id;
    /** What a round of exchanges with all friends had the network look at. */
    const round = async (): Promise<string[][]> => {
      refreshes.length = 0;
      for (const friend of session.friends()) assert.equal(await exchangeWith(session, friend), true);
      return refreshes.map((changed) => [...(changed ?? ['anybody'])]);
    };
    assert.notDeepEqual(await round(), [], 'of the other device nobody has told this one before');
    assert.deepEqual(await round(), []);
    await atOther((vault) => vault.friendSet('cara', { household: 'street 1' }));
    const { name, holder } = item(session.friends(), 1);
    assert.deepEqual(await round(), [[id('cara')]]);
    assert.equal(session.friends().find((friend) => friend.name === 'cara')?.household, 'street 1');
    assert.equal(item(session.friends(), 1).holder, holder, `${name} is as before`);
    assert.deepEqual(await round(), []);
    await atOther((vault) => vault.friendRemove('dora', { force: true }));
    assert.deepEqual((await round()).flat(), [id('dora')]);
    assert.deepEqual(
      session.friends().map((friend) => friend.name),
      ['anna', 'ben', 'cara'],
    );
    assert.deepEqual(await round(), []);
    await atOther((vault) => vault.configSet('limits.upload', '1MB'));
    assert.deepEqual(await round(), [[]], 'settings have changed, and nobody');
    session.oweRefresh();
    assert.deepEqual(await round(), [[]], 'the network has asked for it');
    assert.deepEqual(await round(), []);
  });
});

test('whoever comes while logs are exchanged is given contact keys after it, though it brought nothing', async (t) => {
  const [anna, ben] = await liveCircle(t, ['anna', 'ben'], { apart: [['anna', 'ben']] });
  assert.ok(anna !== undefined && ben !== undefined);
  const { session } = anna;
  let owed = 0;
  const oweRefresh = session.oweRefresh.bind(session);
  session.oweRefresh = () => {
    owed++;
    oweRefresh();
  };
  await session.keepingContacts(async () => {
    await ben.vault.friendAdd(await anna.vault.card());
    await anna.vault.friendAdd(await ben.vault.card());
    await anna.sees(ben);
    owed = 0;
    anna.node.refresh();
    await poll('it is owed', () => Promise.resolve(owed > 0));
  });
  assert.equal(await ben.secretsOf(anna), 0);
  await anna.node.exchangeWith(ben.id, new AbortController().signal);
  await ben.hasContactsOf(1);
});

test('what an exchange brought is taken in by the next where the network failed at it, or the holders couldn’t be loaded', async (t) => {
  const { fixture, atOther } = await twoDevices(t);
  const { refreshes } = fixture.friends;
  await fixture.session(async (session) => {
    const anna = item(session.friends(), 0);
    const round = async (): Promise<string[][]> => {
      refreshes.length = 0;
      await exchangeWith(session, anna);
      return refreshes.map((changed) => [...(changed ?? ['anybody'])]);
    };
    await round();
    assert.deepEqual(await round(), []);
    const failsOnce = async (breakIt: () => () => void): Promise<void> => {
      const mend = breakIt();
      await assert.rejects(round(), /not now/);
      mend();
    };
    const fail = (): never => {
      throw new Error('not now');
    };
    const { network } = session;
    const breakNetwork = (): (() => void) => {
      const refresh = network.refresh.bind(network);
      network.refresh = fail;
      return () => (network.refresh = refresh);
    };
    await atOther((vault) => vault.friendSet('cara', { household: 'street 1' }));
    await failsOnce(breakNetwork);
    assert.deepEqual(await round(), [[fixture.friend('cara').id]]);
    session.oweRefresh();
    await failsOnce(breakNetwork);
    assert.deepEqual(await round(), [[]], 'what is owed stays so');
    await atOther((vault) => vault.friendSet('cara', { household: 'street 2' }));
    await failsOnce(() => {
      const load = session.loadHolders.bind(session);
      session.loadHolders = fail;
      return () => (session.loadHolders = load);
    });
    assert.deepEqual(await round(), [[fixture.friend('cara').id]]);
    assert.equal(session.friends().find(({ name }) => name === 'cara')?.household, 'street 2');
    assert.deepEqual(await round(), []);
  });
});
