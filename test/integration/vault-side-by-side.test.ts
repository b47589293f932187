import assert from 'node:assert/strict';
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Census } from '../../lib/vault/shards/census.ts';
import { dropLostPacks, prepareRead } from '../../lib/vault/read/prepare.ts';
import { exchangeWith, openVault, operationKinds, vaultOf, type Problem } from '../../lib/vault/index.ts';
import { noise } from '../support/noise.ts';
import { item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };
const names = ['anna', 'ben', 'cara', 'dora'];
const files = { 'photo.raw': noise(1, 400_000), 'letter.txt': 'Dear friend,\n' };

/** Holds every put of some friends until it is let go; tells when the first one waits. */
function holdPuts(fixture: VaultFixture): { readonly held: Promise<void>; readonly letGo: () => void } {
  let letGo = (): void => undefined;
  let holds = (): void => undefined;
  const open = new Promise<void>((resolve) => (letGo = resolve));
  const held = new Promise<void>((resolve) => (holds = resolve));
  for (const name of names) {
    fixture.friend(name).holder.before = async ({ operation }) => {
      if (operation !== 'put') return;
      holds();
      await open;
    };
  }
  return { held, letGo };
}

test('everything that reads works in the middle of a backup, and hears of its own problems only', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: names, spread, files });
  const first = (await fixture.backup()).summary.snapshotId ?? '';
  await fixture.write('second.raw', noise(2, 400_000));
  const vault = await openVault({
    home: fixture.home,
    surroundings: fixture.surroundings,
    network: fixture.friends,
  });
  try {
    const { held, letGo } = holdPuts(fixture);
    const ofBackup: Problem[] = [];
    const backup = vault.backup({
      paths: [fixture.source],
      spread,
      onProblem: (problem) => void ofBackup.push(problem),
    });
    await held;
    const liar = item(item((await vault.where(first)).packs, 0).shards, 0).holder ?? '';
    fixture.friend(liar).holder.lie = (range) => ({ ...range, bytes: range.bytes.fill(7) });
    const ofRestore: Problem[] = [];
    const target = join(fixture.root, 'beside');
    const [status, snapshots, friends, config, restored, second] = await Promise.all([
      vault.status(),
      vault.snapshots(),
      vault.friendList(),
      vault.configGet(),
      vault.restore({ what: first, target, onProblem: (problem) => void ofRestore.push(problem) }),
      vault.restore({ what: first, target: join(fixture.root, 'beside-2') }),
    ]);
    const listed: string[] = [];
    for await (const { path } of vault.list(first)) listed.push(path);
    assert.equal(status.snapshots.length, 1);
    assert.equal(snapshots.length, 1);
    assert.equal(friends.length, 4);
    assert.ok(config.length > 0);
    assert.equal(restored.filesFailed + second.filesFailed, 0);
    assert.ok(listed.some((path) => path.endsWith('letter.txt')));
    assert.ok(ofRestore.length > 0 && ofRestore.every(({ item: who }) => who === liar));
    assert.deepEqual(ofBackup, []);
    fixture.friend(liar).holder.lie = (range) => range;
    letGo();
    const summary = await backup;
    assert.equal(summary.state, 'complete');
    assert.deepEqual(ofBackup, []);
    assert.equal((await vault.snapshots()).length, 2);
    const photo = join(fixture.source, 'photo.raw');
    assert.deepEqual(await readFile(join(target, photo)), await readFile(photo));
  } finally {
    await vault.close();
  }
});

test('a pack that a backup took for lost is not brought back by who reads beside it', async (t) => {
  const six = { k: 6, n: 6 };
  const fixture = await VaultFixture.create(t, { drives: 6, spread: six, files: { a: 'small' } });
  await fixture.backup();
  let couldBe = 0;
  for (let lost = 0; lost < six.n; lost++) {
    const shards = join(fixture.drive(lost), 'shards');
    await rename(shards, join(fixture.root, 'lost'));
    // The home's cache of directories would hide what is asked here: the pack's own may be in the shards that are left.
    await rm(join(fixture.home, 'index'), { recursive: true, force: true });
    await fixture.session(async (session) => {
      const read = async (): Promise<Census> => (await prepareRead(session, () => undefined)).census;
      const known = (): number =>
        [...session.state.packs()].filter(({ manifest }) => session.index.hasPack(manifest.packId)).length;
      const census = await read();
      const before = known();
      couldBe += before;
      await session.writing(undefined, async () => {
        assert.equal(dropLostPacks(session, census), before);
        await read();
        assert.equal(known(), 0, 'not while the backup goes on');
      });
      await read();
      assert.equal(known(), before, 'and as before once it has ended');
    });
    await rename(join(fixture.root, 'lost'), shards);
  }
  assert.ok(couldBe > 0);
});

test('logs come and go with one friend who has just come online, beside who reads', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, friends: ['anna'], spread: { k: 1, n: 2 } });
  await fixture.backup({ tags: ['one'] });
  // Another device, that only anna has heard.
  await fixture.recover('other', [0]);
  await fixture.unplug(0);
  await fixture.inHome('other', () => fixture.backup({ tags: ['by the other'], spread: { k: 1, n: 1 } }));
  await fixture.plugIn(0);
  await fixture.session(async (session) => {
    const vault = vaultOf(session);
    assert.equal((await vault.snapshots()).length, 1);
    const refreshes = fixture.friends.refreshes.length;
    const friend = item(session.friends(), 0);
    const [reached, status] = await Promise.all([exchangeWith(session, friend), vault.status()]);
    assert.equal(reached, true);
    assert.equal(status.friends.length, 1);
    assert.equal((await vault.snapshots()).length, 2);
    assert.ok(fixture.friends.refreshes.length > refreshes);
    fixture.friends.away('anna');
    assert.equal(await exchangeWith(session, friend), false, 'gone again is no error');
    const stop = new AbortController();
    stop.abort();
    await assert.rejects(exchangeWith(session, friend, stop.signal), { code: 'interrupted' });
  });
});

test('exchanges of one session take turns', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 0, friends: names, spread });
  await fixture.backup();
  let under = 0;
  let most = 0;
  for (const name of names) {
    fixture.friend(name).holder.before = async ({ operation }) => {
      if (operation !== 'logs.list') return;
      most = Math.max(most, ++under);
      await new Promise<void>((resolve) => setImmediate(resolve));
      under--;
    };
  }
  await fixture.session(async (session) => {
    const all = session.friends();
    assert.deepEqual(await Promise.all(all.map((friend) => exchangeWith(session, friend))), [
      true,
      true,
      true,
      true,
    ]);
  });
  assert.equal(most, 1);
});

test('every method says whether it reads or writes', () => {
  const kinds = Object.values(operationKinds);
  assert.ok(kinds.length >= 19);
  // test/unit/daemon-operations.test.ts has the names of those that write.
  assert.ok(kinds.every((kind) => kind === 'read' || kind === 'write'));
});
