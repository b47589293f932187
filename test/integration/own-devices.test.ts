import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { eventually, runHome, tellAddress, type RunningHome } from '../support/own-nodes.ts';
import { failure, VaultFixture } from '../support/vault-fixture.ts';

const askedKey = ({ session }: RunningHome): string => `device.${toHex(session.device.deviceId)}.asked`;

const tagsOf = ({ session }: RunningHome): string[] =>
  session.state.snapshots().flatMap(({ snapshot }) => snapshot.tags);

test('two devices of one identity read each other’s records, at once, without a friend or a disk', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 3, spread: { k: 2, n: 3 } });
  await fixture.backup({ tags: ['first'] });
  await fixture.recover('laptop', [0]);
  await fixture.unplug(0, 1, 2);
  const desktop = await runHome(t, fixture, 'home');
  const laptop = await runHome(t, fixture, 'laptop');
  assert.deepEqual((await desktop.vault.deviceList()).length, 1, 'nobody has told it of the laptop');
  await tellAddress(laptop, desktop);
  await eventually('the session', () => desktop.node.ownDevicesOnline().length === 1);
  await eventually('the certificate', async () => (await desktop.vault.deviceList()).length === 2);
  const listed = await desktop.vault.deviceList();
  assert.deepEqual(desktop.notes, ['device-added']);
  assert.deepEqual(
    listed.map(({ online }) => online),
    [true, true],
  );
  // Neither is a friend of the other, and nobody is waited for.
  assert.deepEqual(desktop.session.friends(), []);
  await laptop.vault.configSet('repair.grace', '5h');
  await eventually('the setting', () => desktop.session.state.setting('repair.grace') === '5h');
  await fixture.plugIn(0, 1, 2);
  await laptop.vault.backup({ paths: [fixture.source], tags: ['second'], spread: { k: 2, n: 3 } });
  await eventually('the snapshot', () => tagsOf(desktop).includes('second'));
  await desktop.vault.backup({ paths: [fixture.source], tags: ['third'], spread: { k: 2, n: 3 } });
  await eventually('the other way', () => tagsOf(laptop).includes('third'));
  // What was asked at one computer was asked of nobody at the other: it may be in another network.
  await desktop.vault.reachabilityAsked();
  await eventually('the note', () => laptop.session.state.setting(askedKey(desktop)) !== undefined);
  const whoWasAsked = [desktop, laptop].map(async ({ vault }) => (await vault.reachability()).asked);
  assert.deepEqual(await Promise.all(whoWasAsked), [true, false]);
  const devices = await laptop.vault.deviceList();
  assert.ok(devices.every(({ isThis, lastSeenMs }) => isThis || lastSeenMs !== null));
});

test('a revocation ends the session, and the device that was revoked stops', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.recover('laptop', [0]);
  const desktop = await runHome(t, fixture, 'home');
  const laptop = await runHome(t, fixture, 'laptop');
  await tellAddress(laptop, desktop);
  await eventually('the session', () => desktop.node.ownDevicesOnline().length === 1);
  const id = toHex(laptop.session.device.deviceId);
  await desktop.vault.deviceRevoke(id, { phrase: fixture.phrase });
  await eventually('the end of the session', () => desktop.node.ownDevicesOnline().length === 0);
  // What reads says so as well, while it runs.
  const { vault } = laptop;
  for (const ask of [() => vault.status(), () => vault.snapshots(), () => vault.friendList()]) {
    const said = await failure(ask());
    assert.equal(said.code, 'device-revoked');
    assert.match(said.message, /^this computer was revoked on .*kith --home NEW-FOLDER device join LINK/);
  }
  const error = await failure(laptop.vault.configSet('repair.grace', '1h'));
  assert.equal(error.code, 'device-revoked');
  assert.equal(desktop.session.state.setting('repair.grace'), undefined);
  await laptop.close();
  const stopped = await failure(fixture.inHome('laptop', () => fixture.snapshots()));
  assert.equal(stopped.code, 'device-revoked');
});

test('a device that hears of its revocation from the one that revokes it needs no disk for that', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.recover('laptop', [0]);
  await fixture.unplug(0);
  const desktop = await runHome(t, fixture, 'home');
  const laptop = await runHome(t, fixture, 'laptop');
  await tellAddress(laptop, desktop);
  await eventually('the certificate', async () => (await desktop.vault.deviceList()).length === 2);
  await eventually('the session', () => desktop.node.ownDevicesOnline().length === 1);
  const id = toHex(laptop.session.device.deviceId);
  const { told } = await desktop.vault.deviceRevoke(id, { phrase: fixture.phrase });
  assert.deepEqual(told, []);
  assert.equal((await failure(laptop.vault.configSet('repair.grace', '1h'))).code, 'device-revoked');
  const { reasons } = await desktop.vault.status();
  assert.ok(
    reasons.every((reason) => !reason.includes('new device')),
    'known when it was first asked',
  );
});

test('a device that somebody else added is told of once', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  const told = async (): Promise<number> =>
    (await fixture.status()).reasons.filter((reason) => reason.includes('A new device')).length;
  assert.equal(await told(), 0);
  await fixture.recover('laptop', [0]);
  await fixture.repair({ quick: true });
  assert.equal(await told(), 1);
  assert.equal(await told(), 0);
});

test('two devices that cannot dial each other go through a third of the same identity, without a grant', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.recover('laptop', [0]);
  await fixture.recover('phone', [0]);
  const desktop = await runHome(t, fixture, 'home');
  const laptop = await runHome(t, fixture, 'laptop', { closed: true });
  const phone = await runHome(t, fixture, 'phone', { closed: true });
  await tellAddress(laptop, desktop);
  await tellAddress(phone, desktop);
  const sees = (one: RunningHome, other: RunningHome): boolean =>
    one.node.ownDevicesOnline().includes(toHex(other.session.device.deviceId));
  await eventually('the sessions with the desktop', () => sees(laptop, desktop) && sees(phone, desktop));
  await eventually('the session between the two', () => sees(laptop, phone) && sees(phone, laptop));
  await laptop.vault.configSet('repair.grace', '7h');
  await eventually('the setting', () => phone.session.state.setting('repair.grace') === '7h');
});
