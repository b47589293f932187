import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProgressMeter, ProgressView, progressLine, statusFields } from '../../cli/progress.ts';
import { columnsOf } from '../../cli/words.ts';
import type { Progress } from '../../lib/vault/types.ts';

function at(bytesDone: number, more: Partial<Progress> = {}): Progress {
  return {
    phase: 'read',
    filesDone: 1,
    filesTotal: 2,
    bytesDone,
    bytesTotal: 10_000_000,
    current: '/a',
    ...more,
  };
}

class FakeClock {
  ms = 0;
  nowNs(): bigint {
    return BigInt(this.ms) * 1_000_000n;
  }
  monotonicMs(): number {
    return this.ms;
  }
}

describe('progress', () => {
  it('measures rate, share and time left', () => {
    const meter = new ProgressMeter(0);
    meter.measure(at(0), 0);
    const measured = meter.measure(at(2_500_000), 1000);
    assert.equal(measured.share, 0.25);
    assert.equal(measured.bytesPerSecond, 2_500_000);
    assert.equal(measured.leftMs, 3000);
    assert.deepEqual(statusFields(measured), {
      phase: 'read',
      percent_done: 0.25,
      files_done: 1,
      total_files: 2,
      bytes_done: 2_500_000,
      total_bytes: 10_000_000,
      bytes_per_second: 2_500_000,
      seconds_elapsed: 1,
      seconds_remaining: 3,
      current: '/a',
    });
  });

  it('knows no share without a total, and never more than all', () => {
    const meter = new ProgressMeter(0);
    assert.equal(meter.measure(at(5, { bytesTotal: undefined }), 10).share, undefined);
    assert.equal(meter.measure(at(20, { bytesTotal: 10 }), 20).share, 1);
  });

  it('fits its line to the terminal and keeps names from driving it', () => {
    const meter = new ProgressMeter(0);
    const measured = meter.measure(at(1000, { current: `/\x1b[2J${'日'.repeat(200)}` }), 500);
    for (const columns of [20, 40, 80, 300]) {
      const line = progressLine(measured, columns);
      assert.ok(columnsOf(line) < columns, `${columns}: ${line}`);
      assert.ok(!line.includes('\x1b'));
    }
    assert.match(progressLine(measured, 300), /^ {2}0% {2}reading {2}1 of 2 files {2}1\.00 kB of 10\.0 MB/);
  });

  it('draws at most ten times a second and clears behind itself', () => {
    const clock = new FakeClock();
    const drawn: string[] = [];
    const view = new ProgressView({
      draw: (text) => drawn.push(text),
      columns: () => 80,
      status: undefined,
      clock,
    });
    for (; clock.ms < 1000; clock.ms += 10) view.update(at(clock.ms));
    assert.equal(drawn.length, 10);
    view.clear();
    view.clear();
    assert.equal(drawn.length, 11);
    assert.equal(drawn.at(-1), '\r\x1b[K');
  });

  it('prints JSON status at most twice a second, the first at once', () => {
    const clock = new FakeClock();
    const printed: unknown[] = [];
    const view = new ProgressView({
      draw: undefined,
      columns: () => 80,
      status: (fields) => printed.push(fields['bytes_done']),
      clock,
    });
    for (; clock.ms <= 1000; clock.ms += 100) view.update(at(clock.ms));
    assert.deepEqual(printed, [0, 500, 1000]);
  });
});
