import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { equalBytes, toHex, utf8 } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import { dialCountMax, eagerDelayMs, lostSpreadMs } from '../../lib/net/dialling/dial-schedule.ts';
import type { DialTarget, Link } from '../../lib/net/links/link.ts';
import {
  befriend,
  closeAll,
  connectedPair,
  FakeTransport,
  keyPairOf,
  noAnswer,
  testPeer,
  turns,
  until,
  wireBetween,
} from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import type { MemoryWire } from '../support/memory-link.ts';
import { atEnd } from '../support/at-end.ts';

/** A transport on which the given peers can be reached; others don't answer, or are refused at once. */
function reach(
  from: TestPeer,
  others: readonly TestPeer[],
  dead: 'silent' | 'refuses' = 'silent',
): FakeTransport & { wires: MemoryWire[] } {
  const wires: MemoryWire[] = [];
  const answer = async ({ remoteKey, keyPair }: DialTarget, signal: AbortSignal): Promise<Link> => {
    const other = others.find(({ keys }) => equalBytes(keys.publicKey, remoteKey));
    if (other === undefined) {
      if (dead === 'silent') return await noAnswer(signal);
      throw new KithError('peer-unreachable', 'connection refused');
    }
    if (!other.network.wiring.admits(keyPair.publicKey)) throw new KithError('peer-refused', 'it refused');
    const wire = wireBetween(keyPair, other.keys);
    wires.push(wire);
    other.network.accept(wire.responder);
    return wire.initiator;
  };
  return Object.assign(new FakeTransport(answer), { wires, from });
}

