import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import * as fc from 'fast-check';
import {
  forEachLimited,
  mapLimited,
  Semaphore,
  SharedWork,
  TaskSet,
  throwIfAborted,
} from '../../lib/base/concurrency.ts';
import { isKithError } from '../../lib/base/errors.ts';

/** Lets everything that can go on without outside help go on. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Work that ends when it is told to. */
class Gate {
  readonly passed: Promise<void>;
  #open: () => void = () => {};

  constructor() {
    this.passed = new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open();
  }
}

void describe('forEachLimited', () => {
  void it('runs each item once, in order of beginning, never more than the limit at a time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(3), { maxLength: 30 }),
        fc.integer({ min: 1, max: 8 }),
        async (turns, limit) => {
          const begun: number[] = [];
          let running = 0;
          let most = 0;
          await forEachLimited(turns, limit, async (turn, index) => {
            begun.push(index);
            most = Math.max(most, ++running);
            for (let i = 0; i < turn; i++) await Promise.resolve();
            running--;
          });
          assert.deepEqual(
            begun,
            turns.map((_, i) => i),
          );
          assert.ok(most <= limit);
          assert.equal(running, 0);
        },
      ),
      { numRuns: 50 },
    );
  });

  void it('does work at the same time', async () => {
    const gate = new Gate();
    let begun = 0;
    const all = forEachLimited([1, 2, 3], 2, async () => {
      begun++;
      await gate.passed;
    });
    await settle();
    assert.equal(begun, 2);
    gate.open();
    await all;
    assert.equal(begun, 3);
  });

  void it('a limit that is no number still means that the work is done', async () => {
    for (const limit of [Number.NaN, 0, -3, 0.5]) {
      let done = 0;
      await forEachLimited([1, 2], limit, async () => void done++);
      assert.equal(done, 2, String(limit));
    }
  });

  void it('after a failure begins nothing more, and throws once the rest has ended', async () => {
    const gate = new Gate();
    const begun: number[] = [];
    let ended = false;
    const all = forEachLimited([0, 1, 2, 3], 2, async (item) => {
      begun.push(item);
      if (item === 0) throw new Error('first');
      await gate.passed;
      ended = true;
      throw new Error('second');
    });
    let outcome: unknown;
    const watched = all.catch((error: unknown) => (outcome = error));
    await settle();
    assert.equal(outcome, undefined, 'thrown while work was under way');
    gate.open();
    await watched;
    assert.ok(ended);
    assert.match(String(outcome), /first/);
    assert.deepEqual(begun, [0, 1]);
  });

  void it('an iterator that throws counts as a failure like any other', async () => {
    const gate = new Gate();
    let ended = false;
    function* items(): Generator<number> {
      yield 0;
      throw new Error('no more');
    }
    let outcome: unknown;
    const watched = forEachLimited(items(), 2, async () => {
      await gate.passed;
      ended = true;
    }).catch((error: unknown) => (outcome = error));
    await settle();
    assert.equal(outcome, undefined, 'thrown while work was under way');
    gate.open();
    await watched;
    assert.ok(ended);
    assert.match(String(outcome), /no more/);
  });
});

void describe('mapLimited', () => {
  void it('gives results in the order of the input, whichever ends first', async () => {
    const gate = new Gate();
    const results = mapLimited(['a', 'b', 'c'], 3, async (item, index) => {
      if (index === 0) await gate.passed;
      else if (index === 2) gate.open();
      return item + index;
    });
    assert.deepEqual(await results, ['a0', 'b1', 'c2']);
    assert.deepEqual(await mapLimited([], 3, () => Promise.resolve(1)), []);
  });
});

