import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { forgottenMs, offenceMsMax, offenceMsMin, Offences } from '../../lib/net/offences.ts';
import { noise } from '../support/noise.ts';

void describe('offences', () => {
  const key = noise(1, 32);

  void it('wait twice as long each time, up to a limit, and are forgotten', () => {
    const offences = new Offences();
    let nowMs = 1_000;
    assert.equal(offences.leftMs(key, nowMs), 0);
    for (let waitMs = offenceMsMin; waitMs < offenceMsMax; waitMs *= 2) {
      assert.equal(offences.note(key, nowMs), waitMs);
      assert.equal(offences.leftMs(key, nowMs), waitMs);
      nowMs += waitMs;
      assert.equal(offences.leftMs(key, nowMs), 0);
    }
    for (let again = 0; again < 40; again++) {
      assert.equal(offences.note(key, nowMs), offenceMsMax);
      nowMs += offenceMsMax;
    }
    assert.equal(offences.note(key, nowMs + forgottenMs), offenceMsMin);
  });

  void it('in a crowd count once, and each key by itself', () => {
    const offences = new Offences();
    assert.equal(offences.note(key, 0), offenceMsMin);
    assert.equal(offences.note(key, 1), undefined);
    assert.equal(offences.leftMs(key, 1), offenceMsMin - 1);
    assert.equal(offences.leftMs(noise(2, 32), 1), 0);
    assert.equal(offences.note(noise(2, 32), 1), offenceMsMin);
  });

  void it('of more keys than can be friends the oldest are forgotten', () => {
    const offences = new Offences();
    for (let number = 0; number < 3_000; number++) offences.note(noise(number, 32), 0);
    assert.equal(offences.leftMs(noise(0, 32), 0), 0);
    assert.equal(offences.leftMs(noise(2_999, 32), 0), offenceMsMin);
  });
});