void describe('dialling', () => {
  void it('finds the five that live among fifty within the first round, eight at a time', async (test) => {
    const us = testPeer(1);
    const living: TestPeer[] = [];
    for (let number = 2; number <= 51; number++) {
      const friend = testPeer(number);
      befriend(us, friend);
      // The living are last in line.
      if (number > 46) living.push(friend);
    }
    atEnd(test, () => closeAll(us, ...living));
    const transport = reach(us, living);
    us.network.start([transport]);
    const all = living.map(({ identity }) => identity);
    const missing = us.network.waitFor(all, { timeoutMs: 20_000 });
    let waited = 0;
    while (us.network.peers().length < 5 && waited < 20) {
      us.timers.advance(1_000);
      waited++;
      await turns(60);
    }
    assert.deepEqual(await missing, []);
    assert.equal(transport.diallingMax, dialCountMax);
    // Nobody was dialled a second time before all had their turn.
    assert.ok(transport.dialled.length <= 50 + dialCountMax);
    // The dead are dialled on, and the living left alone.
    const before = transport.dialled.length;
    for (let i = 0; i < 20; i++) {
      us.timers.advance(1_000);
      await turns(10);
    }
    const again = transport.dialled.slice(before).map(({ remoteKey }) => toHex(remoteKey));
    assert.ok(again.length > 0);
    assert.ok(living.every(({ keys }) => !again.includes(toHex(keys.publicKey))));
  });

  void it('tries a lost session at once, once, then by the schedule', async (test) => {
    const us = testPeer(1);
    const friend = testPeer(2);
    befriend(us, friend);
    atEnd(test, () => closeAll(us, friend));
    const transport = reach(us, [friend]);
    us.network.start([transport]);
    await until(() => us.network.peers().length === 1);
    us.timers.advance(60_000);
    assert.equal(transport.dialled.length, 1);
    transport.answer = async () => {
      throw new KithError('peer-unreachable', 'connection refused');
    };
    transport.wires[0]?.cut();
    await until(() => us.network.peers().length === 0);
    us.timers.advance(lostSpreadMs);
    await until(() => transport.dialled.length === 2);
    await turns();
    assert.equal(transport.dialled.length, 2);
    assert.equal(us.network.presence(toHex(friend.identity)).trouble, 'connection refused');
    us.timers.advance(eagerDelayMs * 0.75 - 1);
    await turns();
    assert.equal(transport.dialled.length, 2);
    us.timers.advance(eagerDelayMs * 0.5 + 1);
    await turns();
    assert.equal(transport.dialled.length, 3);
  });

  void it('does not spin when a session ends as soon as it is open', async (test) => {
    const us = testPeer(1);
    const friend = testPeer(2);
    befriend(us, friend);
    atEnd(test, () => closeAll(us, friend));
    const transport = reach(us, [friend]);
    us.network.start([transport]);
    for (let round = 1; round <= 3; round++) {
      await until(() => us.network.peers().length === 1);
      assert.equal(transport.dialled.length, round);
      transport.wires.at(-1)?.cut();
      await until(() => us.network.peers().length === 0);
      await turns();
      assert.equal(transport.dialled.length, round);
      us.timers.advance(eagerDelayMs * 1.25);
    }
  });

  void it('goes on to the next transport, each with its own time', async (test) => {
    const us = testPeer(1);
    const friend = testPeer(2);
    befriend(us, friend);
    atEnd(test, () => closeAll(us, friend));
    const direct = new FakeTransport(async (_, signal) => await noAnswer(signal));
    const dht = reach(us, [friend]);
    us.network.start([direct, dht]);
    await turns();
    assert.equal(dht.dialled.length, 0);
    us.timers.advance(2_500);
    assert.deepEqual(await us.network.waitFor([friend.identity], { timeoutMs: 1000 }), []);
    assert.equal(direct.dialled.length, 1);
  });

  void it('is called off when the other side comes first, or is no longer wanted', async (test) => {
    const us = testPeer(1);
    const friend = testPeer(2);
    befriend(us, friend);
    atEnd(test, () => closeAll(us, friend));
    const signals: AbortSignal[] = [];
    const transport = new FakeTransport(async (_, signal) => {
      signals.push(signal);
      return await noAnswer(signal);
    });
    us.network.start([transport]);
    await until(() => signals.length === 1);
    friend.network.start([reach(friend, [us])]);
    await until(() => us.network.peers().length === 1);
    assert.equal(signals[0]?.aborted, true);
    us.directory.forget(friend.keys.publicKey);
    us.network.refresh();
    await until(() => friend.network.peers().length === 0);
    us.timers.advance(600_000);
    await turns();
    assert.equal(signals.length, 1);
  });

  void it('takes up who is new in the directory', async (test) => {
    const us = testPeer(1);
    const friend = testPeer(2);
    atEnd(test, () => closeAll(us, friend));
    us.network.start([reach(us, [friend])]);
    befriend(us, friend);
    us.network.refresh();
    assert.deepEqual(await us.network.waitFor([friend.identity], { timeoutMs: 1000 }), []);
  });

  void it('leaves room for others beside one with many devices and ever new addresses', async (test) => {
    const us = testPeer(1);
    const many = testPeer(2);
    for (let i = 0; i < 8; i++) us.directory.know(many.identity, keyPairOf(100 + i).publicKey);
    const others = Array.from({ length: 20 }, (_, i) => testPeer(10 + i));
    for (const other of others) us.directory.know(other.identity, other.keys.publicKey);
    atEnd(test, () => closeAll(us));
    const transport = reach(us, []);
    us.network.start([transport]);
    const isMany = ({ remoteKey }: DialTarget): boolean =>
      !others.some(({ keys }) => equalBytes(keys.publicKey, remoteKey));
    let port = 1;
    for (let second = 0; second < 50; second++) {
      us.directory.peers = us.directory.peers.map((peer) =>
        equalBytes(peer.identity, many.identity)
          ? { ...peer, endpoints: [{ host: '127.0.0.1', port: port++, direct: true, dht: false }] }
          : peer,
      );
      us.network.refresh();
      await turns(3);
      us.timers.advance(1_000);
      await turns(3);
    }
    const dialledOthers = transport.dialled.filter((target) => !isMany(target)).length;
    const dialledMany = transport.dialled.length - dialledOthers;
    assert.ok(dialledMany >= 8, 'all its devices were tried');
    assert.ok(dialledOthers > 2 * dialledMany, `${dialledOthers} others, ${dialledMany} of one`);
  });

  void it('tells who has not added us', async (test) => {
    const us = testPeer(1);
    const friend = testPeer(2);
    us.directory.know(friend.identity, friend.keys.publicKey);
    atEnd(test, () => closeAll(us, friend));
    us.network.start([reach(us, [friend])]);
    const hex = toHex(friend.identity);
    await until(() => us.network.presence(hex).trouble !== null);
    assert.deepEqual(us.network.presence(hex), {
      online: false,
      via: null,
      address: null,
      mutual: false,
      trouble: 'it refused',
      disowned: false,
      metered: false,
      steps: [{ way: 'direct', address: null, ok: false, ms: 0, message: 'it refused', trouble: 'refused' }],
    });
  });

  void it('lets nobody wait longer than asked, nor after all is over', async (test) => {
    const us = testPeer(1);
    const friend = testPeer(2);
    befriend(us, friend);
    atEnd(test, () => closeAll(us, friend));
    us.network.start([reach(us, [])]);
    const waiting = us.network.waitFor([friend.identity], { timeoutMs: 1_000 });
    us.timers.advance(1_000);
    assert.deepEqual(await waiting, [friend.identity]);
    const cancel = new AbortController();
    const cancelled = us.network.waitFor([friend.identity], { timeoutMs: 1_000, signal: cancel.signal });
    cancel.abort(new Error('no more'));
    await assert.rejects(cancelled, /no more/);
    const tried = us.network.waitFor([friend.identity], { timeoutMs: 60_000, untilTried: true });
    // Who doesn't answer within the first 2.5 s may only be slow: the second try, two seconds later, decides.
    let settled = false;
    void tried.then(() => (settled = true));
    us.timers.advance(2_500);
    await turns();
    assert.equal(settled, false);
    us.timers.advance(2_000);
    await turns();
    us.timers.advance(5_000);
    assert.deepEqual(await tried, [friend.identity]);
    const closing = us.network.waitFor([friend.identity], { timeoutMs: 60_000 });
    await us.network.close();
    assert.deepEqual(await closing, [friend.identity]);
    assert.equal(us.timers.pending, 0);
  });
});

