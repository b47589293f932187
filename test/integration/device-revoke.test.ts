import assert from 'node:assert/strict';
import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { decodeKeyRecord } from '../../lib/format/key-record.ts';
import { newPhrase } from '../../lib/crypto/phrase.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { decodeSegment } from '../../lib/format/segment.ts';
import { noise } from '../support/noise.ts';
import { failure, filesBelow, item, VaultFixture } from '../support/vault-fixture.ts';

const spread = { k: 2, n: 3 };

type Test = Parameters<typeof VaultFixture.create>[0];

/** Two computers of one identity on three disks, each with a snapshot that both know. */
async function twoDevices(t: Test): Promise<VaultFixture> {
  const fixture = await VaultFixture.create(t, { drives: 3, spread });
  await fixture.backup({ tags: ['first'] });
  await fixture.recover('laptop', [0]);
  await onLaptop(fixture, async () => {
    await fixture.write('second.txt', 'second');
    await fixture.backup({ tags: ['second'] });
  });
  return fixture;
}

async function onLaptop<T>(fixture: VaultFixture, work: () => Promise<T>): Promise<T> {
  return await fixture.inHome('laptop', work);
}

async function laptopId(fixture: VaultFixture): Promise<string> {
  return await onLaptop(fixture, () => fixture.session(async ({ device }) => toHex(device.deviceId)));
}

async function tags(fixture: VaultFixture): Promise<string[]> {
  return (await fixture.snapshots()).flatMap((snapshot) => snapshot.tags);
}

async function revokeLaptop(fixture: VaultFixture): Promise<void> {
  const id = await laptopId(fixture);
  const { device, told } = await fixture.use((vault) => vault.deviceRevoke(id, { phrase: fixture.phrase }));
  assert.equal(device.id, id);
  assert.notEqual(device.revokedNs, null);
  assert.ok(told.length > 0);
}

test('devices are listed on each of them, and share deduplication', async (t) => {
  const fixture = await twoDevices(t);
  const own = await fixture.use((vault) => vault.deviceList());
  assert.equal(own.length, 1, 'this one has heard of nothing yet');
  await onLaptop(fixture, async () => {
    await fixture.write('large.bin', noise(1, 300_000));
    await fixture.backup({ tags: ['large'] });
  });
  const { summary } = await fixture.backup({ tags: ['third'] });
  // A tree may be new: what it says of a file that has just been written differs from what is said a moment later.
  assert.ok(summary.dataAdded < 1_000, 'the laptop had stored all of it');
  const devices = await fixture.use((vault) => vault.deviceList());
  assert.deepEqual(
    devices.map(({ isThis, revokedNs }) => [isThis, revokedNs]),
    [
      [true, null],
      [false, null],
    ],
  );
  assert.deepEqual(await tags(fixture), ['first', 'second', 'large', 'third']);
  await onLaptop(fixture, async () => {
    await fixture.repair({ quick: true });
    assert.deepEqual(await tags(fixture), ['first', 'second', 'large', 'third']);
    assert.equal((await fixture.use((vault) => vault.deviceList())).length, 2);
  });
});

test('a revoked device keeps what it stored before; what it says after is void, and it reads nothing new', async (t) => {
  const fixture = await twoDevices(t);
  // The thief keeps the laptop away from its disks until it has written.
  await cp(join(fixture.root, 'laptop'), join(fixture.root, 'stolen'), { recursive: true });
  await revokeLaptop(fixture);
  assert.deepEqual(await tags(fixture), ['first', 'second']);
  const { summary } = await fixture.backup({ tags: ['third'] });
  assert.ok(summary.dataAdded < 500, 'a folder above the source has another time, and that is all');
  await fixture.write('secret.txt', 'for the others only');
  await fixture.backup({ tags: ['fourth'] });
  await fixture.restoresTo();
  const epochs = await fixture.session(async ({ device }) => device.epochs.map(({ keyEpoch }) => keyEpoch));
  assert.deepEqual(epochs, [0, 1]);
  await fixture.inHome('stolen', async () => {
    const keys = await fixture.session(async (session) => {
      await session.hearLogs(session.drives().map(({ holder }) => holder));
      return session.device.epochs.map(({ keyEpoch }) => keyEpoch);
    });
    assert.deepEqual(keys, [0], 'the new epoch is sealed to others');
    assert.equal((await failure(fixture.snapshots())).code, 'device-revoked');
    assert.equal((await failure(fixture.backup())).code, 'device-revoked');
  });
});

test('a revoked device that learns of it in the middle of its work stores nothing more', async (t) => {
  const fixture = await twoDevices(t);
  await revokeLaptop(fixture);
  await onLaptop(fixture, async () => {
    assert.equal((await failure(fixture.backup({ tags: ['late'] }))).code, 'device-revoked');
  });
  await fixture.repair({ quick: true });
  assert.deepEqual(await tags(fixture), ['first', 'second']);
});

