import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { callKind, encodeCall, encodeData, encodePace } from '../../lib/net/calls/call-codec.ts';
import { bulkBytesMax } from '../../lib/net/service.ts';
import { noise } from '../support/noise.ts';
import {
  connectedPair,
  EchoService,
  testPeer,
  befriend,
  closeAll,
  connect,
  turns,
  until,
} from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import type { MemoryWire } from '../support/memory-link.ts';
import { rawFriendWithCalls } from '../support/raw-calls.ts';
import { atEnd } from '../support/at-end.ts';

const none = Number.POSITIVE_INFINITY;

/** Two friends on one fake clock. */
async function pairOnOneClock(test: { after(work: () => Promise<void>): void }): Promise<{
  a: TestPeer;
  b: TestPeer;
  wire: MemoryWire;
  timers: FakeTimers;
}> {
  const timers = new FakeTimers();
  const pair = await connectedPair(test, { a: { timers }, b: { timers } });
  return { ...pair, timers };
}

/** Lets so much time pass, in steps that a timer would notice. */
async function pass(timers: FakeTimers, ms: number, stepMs = 25): Promise<void> {
  for (let at = 0; at < ms; at += stepMs) {
    timers.advance(stepMs);
    await turns(8);
  }
}

/** Ms until a promise has settled. */
async function msUntil(timers: FakeTimers, done: Promise<unknown>, stepMs = 25): Promise<number> {
  const beganMs = timers.nowMs();
  const state = { isDone: false };
  const settled = (): void => void (state.isDone = true);
  done.then(settled, settled);
  await turns(8);
  while (!state.isDone && timers.nowMs() - beganMs < 7_200_000) await pass(timers, stepMs, stepMs);
  await done;
  return timers.nowMs() - beganMs;
}