void describe('a second device of a friend', () => {
  void it('has a session of its own, and either serves', async (test) => {
    const { a, b } = await connectedPair(test);
    const second = testPeer(3, { identity: b.identity });
    befriend(a, second);
    atEnd(test, () => closeAll(second));
    const wire = wireBetween(second.keys, a.keys);
    second.network.accept(wire.initiator);
    a.network.accept(wire.responder);
    await until(() => a.network.peers().length === 2);
    b.echo.granted = false;
    b.network.regrant();
    await turns();
    const reply = await a.network.caller(b.identity, 'kith/echo').call(0, utf8('x'));
    assert.deepEqual(reply.body, utf8('x'));
    assert.equal(second.echo.calls.length, 1);
  });
});

void describe('a ping', () => {
  void it('asks over the session, then dials every address', async (test) => {
    const { a, b } = await connectedPair(test);
    const endpoint = (port: number): { host: string; port: number; direct: boolean; dht: boolean } => ({
      host: '::1',
      port,
      direct: true,
      dht: true,
    });
    a.directory.peers = [
      { identity: b.identity, deviceId: b.keys.publicKey, endpoints: [endpoint(1), endpoint(2)] },
    ];
    const direct = reach(a, [b]);
    const { answer } = direct;
    direct.answer = async (target, signal) => {
      if (target.endpoints[0]?.port === 1) throw new KithError('peer-unreachable', 'connection refused');
      return await answer(target, signal);
    };
    const dht = new FakeTransport(async (_, signal) => await noAnswer(signal), 'dht');
    a.network.start([direct, dht]);
    const pinging = a.network.ping(b.identity);
    await until(() => dht.dialling === 1);
    a.timers.advance(5_000);
    assert.deepEqual(await pinging, [
      { way: 'session', address: '127.0.0.1:1', ok: true, ms: 0, message: null, trouble: null },
      {
        way: 'direct',
        address: '[::1]:1',
        ok: false,
        ms: 0,
        message: 'connection refused',
        trouble: 'silent',
      },
      { way: 'direct', address: '[::1]:2', ok: true, ms: 0, message: null, trouble: null },
      {
        way: 'dht',
        address: null,
        ok: false,
        ms: 5_000,
        message: 'no answer within 5 s',
        trouble: 'not-found',
      },
    ]);
    assert.equal(a.network.peers().length, 1);
  });

  void it('of somebody unknown tries nothing, and ends with its signal', async (test) => {
    const { a, b } = await connectedPair(test);
    assert.deepEqual(await a.network.ping(a.identity), []);
    const cancel = new AbortController();
    cancel.abort(new Error('enough'));
    await assert.rejects(a.network.ping(b.identity, cancel.signal), /enough/);
  });
});
