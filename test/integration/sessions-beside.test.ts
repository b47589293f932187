import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHostPort } from '../../lib/base/host-port.ts';
import { isCompared, noteCompared } from '../../lib/vault/friends/compared-words.ts';
import { liveCircle, type LiveFriend } from '../support/live-circle.ts';
import { closeAfter } from '../support/net-fixture.ts';
import { eventually, runHome, tellAddress } from '../support/own-nodes.ts';
import { SilentProxy } from '../support/silent-proxy.ts';
import { VaultFixture } from '../support/vault-fixture.ts';

/** Has the card say that one can be met there alone. */
async function metAt({ session }: Pick<LiveFriend, 'session'>, port: number): Promise<void> {
  const endpoint = { host: '127.0.0.1', port, direct: true, dht: false };
  await session.ownAddress.publish(session.name, [endpoint]);
}

test('what was told into a silence is told again in the session that takes its place, though nobody was ever gone', async (t) => {
  const [anna, ben] = await liveCircle(t, ['anna', 'ben'], { apart: [['anna', 'ben']] });
  assert.ok(anna !== undefined && ben !== undefined);
  const proxy = closeAfter(t, await SilentProxy.open(parseHostPort(anna.node.listening ?? '').port));
  await metAt(anna, proxy.port);
  // Nothing listens there.
  await metAt(ben, 1);
  const [annasCard, bensCard] = [await anna.vault.card(), await ben.vault.card()];
  await anna.vault.friendAdd(bensCard);
  await ben.vault.friendAdd(annasCard);
  await Promise.all([anna.sees(ben), ben.sees(anna)]);
  await ben.hasHeadsOf(anna);
  assert.equal(proxy.accepted, 1);
  proxy.swallow();
  const gone: string[] = [];
  const goes = anna.online.delete.bind(anna.online);
  anna.online.delete = (id) => {
    gone.push(id);
    return goes(id);
  };
  await noteCompared(anna.session, ben.id);
  anna.node.refresh();
  await ben.hasHeadsOf(anna);
  assert.deepEqual(gone, []);
  assert.ok(proxy.accepted > 1);
});

test('and what another computer of one’s own told into it is read there', async (t) => {
  const fixture = await VaultFixture.create(t, { drives: 1, spread: { k: 1, n: 1 } });
  await fixture.recover('laptop', [0]);
  const desktop = await runHome(t, fixture, 'home');
  const laptop = await runHome(t, fixture, 'laptop', { closed: true });
  const proxy = closeAfter(t, await SilentProxy.open(parseHostPort(desktop.node.listening ?? '').port));
  await metAt(desktop, proxy.port);
  await tellAddress(laptop, desktop);
  const someone = '5a'.repeat(32);
  await noteCompared(desktop.session, someone);
  await eventually('the first note', () => isCompared(laptop.session, someone));
  const before = proxy.accepted;
  proxy.swallow();
  const another = 'a5'.repeat(32);
  await noteCompared(desktop.session, another);
  await eventually('the second', () => isCompared(laptop.session, another));
  assert.ok(proxy.accepted > before);
});