test('void records count for nobody, whether they come before the revocation or after', async (t) => {
  const fixture = await twoDevices(t);
  await fixture.repair({ quick: true });
  // While the desktop revokes it, the laptop is alone with disk 2.
  await fixture.unplug(2);
  await revokeLaptop(fixture);
  await fixture.plugIn(2);
  await fixture.unplug(0, 1);
  await onLaptop(fixture, async () => {
    await fixture.write('void.txt', 'void');
    await fixture.backup({ tags: ['void'], spread: { k: 1, n: 1 } });
    assert.ok((await tags(fixture)).includes('void'));
  });
  await fixture.plugIn(0, 1);
  // Three who read: one who knows of the revocation, one who hears the void records first, one who comes from the phrase alone.
  await fixture.recover('late', [2]);
  const reads = async (): Promise<string[]> => {
    await fixture.repair({ quick: true });
    return await tags(fixture);
  };
  assert.deepEqual(await reads(), ['first', 'second']);
  assert.deepEqual(await fixture.inHome('late', reads), ['first', 'second']);
  await fixture.recover('bare', [1]);
  assert.deepEqual(await fixture.inHome('bare', reads), ['first', 'second']);
  // Again: what was told once more changes nothing.
  assert.deepEqual(await reads(), ['first', 'second']);
  const { summary } = await fixture.backup({ tags: ['third'] });
  assert.ok(summary.dataAdded > 0, 'what only void packs have is stored again');
  await fixture.restoresTo();
  await fixture.unplug(0);
  await fixture.restoresTo();
});

test('a session that has read void records forgets them when it learns of the revocation', async (t) => {
  const fixture = await twoDevices(t);
  await fixture.repair({ quick: true });
  await fixture.recover('third', [0]);
  await fixture.unplug(2);
  await revokeLaptop(fixture);
  await fixture.plugIn(2);
  await fixture.unplug(0, 1);
  await onLaptop(fixture, async () => {
    await fixture.write('void.txt', 'void');
    await fixture.backup({ tags: ['void'], spread: { k: 1, n: 1 } });
  });
  await fixture.inHome('third', async () => {
    await fixture.session(async (session) => {
      const hear = async (): Promise<void> => {
        const { here } = await session.reachable();
        await session.hearLogs(here.map(({ holder }) => holder));
      };
      const seen = (): string[] => session.state.snapshots().flatMap(({ snapshot }) => snapshot.tags);
      await hear();
      assert.deepEqual(seen(), ['first', 'second', 'void']);
      const packs = [...session.state.packs()].length;
      await fixture.plugIn(0, 1);
      await hear();
      assert.deepEqual(seen(), ['first', 'second']);
      assert.ok([...session.state.packs()].length < packs);
    });
  });
});

test('a thief’s epoch of the highest number seals nothing', async (t) => {
  const fixture = await twoDevices(t);
  const id = await laptopId(fixture);
  const { beginEpoch } = await import('../../lib/trust/own-key-record.ts');
  await onLaptop(fixture, () =>
    fixture.session(async (session) => {
      const { random, clock } = session.surroundings;
      const begin = (): Promise<Uint8Array> =>
        session.changeKeyRecord((device, keyRecord) =>
          beginEpoch(device, keyRecord, { random, nowNs: () => clock.nowNs() }),
        );
      for (let count = 0; count < 5; count++) await begin();
      await session.hearLogs(session.drives().map(({ holder }) => holder));
    }),
  );
  await revokeLaptop(fixture);
  await fixture.session(async ({ device, keyRecord }) => {
    const { envelopes } = decodeKeyRecord(keyRecord);
    assert.equal(envelopes.length, 7);
    const current = item(device.epochs, -1);
    const chosen = envelopes.filter(({ origins }) =>
      origins?.some((origin) => toHex(origin.deviceId) !== id),
    );
    assert.equal(chosen.length, 1);
    assert.equal(item(chosen, 0).keyEpoch, current.keyEpoch);
    assert.equal(item(chosen, 0).boxes.length, 2, 'the phrase and this device');
  });
});

test('revoking asks for the right phrase, another device, and one that there is', async (t) => {
  const fixture = await twoDevices(t);
  await fixture.repair({ quick: true });
  const id = await laptopId(fixture);
  const other = newPhrase(systemRandom);
  other.root.wipe();
  await fixture.use(async (vault) => {
    const own = item(
      (await vault.deviceList()).filter(({ isThis }) => isThis),
      0,
    );
    for (const [name, phrase, code] of [
      [id, other.phrase, 'wrong-phrase'],
      [id, 'abandon '.repeat(24), 'wrong-phrase'],
      ['nobody', fixture.phrase, 'device-unknown'],
      [own.id, fixture.phrase, 'usage'],
    ] as const) {
      assert.equal((await failure(vault.deviceRevoke(name, { phrase }))).code, code);
    }
    assert.ok((await vault.deviceList()).every(({ revokedNs }) => revokedNs === null));
  });
  await revokeLaptop(fixture);
  const again = await fixture.use((vault) => vault.deviceRevoke(id, { phrase: fixture.phrase }));
  assert.equal(again.already, true);
});

test('disks refuse what a revoked device writes behind what is trusted', async (t) => {
  const fixture = await twoDevices(t);
  await fixture.repair({ quick: true });
  await cp(join(fixture.root, 'laptop'), join(fixture.root, 'stolen'), { recursive: true });
  await fixture.unplug(0, 1, 2);
  await onLaptop(fixture, () => failure(fixture.backup({ tags: ['late'] })).catch(() => undefined));
  await fixture.plugIn(0, 1, 2);
  await revokeLaptop(fixture);
  const late = await onLaptop(fixture, async () => await filesBelow(join(fixture.home, 'logs')));
  const before = await fixture.inHome('stolen', async () => await filesBelow(join(fixture.home, 'logs')));
  const fresh = late.filter((path) => !before.includes(path.replace('laptop', 'stolen')));
  for (const path of fresh) {
    const bytes = await readFile(path);
    const { head } = decodeSegment(bytes);
    const error = await failure(
      fixture.session(async (session) => {
        const [drive] = session.drives();
        await drive?.holder.logs.putSegment(head.logKey, head.firstIndex, bytes);
      }),
    );
    assert.equal(error.code, 'not-authentic');
  }
  await rm(join(fixture.root, 'stolen'), { recursive: true });
});
