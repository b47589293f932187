import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AutoRate, autoRateMin, delayTargetMs } from '../../lib/net/rates/auto-rate.ts';
import { DelayMeter } from '../../lib/net/rates/delay-meter.ts';

/** A line with one queue that all who send share, and one who asks every 200 ms how long it takes. */
class Line {
  readonly auto = new AutoRate();
  readonly #meter = new DelayMeter();
  /** Bytes a second. */
  capacity: number;
  /** What others send into the same queue, bytes a second. */
  others = 0;
  readonly baseMs: number;
  #nowMs = 0;
  #queue = 0;
  #sent = 0;
  /** What our own socket takes before it says that it is full. */
  readonly #bufferBytes: number;
  delays: number[] = [];
  sentInAll = 0;
  ratesSeen: number[] = [];
  /** Makes each answer later by so many ms: a computer that is busy. */
  jitter: () => number = () => 0;
  demand = Number.POSITIVE_INFINITY;

  constructor(capacity: number, baseMs: number, bufferBytes = 4e6) {
    this.capacity = capacity;
    this.baseMs = baseMs;
    this.#bufferBytes = bufferBytes;
  }

  /** Runs for so long; the mean of what we sent, bytes a second. */
  run(ms: number): number {
    this.delays = [];
    const before = this.sentInAll;
    for (let at = 0; at < ms; at += 10) this.#step();
    return ((this.sentInAll - before) / ms) * 1000;
  }

  #step(): void {
    this.#nowMs += 10;
    this.#queue = Math.max(0, this.#queue - this.capacity / 100);
    this.#queue += this.others / 100;
    const wanted = Math.min(this.auto.rate, this.demand) / 100;
    const ours = Math.max(0, Math.min(wanted, this.#bufferBytes - this.#queue));
    this.#queue += ours;
    this.#sent += ours;
    this.sentInAll += ours;
    if (this.#nowMs % 200 !== 0) return;
    const queueMs = (this.#queue / this.capacity) * 1000;
    this.delays.push(queueMs);
    const delayMs = this.#meter.measured(this.#nowMs, this.baseMs + queueMs + this.jitter());
    if (delayMs !== undefined)
      this.auto.heard({ nowMs: this.#nowMs, elapsedMs: 200, delayMs, sentBytes: this.#sent });
    this.#sent = 0;
    this.ratesSeen.push(this.auto.rate);
  }
}

/** Learns the base before anything is sent. */
function quietStart(line: Line): void {
  line.demand = 0;
  line.run(1000);
  line.demand = Number.POSITIVE_INFINITY;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

void describe('a rate that yields by itself', () => {
  for (const [capacity, baseMs] of [
    [250_000, 30],
    [1_250_000, 20],
    [12_500_000, 15],
  ] as const) {
    void it(`settles near what a line of ${capacity / 1000} kB/s bears, without filling its queue`, () => {
      const line = new Line(capacity, baseMs, Math.min(4e6, 4 * capacity));
      quietStart(line);
      line.run(30_000);
      const sent = line.run(60_000);
      assert.ok(sent > 0.8 * capacity, `${sent} of ${capacity}`);
      assert.ok(mean(line.delays) < 1.5 * delayTargetMs, `${mean(line.delays)} ms`);
      assert.ok(Math.max(...line.delays) < 6 * delayTargetMs, `${Math.max(...line.delays)} ms`);
    });
  }

  void it('leaves the line to others who need it, and comes back when they are gone', () => {
    const line = new Line(1_250_000, 20);
    quietStart(line);
    line.run(30_000);
    line.others = 900_000;
    line.run(10_000);
    const beside = line.run(30_000);
    assert.ok(beside < 420_000 && beside > 150_000, `${beside} beside 900 kB/s`);
    assert.ok(mean(line.delays) < 1.5 * delayTargetMs, `${mean(line.delays)} ms`);
    line.others = 0;
    line.run(20_000);
    const alone = line.run(30_000);
    assert.ok(alone > 1_000_000, `${alone} alone again`);
  });

  void it('goes down to its least beside somebody who fills the queue whatever we do, and no further', () => {
    const line = new Line(1_250_000, 20, 1e9);
    quietStart(line);
    line.others = 1_400_000;
    line.run(20_000);
    assert.equal(line.auto.rate, autoRateMin);
  });

  void it('takes up a line that has become faster', () => {
    const line = new Line(1_250_000, 20);
    quietStart(line);
    line.run(30_000);
    line.capacity = 12_500_000;
    line.run(90_000);
    assert.ok(line.run(20_000) > 9_000_000);
  });

  void it('never slows where no delay is', () => {
    const line = new Line(1e9, 0.3);
    line.demand = 500e6;
    line.run(60_000);
    assert.ok(line.ratesSeen.every((rate) => rate === Number.POSITIVE_INFINITY));
  });

  void it('isn’t slowed by a computer that is late now and then', () => {
    const line = new Line(1e9, 0.3);
    let tick = 0;
    line.demand = 500e6;
    line.jitter = () => (tick++ % 3 === 0 ? 0 : 300);
    line.run(60_000);
    assert.ok(line.ratesSeen.every((rate) => rate === Number.POSITIVE_INFINITY));
  });

  void it('forgets a limit after half a minute in which little is sent and nothing waits', () => {
    const line = new Line(1_250_000, 20);
    quietStart(line);
    line.run(20_000);
    assert.ok(line.auto.rate < Number.POSITIVE_INFINITY);
    line.demand = 1000;
    line.run(40_000);
    assert.equal(line.auto.rate, Number.POSITIVE_INFINITY);
  });
});

void describe('a meter of delay', () => {
  void it('says nothing before there are three answers, then how much the quickest of three is above the least', () => {
    const meter = new DelayMeter();
    assert.equal(meter.measured(0, 20), undefined);
    assert.equal(meter.measured(1, 120), undefined);
    assert.equal(meter.measured(2, 140), 0);
    assert.equal(meter.measured(3, 130), 100);
    assert.equal(meter.baseMs, 20);
  });

  void it('forgets the least of minutes long past: the way there may have become longer', () => {
    const meter = new DelayMeter();
    meter.measured(0, 5);
    for (let minute = 1; minute < 5; minute++) meter.measured(minute * 60_000, 50);
    assert.equal(meter.baseMs, 5);
    meter.measured(5 * 60_000, 50);
    assert.equal(meter.baseMs, 50);
  });
});
