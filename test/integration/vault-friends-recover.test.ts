import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { decodeCertificate } from '../../lib/format/certificate.ts';
import { createIdentity, doorstepKeys } from '../../lib/trust/identity.ts';
import { recoverVault, type Problem, type RecoverSummary } from '../../lib/vault/index.ts';
import { FakeRecovery } from '../support/fake-recovery.ts';
import { failure, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };
const names = ['anna', 'ben', 'cara', 'dora'];

async function backedUp(t: Parameters<typeof VaultFixture.create>[0]): Promise<{
  fixture: VaultFixture;
  network: FakeRecovery;
}> {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: names, spread });
  await fixture.backup({ tags: ['one'] });
  return { fixture, network: new FakeRecovery(fixture.friends) };
}

async function recover(
  fixture: VaultFixture,
  network: FakeRecovery | undefined,
  home: string,
  cards: readonly string[],
): Promise<{ summary: RecoverSummary; problems: Problem[] }> {
  const problems: Problem[] = [];
  const summary = await recoverVault({
    home: join(fixture.root, home),
    phrase: fixture.phrase,
    drives: [],
    cards: cards.map((name) => fixture.friend(name).card),
    onProblem: (problem) => void problems.push(problem),
    surroundings: fixture.surroundings,
    ...(network === undefined ? {} : { friends: network }),
  });
  await writeFile(join(fixture.root, home, 'kith.toml'), 'free.floor = "0"\n');
  return { summary, problems };
}

test('one friend’s card and the phrase bring everything back, and all other friends are asked before anything is the latest', async (t) => {
  const { fixture, network } = await backedUp(t);
  const ids = names.map((name) => fixture.friend(name).id);
  const { summary, problems } = await recover(fixture, network, 'bare', ['anna']);
  assert.deepEqual(problems, []);
  assert.equal(summary.id, fixture.id);
  assert.equal(summary.name, 'tester');
  assert.deepEqual([summary.snapshots, summary.witnesses, summary.agreed], [1, 4, 4]);
  assert.deepEqual([summary.friendsFound, summary.friendsAway], [names, []]);
  assert.deepEqual(network.waits, [[item(ids, 0)], ids], 'first the one of the card, then all');
  assert.equal(network.open, 0, 'the network is closed');
  assert.equal(summary.otherDevices.length, 1, 'the computer that was lost is still one of the identity');
  await fixture.inHome('bare', async () => {
    await fixture.restoresTo();
    assert.deepEqual((await fixture.backup()).problems, []);
    assert.deepEqual(
      (await fixture.use((vault) => vault.friendList())).map(({ name }) => name),
      names,
    );
    await fixture.session(async (session) => {
      assert.equal(
        toHex(session.device.deviceId),
        network.devices[0],
        'the device that was shown is the one that is',
      );
      const { doorstepKey } = decodeCertificate(session.device.certificate);
      assert.deepEqual(doorstepKeys(session.device)?.publicKey, doorstepKey);
      await Promise.resolve();
    });
  });
});

test('who is stale says so in the count, and does not hide what others know', async (t) => {
  const { fixture, network } = await backedUp(t);
  fixture.friends.away('anna');
  await fixture.write('new', 'newer');
  const newest = (await fixture.backup({ tags: ['two'] })).summary.snapshotId;
  fixture.friends.away('dora');
  const { summary } = await recover(fixture, network, 'bare', ['anna']);
  assert.equal(summary.latest, newest);
  assert.deepEqual([summary.witnesses, summary.agreed], [3, 2]);
  assert.deepEqual(summary.friendsAway, ['dora']);
});

test('nobody online: 5; refused by all who answered: 12; known but without keys: 5; and nothing is made', async (t) => {
  const { fixture, network } = await backedUp(t);
  fixture.friends.away(...names);
  const nobody = await failure(recover(fixture, network, 'bare', ['anna', 'ben']));
  assert.deepEqual([nobody.code, nobody.exitCode], ['nobody-reached', 5]);
  assert.match(nobody.message, /anna, ben/);
  fixture.friends.away();
  network.refusing.add(fixture.friend('anna').id);
  const refused = await failure(recover(fixture, network, 'bare', ['anna']));
  assert.deepEqual([refused.code, refused.exitCode], ['unknown-identity', 12]);
  network.refusing.clear();
  const { holder } = fixture.friend('anna');
  holder.before = ({ operation }) => {
    if (operation === 'getKeyRecord') throw new KithError('not-granted', 'not for you');
  };
  const keyless = await failure(recover(fixture, network, 'bare', ['anna']));
  assert.deepEqual([keyless.code, keyless.exitCode], ['nobody-reached', 5]);
  const other = await failure(
    recoverVault({
      home: join(fixture.root, 'bare'),
      phrase: createIdentity({ random: systemRandom, nowNs: () => 1n }).phrase,
      drives: [],
      cards: [fixture.friend('ben').card],
      friends: {
        connect: async (options) => ({
          ...(await network.connect(options)),
          refused: () => true,
          presence: () => fixture.friends.presence(''),
        }),
      },
      surroundings: fixture.surroundings,
    }),
  );
  assert.equal(other.code, 'unknown-identity');
  assert.equal(network.open, 0);
  await assert.rejects(rm(join(fixture.root, 'bare')), { code: 'ENOENT' });
  const none = await failure(recover(fixture, undefined, 'bare', ['anna']));
  assert.equal(none.code, 'nobody-reached');
});

