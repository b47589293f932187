import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { uploadBudgetBytes } from '../../lib/net/calls/bulk-budget.ts';
import { UploadMemory } from '../../lib/net/calls/upload-memory.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { noise } from '../support/noise.ts';
import { connectedPair, until } from '../support/net-peers.ts';
import type { IncomingCall, Service } from '../../lib/net/service.ts';

const shardBytes = 4_200_000;

void describe('memory for uploads', () => {
  void it('is used again for what fits, and let go when nothing comes', () => {
    const timers = new FakeTimers();
    const memory = new UploadMemory(timers);
    const first = memory.take(shardBytes);
    assert.ok(first.length >= shardBytes);
    assert.notEqual(memory.take(shardBytes), first);
    memory.giveBack(first);
    assert.notEqual(memory.take(9_000_000), first);
    assert.notEqual(memory.take(1_000_000), first);
    assert.equal(memory.take(shardBytes - 1000), first);
    memory.giveBack(first);
    timers.advance(10_000);
    assert.notEqual(memory.take(shardBytes), first);
    assert.equal(timers.pending, 0);
  });

  void it('keeps no more than uploads may have at all', () => {
    const memory = new UploadMemory(new FakeTimers());
    const all = Array.from({ length: 10 }, () => memory.take(shardBytes));
    for (const each of all) memory.giveBack(each);
    let kept = 0;
    while (all.includes(memory.take(shardBytes))) kept++;
    assert.ok(kept > 0 && kept * shardBytes <= uploadBudgetBytes, String(kept));
    memory.close();
  });
});

/** Takes uploads, and keeps the bytes until it is told to answer. */
class Holding implements Service {
  readonly name = 'kith/echo';
  readonly versions = { min: 1, max: 1 };
  readonly held: { readonly bytes: Uint8Array; readonly answer: () => void }[] = [];
  lent = true;

  accept(): ReturnType<Service['accept']> {
    return { handle: (call) => this.#handle(call), closed: () => undefined };
  }

  async #handle(call: IncomingCall): Promise<{ body: Uint8Array }> {
    const bytes = await call.receive({ lent: this.lent });
    await new Promise<void>((answer) => this.held.push({ bytes, answer }));
    return { body: new Uint8Array(0) };
  }
}

void describe('an upload that is lent', () => {
  void it('has its bytes until the handler has ended, even if its caller has gone, and then others have them', async (test) => {
    const holding = new Holding();
    const { a, b } = await connectedPair(test, { b: { services: [holding] } });
    const caller = a.network.caller(b.identity, 'kith/echo');
    const uploads = [1, 2, 3].map((seed) => noise(seed, 2_000_000));
    const send = (index: number, signal?: AbortSignal): Promise<unknown> =>
      caller.call(0, new Uint8Array(0), {
        upload: [uploads[index] ?? new Uint8Array(0)],
        ...(signal !== undefined && { signal }),
      });
    const stop = new AbortController();
    const first = send(0, stop.signal);
    await until(() => holding.held.length === 1, 'the first');
    stop.abort();
    await assert.rejects(first);
    const second = send(1);
    await until(() => holding.held.length === 2, 'the second');
    const [one, two] = holding.held;
    assert.deepEqual(one?.bytes, uploads[0]);
    assert.deepEqual(two?.bytes, uploads[1]);
    assert.notEqual(one?.bytes.buffer, two?.bytes.buffer);
    two?.answer();
    await second;
    const third = send(2);
    await until(() => holding.held.length === 3, 'the third');
    assert.equal(holding.held[2]?.bytes.buffer, two?.bytes.buffer);
    assert.deepEqual(holding.held[2]?.bytes, uploads[2]);
    assert.deepEqual(one?.bytes, uploads[0]);
    one?.answer();
    holding.held[2]?.answer();
    await third;
  });

  void it('is the handler’s own where it isn’t lent', async (test) => {
    const holding = new Holding();
    holding.lent = false;
    const { a, b } = await connectedPair(test, { b: { services: [holding] } });
    const caller = a.network.caller(b.identity, 'kith/echo');
    for (const seed of [1, 2]) {
      const call = caller.call(0, new Uint8Array(0), { upload: [noise(seed, 2_000_000)] });
      await until(() => holding.held.length === seed, 'the upload');
      holding.held[seed - 1]?.answer();
      await call;
    }
    assert.deepEqual(holding.held[0]?.bytes, noise(1, 2_000_000));
  });
});
