import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  afterFailure,
  afterSession,
  besideDial,
  dialCountMax,
  dialDelayMsMax,
  dialLimitMs,
  eagerDelayMs,
  eagerMs,
  freshDial,
  freshMsMin,
  afterMove,
  afterOutage,
  identityDialCountMax,
  lastingMs,
  lostSpreadMs,
  nextDueMs,
  pickDue,
} from '../../lib/net/dialling/dial-schedule.ts';
import type { DialState } from '../../lib/net/dialling/dial-schedule.ts';

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

void describe('when to dial', () => {
  void it('is at once beside a session that is doubted, and ever more rarely where it is doubted again and again', () => {
    fc.assert(
      fc.property(fc.array(random, { minLength: 600, maxLength: 600 }), fc.nat(3_000), (draws, takesMs) => {
        let state: DialState | undefined;
        const begunMs: number[] = [];
        // Doubted every three seconds for half an hour.
        for (const [index, draw] of draws.entries()) {
          const nowMs = index * 3_000;
          const before = state;
          state = besideDial(state, nowMs);
          if (state.dueAtMs > nowMs) continue;
          if (before === undefined) assert.equal(state.dueAtMs, nowMs);
          begunMs.push(nowMs);
          state = afterFailure(state, nowMs + takesMs, draw);
        }
        assert.ok(begunMs.length >= 10 && begunMs.length <= 60, `${begunMs.length}`);
      }),
      { numRuns: 20 },
    );
  });

  void it('is at once, about every two seconds for a minute, then ever more rarely, five minutes at most', () => {
    fc.assert(
      fc.property(fc.array(random, { minLength: 60, maxLength: 120 }), fc.nat(10_000), (draws, takesMs) => {
        let nowMs = 500;
        let state = freshDial(nowMs);
        let lateDelayMax = 0;
        assert.equal(state.dueAtMs, nowMs);
        for (const draw of draws) {
          nowMs = state.dueAtMs + takesMs;
          state = afterFailure(state, nowMs, draw);
          const delayMs = state.dueAtMs - nowMs;
          if (nowMs - 500 < eagerMs) {
            assert.ok(Math.abs(delayMs - eagerDelayMs) <= eagerDelayMs / 4, `${delayMs}`);
          } else {
            assert.ok(delayMs >= eagerDelayMs && delayMs <= dialDelayMsMax, `${delayMs}`);
            lateDelayMax = Math.max(lateDelayMax, delayMs);
          }
        }
        assert.ok(lateDelayMax >= dialDelayMsMax / 2);
      }),
    );
  });

  void it('is within a moment after a session that lasted, and by the schedule after one that did not', () => {
    const state: DialState = { sinceMs: 0, attempts: 9, lateAttempts: 7, dueAtMs: 200_000 };
    const endMs = 300_000 + lastingMs;
    assert.equal(afterSession(state, 300_000, endMs, 0).dueAtMs, endMs);
    assert.equal(afterSession(state, 300_000, endMs, 0.5).dueAtMs, endMs + lostSpreadMs / 2);
    assert.ok(afterSession(state, 300_000, 300_000 + lastingMs - 1, 0.5).dueAtMs > 400_000);
  });

  void it('never makes a storm, and leaves nobody out', () => {
    const arbitrary = fc.record({
      seeds: fc.array(random, { minLength: 1, maxLength: 8 }),
      peers: fc.integer({ min: 1, max: 60 }),
    });
    fc.assert(
      fc.property(arbitrary, ({ seeds, peers }) => {
        const waiting = Array.from({ length: peers }, (_, id) => ({
          id,
          // Each third is a device of the same one.
          identity: id % 3 === 0 ? 'many' : `${id}`,
          state: freshDial(0),
          busyUntilMs: -1,
        }));
        const dials = new Map<number, number>();
        let draw = 0;
        for (let nowMs = 0; nowMs < 20 * 60_000; nowMs += 500) {
          for (const peer of waiting) {
            if (peer.busyUntilMs !== nowMs) continue;
            peer.busyUntilMs = -1;
            peer.state = afterFailure(peer.state, nowMs, seeds[draw++ % seeds.length] ?? 0);
          }
          const busy = waiting.filter(({ busyUntilMs }) => busyUntilMs >= 0);
          const idle = waiting.filter(({ busyUntilMs }) => busyUntilMs < 0);
          const underWay = busy.map(({ identity }) => identity);
          const picked = pickDue(idle, nowMs, underWay);
          assert.ok(picked.length + busy.length <= dialCountMax);
          const ofMany = [...busy, ...picked].filter(({ identity }) => identity === 'many');
          assert.ok(ofMany.length <= identityDialCountMax);
          for (const peer of picked) {
            peer.busyUntilMs = nowMs + 2_500;
            dials.set(peer.id, (dials.get(peer.id) ?? 0) + 1);
          }
          // All others have had their first turn before anybody is dialled a second time.
          const others = waiting.filter(({ identity, id }) => identity !== 'many' && !dials.has(id));
          if ([...dials.values()].some((count) => count > 1)) assert.equal(others.length, 0);
        }
        assert.ok([...dials.values()].every((count) => count >= 4));
      }),
      { numRuns: 20 },
    );
  });

  void it('is at once when the peer has moved, as if it were new only once a minute', () => {
    const state: DialState = { sinceMs: 1000, attempts: 9, lateAttempts: 7, dueAtMs: 200_000 };
    assert.deepEqual(afterMove(state, 1000 + freshMsMin - 1), { ...state, dueAtMs: 1000 + freshMsMin - 1 });
    assert.deepEqual(afterMove(state, 1000 + freshMsMin), freshDial(1000 + freshMsMin));
  });

  void it('is soon once the line seems to be there again, and not later than it would have been', () => {
    const state: DialState = { sinceMs: 0, attempts: 9, lateAttempts: 7, dueAtMs: 200_000 };
    const hurried = { ...state, lateAttempts: 0, dueAtMs: 100_300 };
    assert.deepEqual(afterOutage(state, 100_000, 300), hurried);
    assert.equal(afterOutage(state, 199_900, 300).dueAtMs, 200_000);
    // The tries after it are few: 1 in the first four seconds, 2 in the first twelve.
    const again = afterFailure(hurried, 100_300, 0.999);
    assert.ok(again.dueAtMs - 100_300 >= eagerDelayMs);
    assert.ok(afterFailure(again, again.dueAtMs, 0.999).dueAtMs - again.dueAtMs > eagerDelayMs * 2);
  });

  void it('is given up soon at first, and mostly where the peer fell silent', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((attempts) => dialLimitMs(attempts)),
      [2_500, 5_000, 10_000, 10_000],
    );
    const silent = [0, 1, 2, 3, 4].map((attempts) => dialLimitMs(attempts, true));
    assert.deepEqual(silent, [2_500, 2_500, 2_500, 10_000, 2_500]);
    // Four answers of a slow one find room in it, the first dial included, and it stays bounded.
    assert.deepEqual(
      [50, 1_000, 2_000, 6_000].map((usualMs) => dialLimitMs(0, true, usualMs)),
      [2_500, 4_000, 8_000, 10_000],
    );
  });

  void it('knows when somebody is due next', () => {
    const due = (dueAtMs: number): { state: DialState } => ({ state: { ...freshDial(0), dueAtMs } });
    assert.equal(nextDueMs([due(5), due(20), due(12)], 10), 2);
    assert.equal(nextDueMs([due(5)], 10), undefined);
  });
});
