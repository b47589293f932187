import assert from 'node:assert/strict';
import { cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { recoveryNetwork } from '../../lib/daemon/recovery-node.ts';
import { letterKinds } from '../../lib/format/letter.ts';
import { recoverVault } from '../../lib/vault/recover/recover.ts';
import { Session } from '../../lib/vault/session.ts';
import { systemSurroundings } from '../../lib/vault/session-parts.ts';
import { liveCircle, type LiveFriend } from '../support/live-circle.ts';
import { poll } from '../support/poll.ts';

type Three = readonly [LiveFriend, LiveFriend, LiveFriend];

async function three(test: TestContext): Promise<Three> {
  const [anna, ben, cleo] = await liveCircle(test, ['anna', 'ben', 'cleo']);
  assert.ok(anna !== undefined && ben !== undefined && cleo !== undefined);
  // What each gave the others to be found by is in the others' catalogs.
  await Promise.all([anna, ben, cleo].map((one) => one.hasContactsOf(2)));
  return [anna, ben, cleo];
}

/** Where `one` believes that `other` is. */
async function addressesOf(one: LiveFriend, other: LiveFriend): Promise<readonly string[]> {
  return (await one.vault.friendShow(other.id)).addresses;
}

/** Paths of the letters that somebody keeps for others. */
async function lettersAt({ home }: LiveFriend): Promise<string[]> {
  const entries = await readdir(join(home, 'letters'), { withFileTypes: true, recursive: true }).catch(
    () => [],
  );
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

/** Resolves with the one letter that somebody keeps, once there is one that isn't `before`. */
async function letterAt(one: LiveFriend, before?: string): Promise<string> {
  return await poll(`${one.name} keeps one letter`, async () => {
    const [letter, ...others] = await lettersAt(one);
    return others.length === 0 && letter !== before ? letter : undefined;
  });
}

/** Ben has accepted Anna's invite by letter, and Cleo keeps what Anna said to it. Anna and Ben are down, and have never met. */
async function answeredByLetter(
  test: TestContext,
): Promise<{ anna: LiveFriend; ben: LiveFriend; cleo: LiveFriend; welcome: string }> {
  const [anna, ben, cleo] = await liveCircle(test, ['anna', 'ben', 'cleo'], {
    apart: [['anna', 'ben']],
  });
  assert.ok(anna !== undefined && ben !== undefined && cleo !== undefined);
  await Promise.all([anna.hasContactsOf(1), ben.hasContactsOf(1), cleo.hasContactsOf(2)]);
  const { text } = await anna.vault.invite();
  await anna.down();
  await ben.vault.accept(text);
  const answer = await letterAt(cleo);
  await ben.down();
  await anna.up();
  await poll('anna has ben', async () => (await anna.secretsOf(ben)) === 1);
  const welcome = await letterAt(cleo, answer);
  await anna.down();
  return { anna, ben, cleo, welcome };
}

async function knows(one: LiveFriend, other: LiveFriend): Promise<void> {
  const { listening } = other.node;
  assert.ok(listening !== null);
  await poll(`${one.name} knows where ${other.name} is`, async () =>
    (await addressesOf(one, other)).includes(listening),
  );
}

describe('friends who moved', { skip: process.platform === 'win32' }, () => {
  it('both find each other through one who stayed', async (test) => {
    const [anna, ben, cleo] = await three(test);
    await Promise.all([anna.down(), ben.down()]);
    await Promise.all([anna.up(), ben.up()]);
    await Promise.all([anna.sees(ben, cleo), ben.sees(anna, cleo)]);
    await knows(anna, ben);
  });

  it('find each other only as far as they want to be found', async (test) => {
    const [anna, ben, cleo] = await three(test);
    await anna.vault.friendSet('ben', { visibility: 'introduce' });
    await ben.vault.friendSet('anna', { visibility: 'no' });
    await ben.vault.friendSet('cleo', { visibility: 'introduce' });
    await poll('ben has no secret of anna', async () => (await ben.secretsOf(anna)) === 0);
    await poll('anna has no secret of ben', async () => (await anna.secretsOf(ben)) === 0);
    assert.equal(await cleo.secretsOf(anna), 1);
    const before = await addressesOf(anna, ben);
    await Promise.all([anna.down(), ben.down()]);
    await anna.up();
    await ben.up();
    await Promise.all([anna.sees(cleo), ben.sees(cleo)]);
    const { steps } = await anna.vault.friendPing('ben');
    assert.ok(steps.length > 0 && steps.every(({ ok }) => !ok));
    assert.deepEqual(await addressesOf(anna, ben), before);
    assert.ok(!anna.online.has(ben.id) && !ben.online.has(anna.id));
  });

  it('tell those who are connected', async (test) => {
    const [anna, ben] = await three(test);
    await anna.addAddress('127.0.0.2', 4321);
    await poll('ben was shown', async () => (await addressesOf(ben, anna)).includes('127.0.0.2:4321'));
  });

  it('are heard above what a home says that was put back', async (test) => {
    const [anna, ben, cleo] = await three(test);
    const address = join(anna.home, 'address');
    await anna.down();
    const old = await readFile(address);
    // A clock that was wrong once: what friends have is far above the time of day.
    const ahead = { ...systemSurroundings.clock, nowNs: () => systemSurroundings.clock.nowNs() * 2n };
    const session = await Session.open({
      home: anna.home,
      surroundings: { ...systemSurroundings, clock: ahead, coder: systemSurroundings.coder },
    });
    await session.ownAddress.publish('anna', []);
    await session.close();
    await anna.up();
    await Promise.all([knows(ben, anna), knows(cleo, anna)]);
    await anna.down();
    await writeFile(address, old);
    await anna.up();
    await Promise.all([knows(ben, anna), knows(cleo, anna)]);
  });

  it('hear from a friend who stores nothing that there is more of their logs than a home that was put back has', async (test) => {
    const [anna, ben] = await liveCircle(test, ['anna', 'ben']);
    assert.ok(anna !== undefined && ben !== undefined);
    await ben.vault.friendSet('anna', { deny: ['store'] });
    await anna.down();
    const old = `${anna.home}-old`;
    await cp(anna.home, old, { recursive: true });
    await anna.up();
    await anna.sees(ben);
    await anna.vault.configSet('spread', '2/3');
    await anna.down();
    // What the logs have grown by is told at the beginning of a session.
    await anna.up();
    await ben.hasHeadsOf(anna);
    await anna.down();
    await rm(anna.home, { recursive: true });
    await rename(old, anna.home);
    await anna.up();
    await poll('anna is told', () =>
      Promise.resolve(anna.problems.some(({ code }) => code === 'log-forked')),
    );
  });

  it('have letters brought to them', async (test) => {
    const [anna, ben, cleo] = await three(test);
    await ben.down();
    assert.equal(await anna.letters.send(ben.identity, letterKinds.acceptance, utf8('yes')), 1);
    await cleo.down();
    await ben.up();
    const heard: string[] = [];
    ben.letters.on(letterKinds.acceptance, (bytes) => {
      heard.push(Buffer.from(bytes).toString());
      return Promise.resolve(true);
    });
    await cleo.up();
    await poll('ben has the letter', () => Promise.resolve(heard.length > 0));
    assert.deepEqual(heard, ['yes']);
    // One who is there has it at once.
    await anna.sees(cleo);
    await cleo.sees(ben);
    assert.ok((await anna.letters.send(ben.identity, letterKinds.acceptance, utf8('again'))) >= 1);
    await poll('ben has the other', () => Promise.resolve(heard.includes('again')));
  });

  it('are found by a computer that was lost, through those whose cards are given', async (test) => {
    const [anna, ben, cleo] = await three(test);
    await anna.node.exchangeWith(cleo.id, new AbortController().signal);
    await anna.down();
    await ben.down();
    await ben.up();
    await cleo.sees(ben);
    const summary = await recoverVault({
      home: join(anna.home, '..', 'new'),
      phrase: anna.phrase,
      drives: [],
      cards: [await cleo.vault.card()],
      friends: recoveryNetwork,
    });
    assert.deepEqual(summary.friendsFound.toSorted(), ['ben', 'cleo']);
    assert.equal(summary.witnesses, 2);
  });
});

describe('an invite that is accepted while its maker is off', { skip: process.platform === 'win32' }, () => {
  it('is completed by a friend of both who carries the answer', async (test) => {
    const [anna, ben, cleo] = await three(test);
    await ben.vault.friendRemove('anna', { force: true });
    await anna.vault.friendRemove('ben', { force: true });
    const { text, id } = await anna.vault.invite({ quotaBytes: 7e9 });
    await anna.down();
    await ben.vault.accept(text);
    const answer = await letterAt(cleo);
    // From now on the two are never up together.
    await ben.down();
    await anna.up();
    const used = await poll('the invite is used', async () => {
      const invite = (await anna.vault.inviteList()).find((each) => each.id === id);
      return invite?.state === 'used' ? invite : undefined;
    });
    assert.equal(used.usedBy, ben.id);
    assert.equal((await anna.vault.friendShow(ben.id)).quotaGiven, 7e9);
    // Instead of it she keeps what Anna says to it.
    await letterAt(cleo, answer);
  });

  it('by letter, and both move before they have met: they find each other through the friend of both', async (test) => {
    const { anna, ben, cleo, welcome } = await answeredByLetter(test);
    // He never reads what she said to it, and is found by what was in his letter.
    await rm(welcome);
    await ben.up();
    await ben.sees(cleo);
    assert.equal((await ben.vault.friendShow('anna')).invite, 'pending');
    await anna.up();
    await Promise.all([anna.sees(ben), ben.sees(anna)]);
  });

  it('by letter, and hears by letter that it was let in', async (test) => {
    const { anna, ben, cleo, welcome } = await answeredByLetter(test);
    await ben.up();
    // She is away, and yet he knows that they are friends, and can find her wherever she is.
    await poll('ben is let in', async () => (await ben.vault.friendShow('anna')).invite === null);
    assert.equal(await ben.secretsOf(anna), 1);
    await poll('cleo keeps it no longer', async () => !(await lettersAt(cleo)).includes(welcome));
  });
});
