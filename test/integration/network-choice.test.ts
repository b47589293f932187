import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compareBytes, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { Network } from '../../lib/net/network.ts';
import type { MemoryWire } from '../support/memory-link.ts';
import { befriend, closeAll, connect, testPeer, turns, until, wireBetween } from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import { Seeded } from '../support/seeded.ts';

/** Delivers messages one by one, from wires and directions that the seed picks, until nothing moves. */
async function deliverInAnyOrder(wires: readonly MemoryWire[], seeded: Seeded): Promise<void> {
  for (;;) {
    const ways = wires.flatMap((wire) =>
      (['initiator', 'responder'] as const)
        .filter((from) => wire.queuedBytes(from) > 0)
        .map((from) => ({ wire, from })),
    );
    const open = ways.filter(({ wire }) => !wire.over);
    const picked = open[seeded.below(Math.max(1, open.length))];
    if (picked === undefined) return;
    if (!picked.wire.deliver(picked.from)) return;
    await turns(3);
  }
}

async function pair(numbers: readonly [number, number] = [1, 2]): Promise<[TestPeer, TestPeer]> {
  const a = testPeer(numbers[0]);
  const b = testPeer(numbers[1]);
  befriend(a, b);
  // `a` is the one that chooses.
  return compareBytes(a.keys.publicKey, b.keys.publicKey) < 0 ? [a, b] : [b, a];
}

/** Both have one session, on the same wire, and it works. */
async function agree(a: TestPeer, b: TestPeer, wires: readonly MemoryWire[]): Promise<void> {
  assert.equal(a.network.peers().length, 1);
  assert.equal(b.network.peers().length, 1);
  await turns();
  const living = wires.filter(({ over }) => !over);
  assert.equal(living.length, 1, `${living.length} links are left`);
  living[0]?.setAutomatic(true);
  assert.deepEqual((await a.network.caller(b.identity, 'kith/echo').call(0, utf8('x'))).body, utf8('x'));
  assert.deepEqual((await b.network.caller(a.identity, 'kith/echo').call(0, utf8('y'))).body, utf8('y'));
}

/** Lets time go on for a peer, in steps in which what is under way can go on. */
async function pass(ms: number, ...peers: TestPeer[]): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 400) {
    for (const { timers } of peers) timers.advance(400);
    await turns(10);
  }
}

/** Lets an answer on the peer's session become overdue: nothing moves on its wire. */
async function comeToDoubt(peer: TestPeer, wire: MemoryWire): Promise<void> {
  wire.setAutomatic(false);
  peer.network.disturbed();
  await pass(1_600, peer);
  assert.equal(peer.network.peers().length, 1, 'nobody is given up yet');
}

/** Both have a session, and a call on it that never ends has reached the other side. */
async function hangingCall(from: TestPeer, to: TestPeer): Promise<{ readonly ended: Promise<unknown> }> {
  const calls = to.echo.calls.length;
  const hanging = from.network.caller(to.identity, 'kith/echo').call(2, new Uint8Array(0));
  const ended = hanging.catch((error: unknown) => error);
  await until(() => to.echo.calls.length === calls + 1, 'the call');
  return { ended };
}

/** Lets sessions whose place was taken come to their end. */
async function retire(a: TestPeer, b: TestPeer, wires: readonly MemoryWire[], seeded: Seeded): Promise<void> {
  for (let second = 0; second < 4; second++) {
    a.timers.advance(1_000);
    b.timers.advance(1_000);
    await deliverInAnyOrder(wires, seeded);
    await turns(3);
  }
}