test('a friend’s key record that is no good is told, and another’s is taken', async (t) => {
  const { fixture, network } = await backedUp(t);
  const genuine = await fixture.friend('ben').holder.getKeyRecord();
  assert.ok(genuine !== undefined);
  const newer = genuine.slice();
  newer[8] = 0xff;
  const altered = genuine.slice();
  altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
  const others = createIdentity({ random: systemRandom, nowNs: () => 1n }).keyRecord;
  for (const [i, bytes] of [new Uint8Array(0), newer, altered, others].entries()) {
    fixture.friend('anna').holder.keyRecord = bytes;
    const { summary, problems } = await recover(fixture, network, `bare-${i}`, ['anna', 'ben']);
    assert.equal(summary.snapshots, 1);
    assert.ok(
      problems.some(({ item: who }) => who === 'anna'),
      `case ${i}`,
    );
    const alone = await failure(recover(fixture, network, `alone-${i}`, ['anna']));
    assert.equal(alone.exitCode, 5);
    fixture.friend('anna').holder.keyRecord = undefined;
  }
});

test('interrupted after the keys came, the same command goes on with the same device', async (t) => {
  const { fixture, network } = await backedUp(t);
  fixture.friends.away('ben', 'cara', 'dora');
  const { holder } = fixture.friend('anna');
  holder.before = ({ operation }) => {
    if (operation === 'logs.list') throw new KithError('holder-unavailable', 'gone');
  };
  const error = await failure(recover(fixture, network, 'bare', ['anna']));
  assert.deepEqual([error.code, error.exitCode], ['nobody-reached', 5]);
  holder.before = () => undefined;
  fixture.friends.away();
  const { summary } = await recover(fixture, network, 'bare', ['anna']);
  assert.deepEqual([summary.snapshots, summary.witnesses], [1, 4]);
  assert.equal(new Set(network.devices).size, 1);
  assert.equal(network.open, 0);
  await fixture.inHome('bare', () => fixture.restoresTo());
});

test('with all logs lost, what friends hold and the card are enough; a friend who was removed stays so', async (t) => {
  const { fixture, network } = await backedUp(t);
  await fixture.use((vault) => vault.friendRemove('dora', { force: true }));
  for (const name of ['anna', 'ben', 'cara']) {
    await rm(join(fixture.friend(name).folder, 'logs'), { recursive: true });
  }
  const { summary } = await recover(fixture, network, 'bare', ['anna', 'ben', 'cara']);
  assert.deepEqual(summary.friendsFound, ['anna', 'ben', 'cara']);
  assert.equal(summary.snapshots, 1, 'at most one of three parts went with her');
  await fixture.inHome('bare', () => fixture.restoresTo());
  await fixture.repair();
  const again = await recover(fixture, network, 'bare-2', ['anna', 'dora']);
  assert.deepEqual(again.summary.friendsFound, ['anna', 'ben', 'cara']);
});

test('cards that are no good, or one’s own, are refused before anything happens', async (t) => {
  const { fixture, network } = await backedUp(t);
  const own = await fixture.use((vault) => vault.card());
  for (const [text, code] of [
    ['nonsense', 'malformed'],
    [own, 'usage'],
    [fixture.friend('anna').card.slice(0, -3), 'malformed'],
  ] as const) {
    const recovering = recoverVault({
      home: join(fixture.root, 'bare'),
      phrase: fixture.phrase,
      drives: [],
      cards: [text],
      friends: network,
      surroundings: fixture.surroundings,
    });
    assert.equal((await failure(recovering)).code, code);
  }
  assert.deepEqual(network.devices, []);
});
