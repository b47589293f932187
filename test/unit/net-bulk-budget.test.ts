import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { BulkBudget } from '../../lib/net/calls/bulk-budget.ts';
import { bulkBytesMax } from '../../lib/net/service.ts';
import { turns } from '../support/net-peers.ts';

const mib = 2 ** 20;
const never = new AbortController().signal;
setMaxListeners(0, never);

/** Acquires, and says so when it has. */
function ask(budget: BulkBudget, peer: string, bytes: number, signal = never): { release?: () => void } {
  const asked: { release?: () => void } = {};
  budget.acquire(peer, bytes, signal).then(
    (release) => {
      asked.release = release;
    },
    () => {},
  );
  return asked;
}

void describe('the budget for bulk bytes', () => {
  void it('gives one peer a quarter, and leaves room for the others', async () => {
    const budget = new BulkBudget(64 * mib);
    const greedy = Array.from({ length: 20 }, () => ask(budget, 'greedy', 4 * mib));
    await turns(2);
    assert.equal(greedy.filter(({ release }) => release !== undefined).length, 4);
    const modest = ask(budget, 'modest', 4 * mib);
    await turns(2);
    assert.ok(modest.release !== undefined);
    greedy[0]?.release?.();
    greedy[0]?.release?.();
    await turns(2);
    assert.equal(greedy.filter(({ release }) => release !== undefined).length, 5);
    assert.equal(budget.heldBytes, 20 * mib);
  });

  void it('serves peers by turns, and a large request in the end', async () => {
    const budget = new BulkBudget(16 * mib);
    const order: string[] = [];
    const run = async (peer: string, bytes: number): Promise<void> => {
      const release = await budget.acquire(peer, bytes, never);
      order.push(peer);
      await turns(1);
      release();
    };
    const first = await budget.acquire('z', 9 * mib, never);
    const all = [
      ...Array.from({ length: 6 }, () => run('a', 8 * mib)),
      run('b', 9 * mib),
      ...Array.from({ length: 3 }, () => run('c', 8 * mib)),
    ];
    first();
    await Promise.all(all);
    assert.equal(order.length, 10);
    assert.ok(order.indexOf('b') <= 2, order.join(' '));
    assert.ok(order.indexOf('c') <= 3, order.join(' '));
    assert.equal(budget.heldBytes, 0);
  });

  void it('forgets who gave up waiting', async () => {
    const budget = new BulkBudget(bulkBytesMax);
    const held = await budget.acquire('a', bulkBytesMax, never);
    const giveUp = new AbortController();
    const waiting = budget.acquire('b', 1, giveUp.signal);
    const behind = ask(budget, 'c', 1);
    giveUp.abort(new Error('no longer'));
    await assert.rejects(waiting, /no longer/);
    await assert.rejects(budget.acquire('b', 1, giveUp.signal), /no longer/);
    held();
    await turns(2);
    assert.ok(behind.release !== undefined);
    behind.release();
    assert.equal(budget.heldBytes, 0);
  });

  void it('never holds more than it has, and starves nobody', async () => {
    const request = fc.record({
      peer: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      bytes: fc.integer({ min: 1, max: bulkBytesMax }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 40 }), async (requests) => {
        const budget = new BulkBudget(20 * mib);
        const held = new Map<string, number>();
        let most = 0;
        await Promise.all(
          requests.map(async ({ peer, bytes }) => {
            const release = await budget.acquire(peer, bytes, never);
            held.set(peer, (held.get(peer) ?? 0) + bytes);
            assert.ok((held.get(peer) ?? 0) <= bulkBytesMax);
            most = Math.max(most, budget.heldBytes);
            await turns(1);
            held.set(peer, (held.get(peer) ?? 0) - bytes);
            release();
          }),
        );
        assert.ok(most <= 20 * mib);
        assert.equal(budget.heldBytes, 0);
      }),
      { numRuns: 50 },
    );
  });
});