void describe('two devices with more than one link', () => {
  void it('agree on one when both dial at once, whatever arrives first', async () => {
    for (let seed = 0; seed < 150; seed++) {
      const [a, b] = await pair();
      const seeded = new Seeded(seed);
      const wires = [connect(a, b, false), connect(b, a, false)];
      await turns(3);
      await deliverInAnyOrder(wires, seeded);
      await agree(a, b, wires).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
      await closeAll(a, b);
    }
  });

  void it('agree on one when they dial over two transports each, at any time', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const [a, b] = await pair();
      const seeded = new Seeded(1000 + seed);
      const wires: MemoryWire[] = [];
      for (let i = 0; i < 4; i++) {
        wires.push(seeded.coin() ? connect(a, b, false) : connect(b, a, false));
        await turns(2);
        for (let steps = seeded.below(6); steps > 0; steps--) {
          const wire = wires[seeded.below(wires.length)];
          wire?.deliver(seeded.coin() ? 'initiator' : 'responder');
          await turns(2);
        }
      }
      await deliverInAnyOrder(wires, seeded);
      await agree(a, b, wires).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
      await closeAll(a, b);
    }
  });

  void it('agree on one when some links go through a relay, and on a better one when there is one later', async () => {
    for (let seed = 0; seed < 100; seed++) {
      const [a, b] = await pair();
      const seeded = new Seeded(3000 + seed);
      const wires: MemoryWire[] = [];
      for (let i = 0; i < 4; i++) {
        const via = seeded.coin() ? 'relay' : 'direct';
        wires.push(seeded.coin() ? connect(a, b, false, via) : connect(b, a, false, via));
        await turns(2);
        for (let steps = seeded.below(8); steps > 0; steps--) {
          const wire = wires[seeded.below(wires.length)];
          wire?.deliver(seeded.coin() ? 'initiator' : 'responder');
          await turns(2);
        }
      }
      await deliverInAnyOrder(wires, seeded);
      await retire(a, b, wires, seeded);
      await agree(a, b, wires).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
      wires.push(seeded.coin() ? connect(a, b) : connect(b, a));
      const viaOf = (peer: TestPeer): string | undefined => peer.network.peers()[0]?.via;
      await until(() => viaOf(a) === 'direct' && viaOf(b) === 'direct', `seed ${seed}: the direct one`);
      await retire(a, b, wires, seeded);
      await agree(a, b, wires).catch((error: unknown) => {
        throw new Error(`seed ${seed}, later`, { cause: error });
      });
      await closeAll(a, b);
    }
  });

  void it('go on with the relayed session when the better link breaks before it is agreed on', async () => {
    for (const breaksAfter of [0, 1, 2, 3, 4]) {
      const [a, b] = await pair();
      const relayed = connect(a, b, true, 'relay');
      await until(() => a.network.peers().length === 1 && b.network.peers().length === 1);
      const hanging = a.network.caller(b.identity, 'kith/echo').call(2, new Uint8Array(0));
      hanging.catch(() => {});
      await until(() => b.echo.calls.length === 1, 'the call');
      const better = connect(b, a, false);
      for (let message = 0; message < breaksAfter; message++) {
        await turns(3);
        better.deliver(message % 2 === 0 ? 'initiator' : 'responder');
        assert.equal(a.network.peers().length, 1, 'there is no moment without a session');
        assert.equal(b.network.peers().length, 1, 'there is no moment without a session');
      }
      better.cut();
      await until(() => better.over);
      await turns();
      assert.equal(b.echo.calls[0]?.signal.aborted, false);
      await agree(a, b, [relayed, better]);
      await closeAll(a, b);
    }
  });

  void it('keep the session when a link that was begun before comes late', async () => {
    const [a, b] = await pair();
    const late = [connect(a, b, false), connect(b, a, false)];
    const wire = connect(b, a);
    await until(() => a.network.peers().length === 1 && b.network.peers().length === 1);
    const hanging = a.network.caller(b.identity, 'kith/echo').call(2, new Uint8Array(0));
    hanging.catch(() => {});
    for (const slow of late) slow.setAutomatic(true);
    await until(() => late.every(({ over }) => over), 'the end of the late ones');
    assert.equal(wire.over, false);
    assert.equal(b.echo.calls[0]?.signal.aborted, false);
    await agree(a, b, [wire, ...late]);
    await closeAll(a, b);
  });

  void it('keep the session when the one that chooses had begun a link that the other meets only now', async () => {
    const [chooser, follower] = await pair();
    const late = wireBetween(chooser.keys, follower.keys);
    chooser.network.accept(late.initiator);
    const wire = connect(follower, chooser);
    await until(() => chooser.network.peers().length === 1 && follower.network.peers().length === 1);
    follower.network.accept(late.responder);
    await until(() => late.over, 'the end of the late one');
    assert.equal(wire.over, false);
    await agree(chooser, follower, [wire, late]);
    await closeAll(chooser, follower);
  });

  void it('keep the session when either opens another link while it has one', async () => {
    const [a, b] = await pair();
    const wire = connect(a, b);
    await until(() => a.network.peers().length === 1 && b.network.peers().length === 1);
    const more = [connect(a, b), connect(b, a)];
    await until(() => more.every(({ over }) => over), 'the end of the others');
    assert.equal(wire.over, false);
    await agree(a, b, [wire, ...more]);
    await closeAll(a, b);
  });

  void it('take a new one at once when the one that follows has lost the old and dials', async () => {
    const [chooser, follower] = await pair();
    const old = connect(chooser, follower);
    await until(() => chooser.network.peers().length === 1 && follower.network.peers().length === 1);
    const hanging = chooser.network.caller(follower.identity, 'kith/echo').call(2, new Uint8Array(0));
    hanging.catch(() => {});
    await until(() => follower.echo.calls.length === 1);
    // The cable is pulled, and only the follower notices.
    old.setAutomatic(false);
    await dropHalf(old, 'responder');
    await until(() => follower.network.peers().length === 0);
    assert.equal(chooser.network.peers().length, 1);
    const wire = connect(follower, chooser);
    await until(() => follower.network.peers().length === 1);
    await until(() => chooser.network.peers().length === 1);
    // It is asked at once, and has a second to answer: the other may only have doubted it.
    await pass(1_600, chooser);
    await assert.rejects(hanging, (error) => isKithError(error, 'holder-unavailable'));
    await until(() => old.over);
    await agree(chooser, follower, [old, wire]);
    await closeAll(chooser, follower);
  });

  void it('take a new one at once when the one that chooses has lost the old and dials', async () => {
    const [chooser, follower] = await pair();
    const old = connect(chooser, follower);
    await until(() => chooser.network.peers().length === 1 && follower.network.peers().length === 1);
    old.setAutomatic(false);
    await dropHalf(old, 'initiator');
    await until(() => chooser.network.peers().length === 0);
    assert.equal(follower.network.peers().length, 1);
    const wire = connect(chooser, follower);
    await until(() => chooser.network.peers().length === 1);
    await pass(1_600, follower);
    await until(() => old.over);
    await agree(chooser, follower, [old, wire]);
    await closeAll(chooser, follower);
  });

  void it('let a peer that has started anew in at once', async () => {
    for (const restarts of [0, 1]) {
      for (const dials of ['stays', 'restarts']) {
        const both = await pair();
        const stays = both[1 - restarts] ?? assert.fail();
        const before = both[restarts] ?? assert.fail();
        const old = connect(stays, before);
        await until(() => stays.network.peers().length === 1 && before.network.peers().length === 1);
        old.setAutomatic(false);
        const after = { ...before, network: restarted(before) };
        // Who stays doesn't know that the old process is gone; where it dials, it must have lost it first.
        if (dials === 'stays') {
          await dropHalf(old, 'initiator');
          await until(() => stays.network.peers().length === 0);
        }
        const wire = dials === 'stays' ? connect(stays, after) : connect(after, stays);
        await until(() => after.network.peers().length === 1 && stays.network.peers().length === 1);
        await agree(stays, after, [wire]);
        await closeAll(stays, after, before);
      }
    }
  });
});