void describe('bandwidth', () => {
  void it('of an upload is the caller’s limit, second by second', async (test) => {
    const { a, b, wire, timers } = await pairOnOneClock(test);
    a.network.setLimits({ upload: 100_000, download: none });
    const upload = noise(1, 1_000_000);
    const call = a.network.caller(b.identity, 'kith/echo').call(0, new Uint8Array(0), { upload: [upload] });
    await pass(timers, 500);
    for (let second = 0; second < 8; second++) {
      const before = wire.writtenBytes('initiator');
      await pass(timers, 1000);
      const sent = wire.writtenBytes('initiator') - before;
      assert.ok(sent > 90_000 && sent < 112_000, `${sent} bytes in second ${second}`);
    }
    await msUntil(timers, call);
  });

  void it('of an upload is the receiver’s limit: no more credit is given', async (test) => {
    const { a, b, wire, timers } = await pairOnOneClock(test);
    b.network.setLimits({ upload: none, download: 100_000 });
    const call = a.network
      .caller(b.identity, 'kith/echo')
      .call(0, new Uint8Array(0), { upload: [noise(1, 500_000)] });
    await pass(timers, 1000);
    const before = wire.writtenBytes('initiator');
    await pass(timers, 2000);
    const sent = wire.writtenBytes('initiator') - before;
    assert.ok(sent > 185_000 && sent < 220_000, `${sent} bytes in two seconds`);
    await msUntil(timers, call);
  });

  void it('of a download is the caller’s limit, and what comes is what was sent', async (test) => {
    const { a, b, wire, timers } = await pairOnOneClock(test);
    a.network.setLimits({ upload: none, download: 100_000 });
    const upload = noise(2, 500_000);
    const call = a.network
      .caller(b.identity, 'kith/echo')
      .call(0, new Uint8Array(0), { upload: [upload], downloadBytesMax: bulkBytesMax });
    await pass(timers, 1000);
    const before = wire.writtenBytes('responder');
    await pass(timers, 2000);
    const sent = wire.writtenBytes('responder') - before;
    assert.ok(sent > 185_000 && sent < 220_000, `${sent} bytes in two seconds`);
    await msUntil(timers, call);
    assert.deepEqual((await call).download, upload);
  });

  void it('of a download is the server’s limit for sending', async (test) => {
    const { a, b, timers } = await pairOnOneClock(test);
    b.network.setLimits({ upload: 100_000, download: none });
    const call = a.network
      .caller(b.identity, 'kith/echo')
      .call(0, new Uint8Array(0), { upload: [noise(2, 500_000)], downloadBytesMax: 500_000 });
    const ms = await msUntil(timers, call);
    assert.ok(ms > 4700 && ms < 5400, `${ms} ms`);
  });

  void it('is shared by friends, and each can have a limit of its own', async (test) => {
    const timers = new FakeTimers();
    const [a, b, c] = [1, 2, 3].map((number) => testPeer(number, { timers })) as [
      TestPeer,
      TestPeer,
      TestPeer,
    ];
    atEnd(test, () => closeAll(a, b, c));
    const wires = [b, c].map((friend) => {
      befriend(a, friend);
      return connect(a, friend);
    });
    await until(() => a.network.peers().length === 2, 'the sessions');
    const slow = Buffer.from(c.identity).toString('hex');
    a.network.setLimits({ upload: 200_000, download: none }, () => ({}));
    const calls = [b, c].map((friend) =>
      a.network
        .caller(friend.identity, 'kith/echo')
        .call(0, new Uint8Array(0), { upload: [noise(1, 1_500_000)] }),
    );
    const sent = async (): Promise<number[]> => {
      const before = wires.map((wire) => wire.writtenBytes('initiator'));
      await pass(timers, 2000);
      return wires.map((wire, i) => wire.writtenBytes('initiator') - (before[i] ?? 0));
    };
    await pass(timers, 500);
    for (const bytes of await sent()) assert.ok(Math.abs(bytes - 200_000) < 25_000, `${bytes} shared`);
    // In force at once, for what is under way as well.
    a.network.setLimits({ upload: 200_000, download: none }, (id) => (id === slow ? { upload: 20_000 } : {}));
    const [rest = 0, own = 0] = await sent();
    assert.ok(Math.abs(own - 40_000) < 8000, `${own} of its own`);
    assert.ok(Math.abs(rest - 360_000) < 30_000, `${rest} for the other`);
    a.network.setLimits({ upload: none, download: none }, () => ({}));
    assert.ok((await msUntil(timers, Promise.all(calls))) < 100);
  });

  void it('doesn’t end a call that our own limit keeps for longer than a silence may be', async (test) => {
    const { a, b, timers } = await pairOnOneClock(test);
    a.network.setLimits({ upload: 10_000, download: 10_000 });
    b.network.setLimits({ upload: 10_000, download: 10_000 });
    const upload = noise(1, 600_000);
    const caller = a.network.caller(b.identity, 'kith/echo');
    const calls = [1, 2, 3, 4].map(() =>
      caller.call(0, new Uint8Array(0), { upload: [upload], downloadBytesMax: 600_000 }),
    );
    const ms = await msUntil(timers, Promise.all(calls), 100);
    assert.ok(ms > 450_000, `${ms} ms`);
    for (const call of calls) assert.deepEqual((await call).download, upload);
  });

  void it('doesn’t keep small calls and pings waiting', async (test) => {
    const { a, b, timers } = await pairOnOneClock(test);
    a.network.setLimits({ upload: 10_000, download: none });
    const caller = a.network.caller(b.identity, 'kith/echo');
    const stop = new AbortController();
    const bulk = [1, 2, 3, 4, 5].map(() =>
      caller.call(0, new Uint8Array(0), { upload: [noise(1, 1_000_000)], signal: stop.signal }),
    );
    await pass(timers, 1000);
    assert.equal(await msUntil(timers, caller.call(0, new Uint8Array([7]))), 0);
    const [step] = await a.network.ping(b.identity);
    assert.equal(step?.ok, true);
    stop.abort();
    await Promise.all(bulk.map((call) => assert.rejects(call)));
  });

  void it('is given back at once by a call that is cancelled', async (test) => {
    const { a, b, timers } = await pairOnOneClock(test);
    a.network.setLimits({ upload: 100_000, download: none });
    const caller = a.network.caller(b.identity, 'kith/echo');
    const stop = new AbortController();
    const first = caller.call(0, new Uint8Array(0), { upload: [noise(1, 5_000_000)], signal: stop.signal });
    await pass(timers, 1000);
    stop.abort();
    await assert.rejects(first);
    const ms = await msUntil(timers, caller.call(0, new Uint8Array(0), { upload: [noise(1, 200_000)] }));
    assert.ok(ms < 2300, `${ms} ms`);
  });

  void it('leaves no timer when the network is closed in the middle', async () => {
    const timers = new FakeTimers();
    const a = testPeer(1, { timers });
    const b = testPeer(2, { timers });
    befriend(a, b);
    connect(a, b);
    await until(() => a.network.peers().length === 1 && b.network.peers().length === 1, 'the session');
    a.network.setLimits({ upload: 10_000, download: 10_000 });
    const call = a.network
      .caller(b.identity, 'kith/echo')
      .call(0, new Uint8Array(0), { upload: [noise(1, 500_000)], downloadBytesMax: 500_000 });
    await pass(timers, 500);
    const closed = closeAll(a, b);
    await assert.rejects(call);
    await closed;
    assert.equal(timers.pending, 0);
  });
});

