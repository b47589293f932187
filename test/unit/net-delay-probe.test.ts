import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DelayProbe, probeMs } from '../../lib/net/rates/delay-probe.ts';
import { SessionFlow } from '../../lib/net/sessions/session-flow.ts';
import { noLimits, Shaper } from '../../lib/net/rates/shaper.ts';
import { FakeTimers } from '../support/fake-timers.ts';

/** A probe whose pings are answered after so many ms of fake time, and bulk that goes out. */
function probing(): {
  timers: FakeTimers;
  shaper: Shaper;
  probe: DelayProbe;
  line: { answerMs: number; pings: number };
  pass: (ms: number, bytesPerMs: number) => Promise<void>;
} {
  const timers = new FakeTimers();
  const shaper = new Shaper(timers);
  shaper.setLimits({ ...noLimits, upload: 'auto' });
  const lanes = shaper.join('b0b');
  const line = { answerMs: 20, pings: 0 };
  const probe = new DelayProbe({
    timers,
    lanes,
    ping: (signal) =>
      new Promise((resolve, reject) => {
        line.pings++;
        timers.after(line.answerMs, resolve);
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
    onHeard: () => shaper.adjust('b0b'),
  });
  const pass = async (ms: number, bytesPerMs: number): Promise<void> => {
    for (let at = 0; at < ms; at += 10) {
      if (bytesPerMs > 0) {
        lanes.out.spend(bytesPerMs * 10);
        probe.moved();
      }
      timers.advance(10);
      await nextTurn();
    }
  };
  return { timers, shaper, probe, line, pass };
}

void describe('a probe of delay', () => {
  void it('asks while bulk goes out, and leaves nothing behind a second later', async () => {
    const { timers, line, pass } = probing();
    assert.equal(line.pings, 0);
    await pass(2000, 1000);
    assert.ok(Math.abs(line.pings - 2000 / probeMs) <= 1, `${line.pings} pings`);
    const { pings } = line;
    await pass(2000, 0);
    assert.ok(line.pings <= pings + 6, `${line.pings - pings} pings for nothing`);
    assert.equal(timers.pending, 0);
  });

  void it('slows a friend whose answers come late, and no other', async () => {
    const { shaper, line, pass } = probing();
    const other = shaper.join('ann');
    await pass(3000, 1000);
    const lanes = shaper.join('b0b');
    assert.equal(lanes.out.rate, Number.POSITIVE_INFINITY);
    line.answerMs = 190;
    await pass(2000, 1000);
    assert.ok(lanes.out.rate < 900_000, String(lanes.out.rate));
    assert.equal(other.out.rate, Number.POSITIVE_INFINITY);
  });

  void it('counts an answer that hasn’t come yet', async () => {
    const { shaper, line, pass } = probing();
    await pass(3000, 1000);
    line.answerMs = 5000;
    await pass(2000, 1000);
    assert.ok(shaper.join('b0b').out.rate < Number.POSITIVE_INFINITY);
  });

  void it('lifts what it has found when the setting is another', async () => {
    const { shaper, line, pass } = probing();
    await pass(3000, 1000);
    line.answerMs = 190;
    await pass(2000, 1000);
    shaper.setLimits({ ...noLimits, upload: 5_000_000 });
    assert.equal(shaper.join('b0b').out.rate, 5_000_000);
  });

  void it('ends with its session', async () => {
    const { timers, probe, line, pass } = probing();
    line.answerMs = 50;
    await pass(200, 1000);
    probe.end();
    timers.advance(60);
    await nextTurn();
    assert.equal(timers.pending, 0);
  });
});

void describe('the flow of a session', () => {
  const pingsOf = (address: string, upload: 'auto' | number): number => {
    const timers = new FakeTimers();
    const shaper = new Shaper(timers);
    shaper.setLimits({ ...noLimits, upload });
    const flow = new SessionFlow(shaper, timers);
    let pings = 0;
    flow.bind('b0b', address, () => {
      pings++;
      return Promise.resolve();
    });
    void flow.send(1000, () => true);
    flow.end();
    shaper.close();
    return pings;
  };

  void it('asks only where it may yield: on a line, with auto', () => {
    assert.equal(pingsOf('192.0.2.1:4000', 'auto'), 1);
    assert.equal(pingsOf('[2001:db8::1]:4000', 'auto'), 1);
    assert.equal(pingsOf('192.0.2.1:4000', 1_000_000), 0);
    for (const address of ['127.0.0.1:1', '[::1]:4000', '::ffff:127.0.0.1:3']) {
      assert.equal(pingsOf(address, 'auto'), 0, address);
    }
  });
});
