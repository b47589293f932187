import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { BulkBudget } from '../../lib/net/calls/bulk-budget.ts';
import { bulkBytesMax, callBodyBytesMax } from '../../lib/net/service.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { linkPair } from '../support/net-pair.ts';
import { noise } from '../support/noise.ts';
import { befriend, closeAll, connectedPair, testPeer, turns, until } from '../support/net-peers.ts';
import type { TestPeer } from '../support/net-peers.ts';
import { atEnd } from '../support/at-end.ts';

void describe('who came in', () => {
  void it('is told with whose device it is', async (test) => {
    const { a, b } = await connectedPair(test);
    const came = [...a.network.cameInFrom, ...b.network.cameInFrom];
    assert.equal(came.length, 1, 'one of the two dialled');
    const from = b.network.cameInFrom.length === 1 ? a : b;
    assert.deepEqual(
      came.map(({ identity }) => toHex(identity)),
      [toHex(from.identity)],
    );
  });
});

void describe('calls over a session', () => {
  void it('carry a body and bulk both ways', async (test) => {
    const { a, b } = await connectedPair(test);
    const echo = a.network.caller(b.identity, 'kith/echo');
    assert.equal(echo.connected, true);
    const upload = noise(1, 8 * 2 ** 20);
    const reply = await echo.call(0, utf8('hello'), {
      upload: [upload.subarray(0, 1000), new Uint8Array(0), upload.subarray(1000)],
      downloadBytesMax: upload.length,
    });
    assert.deepEqual(reply.body, utf8('hello'));
    assert.ok(Buffer.compare(reply.download, upload) === 0);
    // And the other way round, at the same time on the same link.
    const back = await b.network.caller(a.identity, 'kith/echo').call(0, utf8('back'));
    assert.deepEqual(back.body, utf8('back'));
    assert.equal(back.download.length, 0);
  });

  void it("bring the other side's errors", async (test) => {
    const { a, b } = await connectedPair(test);
    const failed = a.network.caller(b.identity, 'kith/echo').call(1, new Uint8Array(0));
    await assert.rejects(failed, (error) => {
      assert.ok(isKithError(error, 'quota-exceeded'));
      assert.deepEqual({ ...error.details }, { bytes: 5 });
      return true;
    });
  });

  void it('are cancelled by their signal, on both sides', async (test) => {
    const { a, b } = await connectedPair(test);
    const echo = a.network.caller(b.identity, 'kith/echo');
    const cancel = new AbortController();
    const result = echo.call(2, new Uint8Array(0), { signal: cancel.signal });
    await until(() => b.echo.calls.length === 1);
    cancel.abort();
    await assert.rejects(result, (error) => isKithError(error, 'interrupted'));
    await until(() => b.echo.calls[0]?.signal.aborted === true);
    const late = echo.call(0, new Uint8Array(0), { signal: cancel.signal });
    await assert.rejects(late, (error) => isKithError(error, 'interrupted'));
    assert.deepEqual((await echo.call(0, utf8('on'))).body, utf8('on'));
  });

  void it('are made with less than the limits, or not at all', async (test) => {
    const { a, b } = await connectedPair(test);
    const echo = a.network.caller(b.identity, 'kith/echo');
    const tooMuch = (error: unknown): boolean => isKithError(error, 'limit-exceeded');
    await assert.rejects(echo.call(0, new Uint8Array(callBodyBytesMax + 1)), tooMuch);
    await assert.rejects(
      echo.call(0, utf8(''), { upload: [new Uint8Array(bulkBytesMax), utf8('x')] }),
      tooMuch,
    );
    await assert.rejects(echo.call(0, utf8(''), { downloadBytesMax: bulkBytesMax + 1 }), tooMuch);
    const largest = await echo.call(0, new Uint8Array(callBodyBytesMax), {
      upload: [new Uint8Array(bulkBytesMax)],
      downloadBytesMax: bulkBytesMax,
    });
    assert.equal(largest.download.length, bulkBytesMax);
    assert.equal(largest.body.length, callBodyBytesMax);
  });

  void it('of which there are many wait for each other', async (test) => {
    const budgets = { bodies: new BulkBudget(2 ** 30) };
    const { a, b } = await connectedPair(test, { b: { budgets } });
    const echo = a.network.caller(b.identity, 'kith/echo');
    const cancel = new AbortController();
    const hanging = Array.from({ length: 64 }, () => echo.call(2, utf8(''), { signal: cancel.signal }));
    const ended = Promise.allSettled(hanging);
    const giveUp = new AbortController();
    const given = echo.call(0, utf8(''), { signal: giveUp.signal });
    const waiting = echo.call(0, utf8('last'));
    await until(() => b.echo.calls.length === 64);
    await turns();
    assert.equal(b.echo.calls.length, 64);
    giveUp.abort();
    await assert.rejects(given, (error) => isKithError(error, 'interrupted'));
    cancel.abort();
    await ended;
    assert.deepEqual((await waiting).body, utf8('last'));
    assert.equal(a.network.peers().length, 1);
  });

  void it('fail when the session ends, and say so', async (test) => {
    const { a, b, wire } = await connectedPair(test);
    const echo = a.network.caller(b.identity, 'kith/echo');
    const hanging = echo.call(2, utf8(''));
    await until(() => b.echo.calls.length === 1);
    wire.cut();
    await assert.rejects(hanging, (error) => isKithError(error, 'holder-unavailable'));
    assert.equal(echo.connected, false);
    await assert.rejects(echo.call(0, utf8('')), (error) => isKithError(error, 'holder-unavailable'));
    await until(() => b.echo.closedCount === 1);
    assert.equal(b.echo.calls[0]?.signal.aborted, true);
  });

  void it('are ended before the network is, and hold it up no longer than ten seconds', async (test) => {
    for (const isStuck of [false, true]) {
      const timers = new FakeTimers();
      const { a, b } = await connectedPair(test, { b: { timers } });
      let end = (): void => {};
      b.echo.holding = new Promise<void>((resolve) => {
        end = resolve;
      });
      const failed = assert.rejects(a.network.caller(b.identity, 'kith/echo').call(0, utf8('')), (error) =>
        isKithError(error, 'holder-unavailable'),
      );
      await until(() => b.echo.calls.length === 1);
      let isClosed = false;
      const closing = b.network.close().then(() => {
        isClosed = true;
      });
      await failed;
      await turns();
      timers.advance(9_999);
      await turns();
      assert.equal(isClosed, false);
      if (isStuck) timers.advance(1);
      else end();
      await closing;
      assert.equal(timers.pending, 0);
    }
  });

  void it('live while the other side works on them', async (test) => {
    const timers = new FakeTimers();
    const { a, b } = await connectedPair(test, { a: { timers }, b: { timers } });
    let answer = (): void => {};
    b.echo.holding = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const slow = a.network.caller(b.identity, 'kith/echo').call(0, utf8('slow'));
    await until(() => b.echo.calls.length === 1);
    for (let i = 0; i < 22; i++) {
      timers.advance(5_000);
      await turns(5);
    }
    answer();
    assert.deepEqual((await slow).body, utf8('slow'));
  });

  void it('get an answer though a handler answers nonsense', async (test) => {
    const { a, b } = await connectedPair(test);
    const echo = a.network.caller(b.identity, 'kith/echo');
    b.echo.error = 'thrown as text';
    await assert.rejects(echo.call(1, utf8('')), (error) => isKithError(error, 'failed'));
    // It would send back more than was asked for.
    const over = echo.call(0, utf8(''), { upload: [new Uint8Array(100)], downloadBytesMax: 99 });
    await assert.rejects(over, (error) => isKithError(error, 'limit-exceeded'));
    assert.deepEqual((await echo.call(0, utf8('on'))).body, utf8('on'));
  });
});

