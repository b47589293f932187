import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { WriterQueue, type WriterTurn } from '../../lib/daemon/operations.ts';
import { operationKinds } from '../../lib/vault/operation-kinds.ts';
import { gate } from '../support/fake-vault.ts';

function turn(name: string, more: Partial<WriterTurn> = {}): WriterTurn {
  return { name, signal: new AbortController().signal, background: false, ...more };
}

/** Lets everything run that is ready to. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('writers taking turns', () => {
  it('works one after another, in the order they came, also after a failure', async () => {
    const queue = new WriterQueue();
    const order: string[] = [];
    let atWork = 0;
    const waited: string[] = [];
    const jobs = ['a', 'b', 'c', 'd'].map((name) =>
      queue.run(turn(name, { onWaiting: (running) => waited.push(`${name} for ${running}`) }), async () => {
        assert.equal(++atWork, 1);
        await settled();
        atWork--;
        order.push(name);
        if (name === 'b') throw new Error('failed');
        return name;
      }),
    );
    const results = await Promise.allSettled(jobs);
    assert.deepEqual(order, ['a', 'b', 'c', 'd']);
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
    );
    assert.deepEqual(waited, ['b for a', 'c for a', 'd for a']);
    assert.equal(queue.busy, false);
  });

  it('leaves the line when the signal fires, and is not begun', async () => {
    const queue = new WriterQueue();
    const first = gate();
    const running = queue.run(turn('a'), () => first.passed);
    const controller = new AbortController();
    const never = queue.run(turn('b', { signal: controller.signal }), () => assert.fail('was begun'));
    const last = queue.run(turn('c'), () => Promise.resolve('c'));
    controller.abort();
    await assert.rejects(never, (error) => isKithError(error, 'interrupted'));
    first.open();
    await running;
    assert.equal(await last, 'c');
    const aborted = queue.run(turn('d', { signal: controller.signal }), () => assert.fail('was begun'));
    await assert.rejects(aborted, (error) => isKithError(error, 'interrupted'));
  });

  it('makes what runs in the background give way, and lets it wait for all users', async () => {
    const queue = new WriterQueue();
    const order: string[] = [];
    const background = queue.run(turn('tidy', { background: true }), async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      order.push('gave way');
      throw signal.reason;
    });
    await settled();
    assert.equal(queue.busy, false);
    const again = queue.run(turn('tidy again', { background: true }), (signal) => {
      assert.equal(signal.aborted, false);
      order.push('tidied');
      return Promise.resolve();
    });
    const users = ['a', 'b'].map((name) =>
      queue.run(turn(name), async (signal) => {
        assert.equal(queue.busy, true);
        await settled();
        assert.equal(signal.aborted, false);
        order.push(name);
      }),
    );
    await assert.rejects(background, (error) => isKithError(error, 'interrupted'));
    await Promise.all([...users, again]);
    assert.deepEqual(order, ['gave way', 'a', 'b', 'tidied']);
  });

  it('lets so many wait and no more', async () => {
    const queue = new WriterQueue();
    const first = gate();
    const all = Array.from({ length: 65 }, () => queue.run(turn('x'), () => first.passed));
    await assert.rejects(
      queue.run(turn('one more'), () => Promise.resolve()),
      (error) => isKithError(error, 'limit-exceeded'),
    );
    first.open();
    await Promise.all(all);
  });

  it('knows of every method whether it writes', () => {
    const writers = Object.entries(operationKinds).flatMap(([name, kind]) =>
      kind === 'write' ? [name] : [],
    );
    assert.deepEqual(writers.sort(), [
      'accept',
      'backup',
      'configSet',
      'deviceLinkFinish',
      'deviceRevoke',
      'driveAdd',
      'driveRemove',
      'friendAdd',
      'friendRemove',
      'friendSet',
      'invite',
      'inviteWithdraw',
      'reachabilityAsked',
      'repair',
    ]);
  });
});
