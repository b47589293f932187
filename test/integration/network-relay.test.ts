import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { circle, viaOf } from '../support/relay-circle.ts';
import { connect, until } from '../support/net-peers.ts';
import { noise } from '../support/noise.ts';

void describe('a relay', () => {
  void it('brings two together who have no other way, and carries their calls', async (test) => {
    const { a, d, f } = await circle(test);
    await until(() => viaOf(a, d) === 'relay' && viaOf(d, a) === 'relay', 'the relayed session');
    assert.equal(f.relay.hub.jointCount, 1);
    const upload = noise(5, 3_000_000);
    const reply = await a.network
      .caller(d.identity, 'kith/echo')
      .call(0, noise(4, 100), { upload: [upload], downloadBytesMax: upload.length });
    assert.deepEqual(reply.download, upload);
    assert.deepEqual(reply.body, noise(4, 100));
    const used = f.relay.hub.budget.usedBytes(Buffer.from(a.identity).toString('hex'));
    assert.ok(used > 2 * upload.length && used < 2.1 * upload.length, `${used} bytes counted`);
    assert.equal(f.relay.hub.heldBytes, 0);
  });

  void it('gives way to a better link, without a call that fails', async (test) => {
    const { a, d, f } = await circle(test);
    await until(() => viaOf(a, d) === 'relay' && viaOf(d, a) === 'relay', 'the relayed session');
    let release = (): void => {};
    d.echo.holding = new Promise((resolve) => {
      release = resolve;
    });
    const before = a.network.caller(d.identity, 'kith/echo').call(0, noise(1, 10));
    await until(() => d.echo.calls.length === 1, 'the call');
    connect(a, d);
    await until(() => viaOf(a, d) === 'direct' && viaOf(d, a) === 'direct', 'the direct session');
    const after = a.network.caller(d.identity, 'kith/echo').call(0, noise(2, 10));
    await until(() => d.echo.calls.length === 2, 'a call over the new one');
    a.timers.advance(10_000);
    assert.equal(f.relay.hub.jointCount, 1);
    release();
    assert.deepEqual((await before).body, noise(1, 10));
    assert.deepEqual((await after).body, noise(2, 10));
    a.timers.advance(5_000);
    await until(() => f.relay.hub.jointCount === 0, 'the end of the relayed session');
    assert.equal(viaOf(a, d), 'direct');
    assert.equal(viaOf(d, a), 'direct');
  });

  void it('ends the link with words when the budget is used up, and takes no further dial', async (test) => {
    const { a, d, f } = await circle(test, {
      limits: { bytesPerDay: () => 600_000, bytesPerSecond: () => Number.POSITIVE_INFINITY },
    });
    await until(() => viaOf(a, d) === 'relay' && viaOf(d, a) === 'relay', 'the relayed session');
    const call = a.network.caller(d.identity, 'kith/echo').call(0, noise(4, 100), {
      upload: [noise(5, 3_000_000)],
    });
    await assert.rejects(call, (error) => isKithError(error, 'holder-unavailable'));
    await until(() => viaOf(a, d) === null && viaOf(d, a) === null, 'the end');
    const presence = a.network.presence(Buffer.from(d.identity).toString('hex'));
    assert.match(presence.trouble ?? '', /relays no more today/);
    const target = { remoteKey: d.keys.publicKey, endpoints: [], keyPair: a.keys };
    await assert.rejects(
      a.transport.dial(target, AbortSignal.timeout(20_000)),
      (error) => isKithError(error, 'peer-unreachable') && /relays no more today/.test(error.message),
    );
    f.timers.advance(25 * 3600_000);
  });
});
