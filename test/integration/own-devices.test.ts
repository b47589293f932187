import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { eventually, runHome, tellAddress, type RunningHome } from '../support/own-nodes.ts';
import { failure, VaultFixture } from '../support/vault-fixture.ts';

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
  const error = await failure(laptop.vault.configSet('repair.grace', '1h'));
  assert.equal(error.code, 'device-revoked');
  assert.equal(desktop.session.state.setting('repair.grace'), undefined);
});