void describe('a session that is doubted', () => {
  void it('gives way to a further link, whichever side doubts it and dials, and its calls fail over', async () => {
    for (const doubts of [0, 1]) {
      const both = await pair();
      const doubter = both[doubts] ?? assert.fail();
      const other = both[1 - doubts] ?? assert.fail();
      const old = connect(other, doubter);
      await until(() => both.every(({ network }) => network.peers().length === 1));
      const { ended } = await hangingCall(doubter, other);
      await comeToDoubt(doubter, old);
      const wire = connect(doubter, other);
      assert.ok(isKithError(await ended, 'holder-unavailable'));
      for (const { network } of both) assert.equal(network.peers().length, 1);
      await pass(4_000, ...both);
      await agree(...both, [old, wire]);
      await closeAll(...both);
    }
  });

  void it('stays where it answers before the further link is there: nothing is said on that one', async () => {
    for (const doubts of [0, 1]) {
      const both = await pair();
      const doubter = both[doubts] ?? assert.fail();
      const other = both[1 - doubts] ?? assert.fail();
      const old = connect(other, doubter);
      await until(() => both.every(({ network }) => network.peers().length === 1));
      await comeToDoubt(doubter, old);
      old.setAutomatic(true);
      await turns();
      const wire = connect(doubter, other, false);
      await turns();
      assert.ok(wire.over);
      assert.equal(wire.written('initiator'), 0);
      await agree(...both, [old, wire]);
      await closeAll(...both);
    }
  });

  void it('doesn’t give way to a link that the other side opened while only that side may doubt', async () => {
    // The chooser dials without doubt: what a follower that is well is shown changes nothing.
    const [chooser, follower] = await pair();
    const old = connect(chooser, follower);
    await until(() => chooser.network.peers().length === 1 && follower.network.peers().length === 1);
    await comeToDoubt(follower, old);
    const wire = wireBetween(chooser.keys, follower.keys);
    chooser.network.accept(wire.initiator);
    follower.network.accept(wire.responder);
    await until(() => wire.over, 'the end of the further link');
    assert.equal(old.over, false);
    old.setAutomatic(true);
    await agree(chooser, follower, [old, wire]);
    await closeAll(chooser, follower);
  });

  void it('that comes to life while it gives way brings its calls to their end', async () => {
    for (const doubts of [0, 1]) {
      const both = await pair();
      const doubter = both[doubts] ?? assert.fail();
      const other = both[1 - doubts] ?? assert.fail();
      const old = connect(other, doubter);
      await until(() => both.every(({ network }) => network.peers().length === 1));
      let release = (): void => {};
      other.echo.holding = new Promise((resolve) => {
        release = resolve;
      });
      const call = doubter.network.caller(other.identity, 'kith/echo').call(0, utf8('slow'));
      await until(() => other.echo.calls.length === 1, 'the call');
      await comeToDoubt(doubter, old);
      const wire = connect(doubter, other, false);
      // Both hellos are on their way when the old one answers.
      await turns(3);
      wire.deliver('initiator');
      old.setAutomatic(true);
      await turns();
      wire.setAutomatic(true);
      await turns();
      release();
      assert.deepEqual((await call).body, utf8('slow'));
      await pass(4_000, ...both);
      await agree(...both, [old, wire]);
      await closeAll(...both);
    }
  });

  void it('is followed by one session when both sides doubt and dial, whatever arrives first', async () => {
    for (let seed = 0; seed < 150; seed++) {
      const both = await pair();
      const [a, b] = both;
      const seeded = new Seeded(9000 + seed);
      const old = connect(a, b);
      await until(() => both.every(({ network }) => network.peers().length === 1));
      old.setAutomatic(false);
      const comesBack = seeded.coin();
      if (!comesBack) old.sever();
      for (const { network } of both) network.disturbed();
      await pass(1_600, ...both);
      const wires = [connect(a, b, false), connect(b, a, false)];
      for (let steps = seeded.below(8); steps > 0; steps--) {
        const wire = [old, ...wires][seeded.below(3)];
        wire?.deliver(seeded.coin() ? 'initiator' : 'responder');
        for (const { network } of both) assert.equal(network.peers().length, 1, `seed ${seed}`);
        await turns(2);
      }
      await deliverInAnyOrder([old, ...wires], seeded);
      for (let second = 0; second < 6; second++) {
        await pass(800, ...both);
        await deliverInAnyOrder([old, ...wires], seeded);
      }
      await agree(a, b, [old, ...wires]).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
      await closeAll(a, b);
    }
  });
});

/** Another process of the same device. */
function restarted(peer: TestPeer): Network {
  const { keys, directory, echo, timers } = peer;
  const seeded = new Seeded(4242);
  return new Network({
    device: keys,
    directory,
    services: [echo],
    timers,
    random: (count) => seeded.bytes(count),
  });
}

/** One end notices that the link is gone, the other doesn't. */
async function dropHalf(wire: MemoryWire, end: 'initiator' | 'responder'): Promise<void> {
  wire.dropHalf(end);
  await turns(3);
}