void describe('a friend that doesn’t keep to credit', () => {
  void it('is let go for a byte more than the part that was granted', async (test) => {
    const friend = await rawFriendWithCalls(test);
    const { us, calling } = friend;
    us.network.setLimits({ upload: none, download: 10_000 });
    calling.send(
      callKind.call,
      encodeCall({ id: 1, method: 0, uploadBytes: 100_000, downloadBytesMax: 0, body: new Uint8Array(0) }),
    );
    await turns(20);
    us.timers.advance(10);
    await until(() => friend.answers.some(({ kind }) => kind === callKind.credit), 'some credit');
    calling.send(callKind.data, encodeData({ id: 1, bytes: noise(1, 50_000) }));
    await until(() => us.network.peers().length === 0, 'the end');
  });

  void it('is let go for a pace of a call that is far from being made', async (test) => {
    const { us, calling } = await rawFriendWithCalls(test);
    calling.send(callKind.pace, encodePace({ id: 2, bytes: 1 }));
    await until(() => us.network.peers().length === 0, 'the end');
  });

  void it('gets a failure, and its memory is free, when it paces a download and then stands still', async (test) => {
    const echo = new EchoService();
    const { us, calling, answers } = await rawFriendWithCalls(test, { echo });
    calling.send(callKind.pace, encodePace({ id: 1, bytes: 0 }));
    calling.send(
      callKind.call,
      encodeCall({ id: 1, method: 0, uploadBytes: 50, downloadBytesMax: 50, body: new Uint8Array(0) }),
    );
    await until(() => answers.some(({ kind }) => kind === callKind.credit), 'credit');
    calling.send(callKind.data, encodeData({ id: 1, bytes: noise(1, 50) }));
    await until(() => answers.some(({ kind }) => kind === callKind.reply), 'the reply');
    calling.send(callKind.pace, encodePace({ id: 1, bytes: 20 }));
    await until(() => answers.some(({ kind }) => kind === callKind.data), 'what was paced');
    await turns(20);
    const data = answers.filter(({ kind }) => kind === callKind.data);
    assert.equal(data.length, 1);
    us.timers.advance(60_000);
    await until(() => answers.some(({ kind }) => kind === callKind.failure), 'the failure');
    assert.equal(us.network.peers().length, 1);
  });
});
