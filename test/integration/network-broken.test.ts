import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isKithError, KithError } from '../../lib/base/errors.ts';
import { BrokenPeer } from '../../lib/net/broken-peer.ts';
import { connectedPair, until } from '../support/net-peers.ts';

it('who breaks a rule of a service is told which, and let go', async (test) => {
  const { a, b } = await connectedPair(test);
  const call = async (): Promise<unknown> =>
    await a.network.caller(b.identity, 'kith/echo').call(1, new Uint8Array(0));
  b.echo.error = new KithError('not-authentic', 'an honest mistake');
  await assert.rejects(call(), (error) => isKithError(error, 'not-authentic'));
  assert.equal(a.network.peers().length, 1, 'a failure alone ends nothing');
  b.echo.error = new BrokenPeer(new KithError('not-authentic', 'another signature'));
  await assert.rejects(
    call(),
    (error) => isKithError(error, 'not-authentic') && /another signature/.test(error.message),
  );
  await until(() => a.network.peers().length === 0 && b.network.peers().length === 0, 'the end');
});

it('calls go to one device where that is wanted, and a liar loses all its sessions', async (test) => {
  const { a, b } = await connectedPair(test);
  const caller = (deviceId: Uint8Array): boolean =>
    a.network.caller(b.identity, 'kith/echo', deviceId).connected;
  assert.equal(caller(b.keys.publicKey), true);
  assert.equal(caller(a.keys.publicKey), false);
  assert.equal(a.network.sought().size, 1);
  a.network.drop(b.identity, 'it lied');
  await until(() => a.network.peers().length === 0 && b.network.peers().length === 0, 'the end');
});
