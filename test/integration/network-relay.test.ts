import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import type { DialTarget } from '../../lib/net/links/link.ts';
import type { MuxChannel } from '../../lib/net/links/mux.ts';
import {
  decodeRelayEnd,
  encodeRelayData,
  encodeRelayDial,
  encodeRelayIncoming,
  pipeCountMax,
  relayEnd,
  relayKind,
} from '../../lib/net/relay/relay-codec.ts';
import { dialBurstMax } from '../../lib/net/relay/relay-server.ts';
import { befriend, connect, until, wireBetween } from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import { noise } from '../support/noise.ts';
import { RawPeer } from '../support/raw-peer.ts';
import type { RawMessage } from '../support/raw-peer.ts';
import { circle, noLimits, relayPeer, viaOf } from '../support/relay-circle.ts';
import type { RelayPeer } from '../support/relay-circle.ts';
import { atEnd } from '../support/at-end.ts';

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

void describe('a relay that goes away, or a dial that leads nowhere', () => {
  const aTarget = (to: TestPeer, from: TestPeer): DialTarget => ({
    remoteKey: to.keys.publicKey,
    endpoints: [],
    keyPair: from.keys,
  });
  const unreachable =
    (words: RegExp) =>
    (error: unknown): boolean =>
      isKithError(error, 'peer-unreachable') && words.test(error.message);

  void it('ends calls in the middle, and another friend takes over', async (test) => {
    const { a, d, f, wires } = await circle(test);
    await until(() => viaOf(a, d) === 'relay' && viaOf(d, a) === 'relay', 'the relayed session');
    const hanging = a.network.caller(d.identity, 'kith/echo').call(2, noise(1, 1));
    await until(() => d.echo.calls.length === 1, 'the call');
    const other = relayPeer(4, noLimits, a.timers);
    atEnd(test, () => other.network.close());
    for (const peer of [a, d]) {
      befriend(peer, other);
      connect(peer, other);
    }
    await until(() => a.relay.callers.length === 2 && d.relay.callers.length === 2, 'the other relay');
    wires.a.cut();
    await assert.rejects(hanging, (error) => isKithError(error, 'holder-unavailable'));
    assert.equal(f.relay.hub.jointCount, 0);
    a.timers.advance(2_500);
    await until(() => viaOf(a, d) === 'relay' && viaOf(d, a) === 'relay', 'the session by the other');
    assert.equal(other.relay.hub.jointCount, 1);
  });

  void it('says the same of a device that isn’t there, isn’t granted the relay, or doesn’t want us', async (test) => {
    const { a, d, f } = await circle(test, { idle: true });
    const dial = (): Promise<unknown> => a.transport.dial(aTarget(d, a), AbortSignal.timeout(20_000));
    const stranger = relayPeer(9);
    atEnd(test, () => stranger.network.close());
    await assert.rejects(
      a.transport.dial(aTarget(stranger, a), AbortSignal.timeout(20_000)),
      unreachable(/^friend 1 has no connection to it, or it does not let us in$/),
    );
    d.directory.forget(a.keys.publicKey);
    await assert.rejects(dial(), unreachable(/^friend 1 has no connection to it, or it does not let us in$/));
    d.directory.know(a.identity, a.keys.publicKey);
    f.grant((identity) => !Buffer.from(identity).equals(Buffer.from(d.identity)));
    f.network.regrant();
    await until(() => d.relay.callers.length === 0, 'the grant to be taken back');
    await assert.rejects(dial(), unreachable(/^friend 1 has no connection to it, or it does not let us in$/));
    f.grant(() => false);
    f.network.regrant();
    await until(() => a.relay.callers.length === 0, 'the grant to be taken back');
    await assert.rejects(dial(), unreachable(/^no friend who is connected now relays for us$/));
    assert.equal(f.relay.hub.jointCount, 0);
  });

  void it('is taken as over when the grant is taken back in the middle', async (test) => {
    const { a, d, f } = await circle(test);
    await until(() => viaOf(a, d) === 'relay' && viaOf(d, a) === 'relay', 'the relayed session');
    f.grant((identity) => !Buffer.from(identity).equals(Buffer.from(a.identity)));
    f.network.regrant();
    await until(() => viaOf(a, d) === null && viaOf(d, a) === null, 'the end');
    assert.equal(f.relay.hub.jointCount, 0);
  });

  void it('offers no relaying over a session that is relayed itself', async (test) => {
    const { a, d } = await circle(test);
    await until(() => viaOf(a, d) === 'relay' && viaOf(d, a) === 'relay', 'the relayed session');
    assert.equal(a.relay.callers.length, 1);
    assert.equal(d.relay.callers.length, 1);
  });
});