void describe('a session over real encrypted streams', () => {
  void it('carries many calls with bulk at once, both ways, and closes clean', async (test) => {
    const a = testPeer(1);
    const b = testPeer(2);
    befriend(a, b);
    atEnd(test, () => closeAll(a, b));
    const [near, far] = await linkPair(a.keys, b.keys);
    a.network.accept(near);
    b.network.accept(far);
    assert.deepEqual(await a.network.waitFor([b.identity], { timeoutMs: 1_000_000 }), []);
    assert.deepEqual(await b.network.waitFor([a.identity], { timeoutMs: 1_000_000 }), []);
    const shuttle = async (from: TestPeer, to: TestPeer, seed: number): Promise<void> => {
      const upload = noise(seed, 3 * 2 ** 20 + seed);
      const reply = await from.network.caller(to.identity, 'kith/echo').call(0, utf8(`${seed}`), {
        upload: [upload],
        downloadBytesMax: upload.length,
      });
      assert.deepEqual(reply.body, utf8(`${seed}`));
      assert.equal(Buffer.compare(reply.download, upload), 0);
    };
    const all = Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? shuttle(a, b, i) : shuttle(b, a, i)));
    await Promise.all(all);
    await a.network.close();
    await far.closed;
    assert.equal(b.network.peers().length, 0);
    assert.match(b.network.presence(toHex(a.identity)).trouble ?? '', /being stopped|ended/);
  });

  void it('survives a peer that dies in the middle of an upload', async (test) => {
    const a = testPeer(1);
    const b = testPeer(2);
    befriend(a, b);
    atEnd(test, () => closeAll(a, b));
    const [near, far] = await linkPair(a.keys, b.keys);
    a.network.accept(near);
    b.network.accept(far);
    await a.network.waitFor([b.identity], { timeoutMs: 1_000_000 });
    const upload = [new Uint8Array(bulkBytesMax)];
    const calls = Array.from({ length: 5 }, () =>
      a.network.caller(b.identity, 'kith/echo').call(0, utf8(''), { upload }),
    );
    const ended = Promise.allSettled(calls);
    await until(() => b.echo.calls.length > 0);
    far.stream.destroy();
    for (const result of await ended) {
      assert.ok(result.status === 'rejected' && isKithError(result.reason, 'holder-unavailable'));
    }
    await near.closed;
  });
});
