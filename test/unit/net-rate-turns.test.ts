import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { pieceBytesAt, RateBucket } from '../../lib/net/rates/rate-bucket.ts';
import { RateTurns, type RateLane } from '../../lib/net/rates/rate-turns.ts';
import { FakeTimers } from '../support/fake-timers.ts';

void describe('a bucket', () => {
  void it('gives its rate over any time, and a tenth of a second more at most', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10_000, max: 100_000_000 }),
        fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 50 }),
        (rate, steps) => {
          const bucket = new RateBucket(rate, 0);
          const piece = pieceBytesAt(rate);
          let nowMs = 0;
          let taken = 0;
          for (const step of steps) {
            nowMs += step;
            while (bucket.waitMs(nowMs) === 0) {
              bucket.spend(piece, nowMs);
              taken += piece;
            }
            assert.ok(taken <= (rate * (nowMs + 100)) / 1000 + piece);
          }
        },
      ),
    );
  });

  void it('waits no longer than until its debt is paid, and not at all without a rate', () => {
    const bucket = new RateBucket(1000, 0);
    bucket.spend(1100, 0);
    const waitMs = bucket.waitMs(0);
    assert.ok(waitMs >= 1000 && waitMs <= 1001, String(waitMs));
    assert.equal(bucket.waitMs(waitMs), 0);
    const free = new RateBucket(Number.POSITIVE_INFINITY, 0);
    free.spend(1e12, 0);
    assert.equal(free.waitMs(0), 0);
  });

  void it('takes a clock that runs backwards for one that stands still', () => {
    const bucket = new RateBucket(1000, 10_000);
    bucket.spend(1100, 10_000);
    assert.ok(bucket.waitMs(0) >= 1000);
    assert.ok(bucket.waitMs(10_500) <= 501);
  });

  void it('carries what is owed over to another rate in time', () => {
    const bucket = new RateBucket(1000, 0);
    bucket.spend(10_100, 0);
    bucket.setRate(1_000_000, 0);
    assert.ok(Math.abs(bucket.waitMs(0) - 10_000) < 2);
    bucket.setRate(Number.POSITIVE_INFINITY, 0);
    bucket.setRate(1000, 0);
    assert.ok(bucket.waitMs(0) <= 1);
  });
});

/** Takes from a lane without end, a piece at a time; what it has got is counted. */
function drain(lane: RateLane, streams = 1): { bytes: number; isStopped: boolean } {
  const got = { bytes: 0, isStopped: false };
  const run = async (): Promise<void> => {
    while (!got.isStopped) {
      const bytes = lane.pieceBytes;
      await lane.take(bytes, () => !got.isStopped);
      if (!got.isStopped) got.bytes += bytes;
    }
  };
  for (let i = 0; i < streams; i++) void run();
  return got;
}

/** Moves time on in steps, letting promises settle between. */
async function pass(timers: FakeTimers, ms: number): Promise<void> {
  for (let at = 0; at < ms; at++) {
    timers.advance(1);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

void describe('turns', () => {
  void it('let a tenth of a megabyte a second through smoothly', async () => {
    const timers = new FakeTimers();
    const turns = new RateTurns(timers);
    turns.setRate(100_000);
    const got = drain(turns.newLane(), 3);
    await pass(timers, 200);
    for (let tenth = 0; tenth < 10; tenth++) {
      const before = got.bytes;
      await pass(timers, 100);
      assert.ok(Math.abs(got.bytes - before - 10_000) <= 5000, `${got.bytes - before} in 100 ms`);
    }
    got.isStopped = true;
    turns.close();
  });

  void it('share the rate evenly between friends, whatever each has to send at once', async () => {
    const timers = new FakeTimers();
    const turns = new RateTurns(timers);
    turns.setRate(1_000_000);
    const lanes = [turns.newLane(), turns.newLane(), turns.newLane()] as const;
    const got = [drain(lanes[0], 30), drain(lanes[1], 1), drain(lanes[2], 3)] as const;
    await pass(timers, 2000);
    const total = got.reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(total > 1_950_000 && total < 2_200_000, String(total));
    for (const { bytes } of got)
      assert.ok(Math.abs(bytes - total / 3) < 110_000, got.map((each) => each.bytes).join());
    for (const each of got) each.isStopped = true;
    turns.close();
  });

  void it('keep a friend to the friend’s own rate, and give the rest to the others', async () => {
    const timers = new FakeTimers();
    const turns = new RateTurns(timers);
    turns.setRate(1_000_000);
    const slow = turns.newLane();
    slow.setRate(100_000);
    const got = [drain(slow), drain(turns.newLane())] as const;
    await pass(timers, 2000);
    assert.ok(got[0].bytes > 180_000 && got[0].bytes < 230_000, String(got[0].bytes));
    assert.ok(got[1].bytes > 1_700_000 && got[1].bytes < 2_000_000, String(got[1].bytes));
    for (const each of got) each.isStopped = true;
    turns.close();
  });

  void it('let all go at once when the rate is taken away, and what is no longer wanted without counting it', async () => {
    const timers = new FakeTimers();
    const turns = new RateTurns(timers);
    turns.setRate(10_000);
    const lane = turns.newLane();
    const first = lane.take(1, () => true);
    let isWanted = true;
    const dropped = lane.take(1_000_000, () => isWanted);
    const last = lane.take(5, () => true);
    isWanted = false;
    turns.setRate(Number.POSITIVE_INFINITY);
    await Promise.all([first, dropped, last]);
    assert.equal(lane.spentBytes, 6);
    assert.equal(
      lane.take(1e9, () => true),
      undefined,
    );
    assert.equal(timers.pending, 0);
  });

  void it('leave no timer, and nobody waiting, when closed', async () => {
    const timers = new FakeTimers();
    const turns = new RateTurns(timers);
    turns.setRate(10_000);
    const lane = turns.newLane();
    const all = [1, 2, 3].map(async () => {
      await lane.take(100_000, () => true);
    });
    turns.close();
    await Promise.all(all);
    assert.equal(timers.pending, 0);
    assert.equal(
      lane.take(1e9, () => true),
      undefined,
    );
  });
});
