import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  afterAsk,
  afterTry,
  askDelayMs,
  askDelayMsMax,
  askedAtOnceMax,
  askGraceMs,
  freshAsk,
  pickAsked,
  pickMissing,
} from '../../lib/trust/ask-schedule.ts';

describe('when friends are asked for others', () => {
  it('is after a moment, or at once when a dial was in vain', () => {
    const fresh = freshAsk(1000);
    assert.equal(fresh.dueAtMs, 1000 + askGraceMs);
    assert.equal(afterTry(fresh, 1100).dueAtMs, 1100);
    const asked = afterAsk(fresh, 1100, 0);
    assert.equal(afterTry(asked, 1200), asked, 'a later dial in vain changes nothing');
  });

  it('is ever more seldom', () => {
    let state = freshAsk(0);
    const delays: number[] = [];
    for (let i = 0; i < 10; i++) {
      state = afterAsk(state, 0, 0);
      delays.push(state.dueAtMs);
    }
    assert.deepEqual(delays.slice(0, 4), [askDelayMs, 2 * askDelayMs, 4 * askDelayMs, 8 * askDelayMs]);
    assert.equal(delays.at(-1), askDelayMsMax);
    assert.equal(afterAsk(state, 0, 0.999_999).dueAtMs, Math.round(askDelayMsMax * (1 - 0.5 * 0.999_999)));
    for (let i = 0; i < 5000; i++) state = afterAsk(state, 0, 0);
    assert.equal(state.dueAtMs, askDelayMsMax);
  });

  it('takes along who was asked for before, not who has just gone', () => {
    const one = (id: string, asks: number, dueAtMs: number) => ({ id, state: { asks, dueAtMs } });
    const all = [one('later', 2, 900), one('gone', 0, 600), one('due', 0, 400), one('longest', 1, 100)];
    const ids = (max: number): string[] => pickMissing(all, 500, max).map(({ id }) => id);
    assert.deepEqual(ids(64), ['longest', 'due', 'later']);
    assert.deepEqual(ids(2), ['longest', 'due']);
  });

  it('goes round among those who are here', () => {
    const here = Array.from({ length: 20 }, (_, id) => ({ id, askedAtMs: id < 5 ? undefined : 100 - id }));
    const picked = pickAsked(here).map(({ id }) => id);
    assert.equal(picked.length, askedAtOnceMax);
    assert.deepEqual(picked, [0, 1, 2, 3, 4, 19, 18, 17]);
  });
});
