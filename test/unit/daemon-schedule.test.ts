import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RepairSchedule, hourMs } from '../../lib/daemon/schedule.ts';

describe('when the daemon repairs by itself', () => {
  it('looks every hour, and soon after a holder came back or something waits', () => {
    const schedule = new RepairSchedule(undefined, 0);
    assert.equal(schedule.waitMs(0), hourMs);
    assert.equal(schedule.waitMs(hourMs + 5), 0);
    schedule.ended(true, 2 * hourMs);
    assert.equal(schedule.waitMs(2 * hourMs), hourMs);
    assert.equal(schedule.seen('a', true, 2 * hourMs + 10), true);
    assert.equal(schedule.waitMs(2 * hourMs + 10), 59_990, 'a minute after the last repair, not at once');
    assert.equal(schedule.seen('a', true, 2 * hourMs + 500), false);
    assert.equal(schedule.seen('b', true, 2 * hourMs + 120_000), true);
    schedule.ended(true, 2 * hourMs + 120_000);
    schedule.seen('b', false, 2 * hourMs + 130_000);
    assert.equal(schedule.seen('b', true, 2 * hourMs + 300_000), true);
    assert.equal(schedule.waitMs(2 * hourMs + 300_000), 1000);
    schedule.ended(true, 3 * hourMs);
    schedule.request(3 * hourMs);
    assert.equal(schedule.waitMs(3 * hourMs), 1000);
  });

  it('is due a grace after a holder went away, and again ever more seldom while it stays away', () => {
    const schedule = new RepairSchedule(8000, 0);
    assert.equal(schedule.pollMs, 2000);
    schedule.seen('a', true, 0);
    schedule.ended(true, 0);
    schedule.seen('a', false, 1000);
    assert.equal(schedule.seen('a', false, 3000), false, 'it is no news that it is away');
    assert.equal(schedule.waitMs(1000), 8000);
    assert.equal(schedule.waitMs(9000), 0);
    const gaps: number[] = [];
    for (let now = 9000; gaps.length < 5;) {
      schedule.ended(true, now);
      gaps.push(schedule.waitMs(now));
      now += schedule.waitMs(now);
    }
    assert.deepEqual(gaps, [2000, 4000, 8000, 16_000, 32_000]);
  });

  it('forgets an absence when the holder comes back or is none any more', () => {
    const schedule = new RepairSchedule(5000, 0);
    schedule.seen('a', false, 0);
    schedule.seen('b', false, 0);
    schedule.gone('b');
    assert.equal(schedule.waitMs(0), 5000);
    schedule.seen('a', true, 3000);
    assert.equal(schedule.waitMs(3000), 1000);
    schedule.ended(true, 4000);
    assert.equal(schedule.waitMs(4000), hourMs);
  });

  it('counts by a changed grace at once, from the beginning of each absence', () => {
    const schedule = new RepairSchedule(undefined, 0);
    schedule.seen('a', false, 0);
    assert.equal(schedule.waitMs(10_000), hourMs - 10_000);
    schedule.setGrace(12_000);
    assert.equal(schedule.waitMs(10_000), 2000);
    schedule.setGrace(60_000);
    assert.equal(schedule.waitMs(10_000), 50_000);
    schedule.setGrace(undefined);
    assert.equal(schedule.waitMs(10_000), hourMs - 10_000);
  });

  it('tries again after a failure, later each time, up to an hour', () => {
    const schedule = new RepairSchedule(undefined, 0);
    const gaps = Array.from({ length: 9 }, () => {
      schedule.ended(false, 0);
      return schedule.waitMs(0) / 60_000;
    });
    assert.deepEqual(gaps, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    schedule.ended(true, 0);
    schedule.ended(false, 0);
    assert.equal(schedule.waitMs(0), 60_000);
  });

  it('never polls more often than every second, nor less often than every hour', () => {
    assert.equal(new RepairSchedule(1, 0).pollMs, 1000);
    assert.equal(new RepairSchedule(30 * 24 * hourMs, 0).pollMs, hourMs);
  });
});
