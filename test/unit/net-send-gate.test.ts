import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KithError } from '../../lib/base/errors.ts';
import { SendGate, stuckMsMax } from '../../lib/net/calls/send-gate.ts';
import { FakeTimers } from '../support/fake-timers.ts';

void describe('the gate before a stream', () => {
  void it('lets one message through at a time while the stream is full, in order', async () => {
    const gate = new SendGate(new FakeTimers(), () => assert.fail());
    const written: number[] = [];
    const write = (number: number) => (): boolean => {
      written.push(number);
      return false;
    };
    const all = [1, 2, 3].map((number) => gate.send(write(number)));
    assert.deepEqual(written, [1]);
    assert.equal(gate.waiting, 2);
    gate.drained();
    assert.deepEqual(written, [1, 2]);
    gate.drained();
    gate.drained();
    await Promise.all(all);
    assert.deepEqual(written, [1, 2, 3]);
  });

  void it('passes on what a writer throws, and goes on', async () => {
    const gate = new SendGate(new FakeTimers(), () => assert.fail());
    await assert.rejects(
      gate.send(() => {
        throw new Error('no longer wanted');
      }),
      /no longer wanted/,
    );
    await gate.send(() => true);
  });

  void it('tells of a stream that takes nothing while something waits, and only then', async () => {
    const timers = new FakeTimers();
    let stuck = 0;
    const gate = new SendGate(timers, () => stuck++);
    await gate.send(() => false);
    timers.advance(10 * stuckMsMax);
    assert.equal(stuck, 0);
    const waiting = gate.send(() => false);
    timers.advance(stuckMsMax - 1);
    gate.drained();
    await waiting;
    const more = gate.send(() => true);
    timers.advance(stuckMsMax);
    assert.equal(stuck, 1);
    gate.end(new KithError('holder-unavailable', 'over'));
    await assert.rejects(more, /over/);
    await assert.rejects(
      gate.send(() => true),
      /over/,
    );
    assert.equal(timers.pending, 0);
  });
});