void describe('TaskSet', () => {
  void it('wakes all who wait when one task ends, well or not, and at once when there is none', async () => {
    const tasks = new TaskSet();
    await tasks.oneEnded();
    const ends: (() => void)[] = [];
    tasks.add(new Promise<void>((resolve) => ends.push(resolve)));
    tasks.add(new Promise((_, reject) => ends.push(() => reject(new Error('dropped')))));
    let woken = 0;
    for (let i = 0; i < 3; i++) void tasks.oneEnded().then(() => woken++);
    await settle();
    assert.equal(woken, 0);
    ends[1]?.();
    await settle();
    assert.equal(woken, 3);
    assert.equal(tasks.size, 1);
    let all = false;
    const ended = tasks.allEnded().then(() => (all = true));
    await settle();
    assert.ok(!all);
    ends[0]?.();
    await ended;
    assert.equal(tasks.size, 0);
  });

  void it('leaves nothing behind at a task that goes on, however often others end', async () => {
    const tasks = new TaskSet();
    const long = new Promise<void>(() => {});
    const listened = mock.method(long, 'then');
    tasks.add(long);
    for (let i = 0; i < 100; i++) {
      const ended = tasks.oneEnded();
      tasks.add(Promise.resolve());
      await ended;
    }
    assert.equal(listened.mock.callCount(), 1);
    assert.equal(tasks.size, 1);
  });
});

void describe('Semaphore', () => {
  void it('serves in order, and a permit given back twice counts once', async () => {
    const semaphore = new Semaphore(1);
    const served: string[] = [];
    const release = await semaphore.acquire();
    const first = semaphore.acquire().then((give) => (served.push('first'), give));
    const second = semaphore.acquire().then((give) => (served.push('second'), give));
    await settle();
    assert.deepEqual(served, []);
    release();
    release();
    await settle();
    assert.deepEqual(served, ['first']);
    (await first)();
    (await second)();
    assert.deepEqual(served, ['first', 'second']);
  });

  void it('run gives the permit back when the work fails', async () => {
    const semaphore = new Semaphore(1);
    await assert.rejects(
      semaphore.run(() => Promise.reject(new Error('work'))),
      /work/,
    );
    assert.equal(await semaphore.run(() => Promise.resolve(5)), 5);
  });
});

void describe('throwIfAborted', () => {
  void it('throws interrupted once the signal has fired', () => {
    const controller = new AbortController();
    throwIfAborted(undefined);
    throwIfAborted(controller.signal);
    controller.abort();
    assert.throws(
      () => throwIfAborted(controller.signal),
      (error) => isKithError(error, 'interrupted'),
    );
  });
});

void describe('SharedWork', () => {
  void it('gives each caller a run that began after it asked, and all who ask meanwhile the same one', async () => {
    const gates: Gate[] = [];
    const shared = new SharedWork(async () => {
      const number = gates.length;
      const gate = new Gate();
      gates.push(gate);
      await gate.passed;
      return number;
    });
    assert.ok(shared.idle);
    const first = shared.run();
    assert.equal(gates.length, 1, 'the first begins at once');
    const others = [shared.run(), shared.run()];
    await settle();
    assert.equal(gates.length, 1, 'one at a time');
    gates[0]?.open();
    assert.equal(await first, 0);
    await settle();
    assert.equal(gates.length, 2);
    const late = shared.run();
    gates[1]?.open();
    assert.deepEqual(await Promise.all(others), [1, 1]);
    await settle();
    gates[2]?.open();
    assert.equal(await late, 2);
    assert.ok(shared.idle);
    const again = shared.run();
    gates[3]?.open();
    assert.equal(await again, 3);
  });

  void it('tells an error to those of its run only', async () => {
    const results = [new Error('first'), undefined, new Error('third')];
    const shared = new SharedWork(async () => {
      const result = results.shift();
      await settle();
      if (result !== undefined) throw result;
    });
    const first = shared.run();
    const second = [shared.run(), shared.run()];
    await assert.rejects(first, /first/);
    await Promise.all(second);
    const third = shared.run();
    const fourth = shared.run();
    await assert.rejects(third, /third/);
    await fourth;
  });
});
