import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  betterLastsMs,
  secondDelayMs,
  upgradeDelayMs,
  upgradeDelayMsMax,
  Upgrader,
} from '../../lib/net/dialling/upgrader.ts';
import { FakeTimers } from '../support/fake-timers.ts';
import { noAnswer, turns } from '../support/net-peers.ts';
import { noise } from '../support/noise.ts';

const device = noise(1, 32);

function upgrader(dial: (signal: AbortSignal) => Promise<void> = () => Promise.resolve(), goesFirst = true) {
  const timers = new FakeTimers();
  const triedAtMs: number[] = [];
  const made = new Upgrader({
    timers,
    random: () => 0.999,
    goesFirst: () => goesFirst,
    dial: (_device, _attempts, signal) => {
      triedAtMs.push(timers.nowMs());
      return dial(signal);
    },
  });
  const pass = async (ms: number, stepMs = 1_000): Promise<void> => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      timers.advance(stepMs);
      await turns(2);
    }
  };
  return { made, timers, triedAtMs, pass };
}

void describe('the search for a better way than a relay', () => {
  void it('begins soon, becomes ever rarer, and ends with a better session', async () => {
    const { made, timers, triedAtMs, pass } = upgrader();
    made.opened(device, true);
    await pass(3600_000);
    const gapsMs = triedAtMs.map((atMs, index) => atMs - (triedAtMs[index - 1] ?? 0));
    assert.equal(gapsMs[0], upgradeDelayMs);
    assert.ok(gapsMs.every((gapMs, index) => gapMs >= (gapsMs[index - 1] ?? 0) - 2_000));
    assert.ok(gapsMs.every((gapMs) => gapMs <= upgradeDelayMsMax + 1_000));
    assert.ok(triedAtMs.length < 22, `${triedAtMs.length} tries in an hour`);
    const count = triedAtMs.length;
    made.opened(device, false);
    await pass(upgradeDelayMsMax * 2, 10_000);
    assert.equal(triedAtMs.length, count);
    assert.equal(timers.pending, 0);
    await made.close();
  });

  void it('does not go back at once to a better way that did not last', async () => {
    const { made, triedAtMs, pass } = upgrader();
    // A way that opens and dies after nine seconds, again and again.
    for (let flap = 0; flap < 60; flap++) {
      made.opened(device, true);
      const before = triedAtMs.length;
      for (let waited = 0; waited < 40 && triedAtMs.length === before; waited++) await pass(1_000);
      made.opened(device, false);
      await pass(9_000);
    }
    assert.ok(triedAtMs.length < 20, `${triedAtMs.length} tries`);
    // One that lasted is worth a try at once.
    made.opened(device, false);
    await pass(betterLastsMs, 10_000);
    const count = triedAtMs.length;
    made.opened(device, true);
    await pass(upgradeDelayMs);
    assert.equal(triedAtMs.length, count + 1);
    await made.close();
  });

  void it('calls a try off when the session ends, and when all is closed', async () => {
    const { made, triedAtMs, pass } = upgrader(noAnswer);
    made.opened(device, true);
    await pass(upgradeDelayMs);
    assert.equal(triedAtMs.length, 1);
    made.ended(device);
    made.opened(device, true);
    await pass(upgradeDelayMs);
    assert.equal(triedAtMs.length, 2);
    await made.close();
  });

  void it('is begun by one of the two sides', async () => {
    const { made, triedAtMs, pass } = upgrader(undefined, false);
    made.opened(device, true);
    await pass(secondDelayMs);
    assert.deepEqual(triedAtMs, [secondDelayMs]);
    await made.close();
  });

  void it('tries two devices at a time', async () => {
    const { made, triedAtMs, pass } = upgrader(noAnswer);
    for (let number = 0; number < 5; number++) made.opened(noise(number, 32), true);
    await pass(60_000);
    assert.equal(triedAtMs.length, 2);
    made.ended(noise(0, 32));
    await turns(5);
    assert.equal(triedAtMs.length, 3);
    await made.close();
  });

  void it('begins anew where a device names other addresses, once a minute', async () => {
    const { made, triedAtMs, pass } = upgrader();
    const named = (port: number): void =>
      made.update([
        {
          identity: device,
          deviceId: device,
          endpoints: [{ host: '10.0.0.1', port, direct: true, dht: true }],
        },
      ]);
    made.opened(device, true);
    named(1);
    await pass(1800_000);
    const count = triedAtMs.length;
    for (let port = 2; port < 12; port++) {
      named(port);
      await pass(upgradeDelayMs);
    }
    assert.ok(triedAtMs.length > count && triedAtMs.length <= count + 3, `${triedAtMs.length - count} tries`);
    await made.close();
  });
});