void describe('hostile friends of a relay', () => {
  /** A friend of the relay who says what a test wants on its channel. */
  async function rawFriend(test: Parameters<typeof circle>[0]): Promise<{
    raw: RawPeer;
    channel: MuxChannel;
    heard: RawMessage[];
    f: RelayPeer;
    d: RelayPeer;
  }> {
    const { f, d } = await circle(test, { idle: true });
    const them = relayPeer(7, noLimits, f.timers);
    befriend(f, them);
    const wire = wireBetween(them.keys, f.keys);
    f.network.accept(wire.responder);
    const raw = new RawPeer(wire.initiator);
    raw.sayHello(them.keys, them.directory.card);
    // Whoever chooses: one of the two says its offers first.
    await until(() => f.directory.learned.length >= 3, 'the hello');
    raw.sayOffers([]);
    await raw.hears(1);
    const heard: RawMessage[] = [];
    const channel = raw.open('kith/relay/1', raw.role, heard);
    if (channel === undefined) throw new Error('no channel');
    return { raw, channel, heard, f, d };
  }
  const endsIn = (heard: readonly RawMessage[]): number[] =>
    heard.filter(({ kind }) => kind === relayKind.end).map(({ bytes }) => decodeRelayEnd(bytes).reason);

  void it('who flood it with dials are told that it is busy, and stay', async (test) => {
    const { raw, channel, heard, f, d } = await rawFriend(test);
    for (let number = 0; number < 200; number++) {
      const device = number % 2 === 0 ? noise(number, 32) : d.keys.publicKey;
      channel.send(relayKind.dial, encodeRelayDial({ pipe: 2 * number + 1, device }));
    }
    const busy = (): number => endsIn(heard).filter((reason) => reason === relayEnd.busy).length;
    await until(() => busy() >= 200 - dialBurstMax, 'the refusals');
    assert.ok(f.relay.hub.jointCount <= pipeCountMax);
    // Of those to the friend some are open: it waits for a hello on each, on eight at a time.
    const notHere = endsIn(heard).filter((reason) => reason === relayEnd.notHere).length;
    assert.ok(notHere >= dialBurstMax / 2 && notHere < dialBurstMax, `${notHere} not here`);
    assert.ok(!raw.ended);
    assert.equal(f.network.peers().length, 3);
  });

  void it('who break its rules are let go, and nobody else is', async (test) => {
    const breaches: ((channel: MuxChannel) => void)[] = [
      (channel) => channel.send(relayKind.data, encodeRelayData({ pipe: 1, bytes: noise(1, 10) })),
      (channel) => channel.send(relayKind.incoming, encodeRelayIncoming(2)),
      (channel) => channel.send(relayKind.dial, noise(1, 7)),
      (channel) => {
        for (let i = 0; i < 2; i++)
          channel.send(relayKind.dial, encodeRelayDial({ pipe: 1, device: noise(2, 32) }));
      },
    ];
    for (const breach of breaches) {
      const { raw, channel, f } = await rawFriend(test);
      breach(channel);
      await until(() => raw.ended, 'the end');
      assert.equal(f.network.peers().length, 2);
    }
  });

  void it('who send garbage down a pipe reach nobody with it', async (test) => {
    const { raw, channel, heard, f, d } = await rawFriend(test);
    channel.send(relayKind.dial, encodeRelayDial({ pipe: 1, device: d.keys.publicKey }));
    channel.send(relayKind.data, encodeRelayData({ pipe: 1, bytes: noise(3, 50_000) }));
    await until(() => endsIn(heard).length === 1, 'the end of the pipe');
    assert.deepEqual(endsIn(heard), [relayEnd.notHere]);
    assert.equal(f.relay.hub.jointCount, 0);
    assert.equal(d.network.peers().length, 1);
    assert.ok(!raw.ended);
  });
});
