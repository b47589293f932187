import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { budgetMs, RelayBudget } from '../../lib/net/relay/relay-budget.ts';
import { pipeMessageBytes } from '../../lib/net/relay/relay-codec.ts';
import { RelayRate } from '../../lib/net/relay/relay-rate.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { turns } from '../support/net-peers.ts';

void describe('the budget of a relay', () => {
  void it('counts a byte for both ends, and nothing where either has too few left', () => {
    let max = 1000;
    const budget = new RelayBudget(new FakeTimers(), () => max);
    assert.ok(budget.take(['a', 'b'], 600));
    assert.ok(!budget.take(['b', 'c'], 500));
    assert.deepEqual(
      ['a', 'b', 'c'].map((id) => budget.usedBytes(id)),
      [600, 600, 0],
    );
    assert.ok(budget.take(['c', 'c'], 1000));
    assert.equal(budget.usedBytes('c'), 1000);
    // A changed setting is in force at once.
    max = 2000;
    assert.ok(budget.take(['b', 'c'], 500));
  });

  void it('is used up when no further message fits, and is given anew a day after its first byte', () => {
    const timers = new FakeTimers();
    const budget = new RelayBudget(timers, () => 2 * pipeMessageBytes);
    budget.take(['a'], pipeMessageBytes);
    assert.ok(!budget.isUsedUp('a'));
    timers.advance(budgetMs - 1);
    budget.take(['a'], 1);
    assert.ok(budget.isUsedUp('a'));
    timers.advance(1);
    assert.ok(!budget.isUsedUp('a'));
    assert.equal(budget.usedBytes('a'), 0);
    assert.ok(new RelayBudget(timers, () => 0).isUsedUp('b'));
    assert.ok(!new RelayBudget(timers, () => Number.POSITIVE_INFINITY).isUsedUp('b'));
  });
});

void describe('the rate of a relay', () => {
  /** Messages of 1000 bytes that three pipes send as often as they may, in ms of fake time. */
  async function sent(rate: () => number, ms: number): Promise<string[]> {
    const timers = new FakeTimers();
    const limit = new RelayRate(timers, rate);
    const order: string[] = [];
    const stop = new AbortController();
    const pipe = async (name: string): Promise<void> => {
      while (!stop.signal.aborted) {
        await limit.take(1000);
        order.push(name);
      }
    };
    const pipes = ['a', 'b', 'c'].map(pipe);
    for (let at = 0; at < ms; at += 50) {
      timers.advance(50);
      await turns(20);
    }
    const during = [...order];
    stop.abort();
    limit.close();
    await Promise.all(pipes);
    assert.equal(limit.waiting, 0);
    return during;
  }

  void it('holds over all pipes together, who take turns', async () => {
    const order = await sent(() => 10_000, 10_000);
    // 10 s at ten messages a second, and a quarter of a second's burst.
    assert.ok(order.length >= 100 && order.length <= 104, `${order.length} messages`);
    for (const name of ['a', 'b', 'c']) {
      const count = order.filter((each) => each === name).length;
      assert.ok(Math.abs(count - order.length / 3) <= 1, `${count} of ${name}`);
    }
  });

  void it('lets all go at once without a limit, and heeds a limit that is set later', async () => {
    let rate = Number.POSITIVE_INFINITY;
    const timers = new FakeTimers();
    const limit = new RelayRate(timers, () => rate);
    for (let i = 0; i < 100; i++) await limit.take(1_000_000);
    rate = 1000;
    let late = false;
    const first = limit.take(10_000);
    await first;
    const second = limit.take(1000).then(() => {
      late = true;
    });
    timers.advance(5_000);
    await turns(5);
    assert.ok(!late);
    timers.advance(5_000);
    await second;
    assert.equal(timers.pending, 0);
  });
});
