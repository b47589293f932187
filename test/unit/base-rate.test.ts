import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { parseRate, parseRates } from '../../lib/base/rate.ts';
import { localTimeOf, parseSchedule, ratesAt, scheduleRuleCountMax } from '../../lib/base/rate-schedule.ts';

const none = Number.POSITIVE_INFINITY;
const otherwise = { upload: 'auto', download: none } as const;

function at(text: string, day: number, time: string): ReturnType<typeof ratesAt> {
  const [hour = '', minute = ''] = time.split(':');
  return ratesAt(parseSchedule(text), { day, minute: Number(hour) * 60 + Number(minute) }, otherwise);
}

void describe('a rate', () => {
  void it('is a size, auto or none', () => {
    assert.equal(parseRate('2MB'), 2_000_000);
    assert.equal(parseRate(' 500 KiB/s '), 512_000);
    assert.equal(parseRate('NONE'), none);
    assert.equal(parseRate('auto'), 'auto');
    assert.deepEqual(parseRates({ upload: '1M' }), { upload: 1_000_000 });
  });

  void it('says what is wrong with another', () => {
    for (const text of ['', 'fast', '2 parsecs', '-1MB', '1e6', '/s']) {
      assert.throws(() => parseRate(text), /is not a rate/, text);
    }
    for (const text of ['0', '9KB', '0MB']) assert.throws(() => parseRate(text), /too little/, text);
  });
});

void describe('a schedule of limits', () => {
  const work = 'mon-fri 08:00-18:00 upload=500KB download=none; sat,sun 22:00-06:00 upload=2MB';

  void it('holds on its days at its times, and no longer', () => {
    assert.equal(at(work, 1, '08:00').upload, 500_000);
    assert.equal(at(work, 5, '17:59').upload, 500_000);
    assert.equal(at(work, 5, '18:00').upload, 'auto');
    assert.equal(at(work, 1, '07:59').upload, 'auto');
    assert.equal(at(work, 6, '12:00').upload, 'auto');
  });

  void it('goes on over midnight from the day on which it began', () => {
    assert.equal(at(work, 6, '23:00').upload, 2_000_000);
    assert.equal(at(work, 0, '05:59').upload, 2_000_000);
    assert.equal(at(work, 1, '05:59').upload, 2_000_000);
    assert.equal(at(work, 1, '06:00').upload, 'auto');
    // Friday night is no Saturday.
    assert.equal(at(work, 6, '05:59').upload, 'auto');
  });

  void it('takes the first rule that holds, for each direction by itself', () => {
    const text = 'upload=1MB; 10:00-11:00 upload=3MB download=2MB; download=5MB';
    assert.deepEqual(at(text, 3, '10:30'), { upload: 1_000_000, download: 2_000_000 });
    assert.deepEqual(at(text, 3, '11:00'), { upload: 1_000_000, download: 5_000_000 });
    assert.deepEqual(at('', 3, '11:00'), otherwise);
  });

  void it('has days that go round the end of the week, and times up to midnight', () => {
    const text = 'fri-mon 20:00-24:00,00:00-01:00 upload=1MB';
    for (const day of [5, 6, 0, 1]) assert.equal(at(text, day, '23:59').upload, 1_000_000, String(day));
    for (const day of [2, 3, 4]) assert.equal(at(text, day, '23:59').upload, 'auto', String(day));
    assert.equal(at(text, 1, '00:59').upload, 1_000_000);
  });

  void it('names the part that is wrong', () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['mon-fri 08:00-18:00', /in "mon-fri 08:00-18:00": no limit is named/],
      ['mon 08:00-18:00 upload=2MB; fry upload=1MB', /in "fry upload=1MB": "fry" is no day/],
      ['mon 8-18 upload=2MB', /"8-18" is no time like/],
      ['mon 08:00-25:00 upload=2MB', /"08:00-25:00" is no time/],
      ['mon 08:60-09:00 upload=2MB', /is no time/],
      ['mon 08:00-08:00 upload=2MB', /is no time/],
      ['mon upload=fast', /"fast" is not a rate/],
      ['mon up=2MB', /"up" is no limit/],
      ['mon upload=1MB upload=2MB', /upload= is there twice/],
      ['mon tue upload=1MB', /"tue": days are written with commas/],
      ['08:00-09:00 10:00-11:00 upload=1MB', /times are written with commas/],
      ['mon-tue-wed upload=1MB', /no day/],
      [Array.from({ length: scheduleRuleCountMax + 1 }, () => 'upload=1MB').join(';'), /at most 64 rules/],
    ];
    for (const [text, message] of wrong) assert.throws(() => parseSchedule(text), message, text);
  });

  void it('never throws anything but what is meant for the user', () => {
    const piece = fc.constantFrom(
      'mon',
      'fri',
      '-',
      ',',
      ' ',
      ';',
      '08:00',
      '-24:00',
      'upload=',
      '1MB',
      'none',
      '=',
      '9',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((all) => all.join('')),
        ),
        (text) => {
          try {
            for (const rule of parseSchedule(text)) assert.ok(rule.days.size > 0 && rule.spans.length > 0);
          } catch (error) {
            assert.equal((error as { code?: unknown }).code, 'usage');
          }
        },
      ),
    );
  });

  void it('agrees with looking at every minute, whatever the spans', () => {
    const time = fc.integer({ min: 0, max: 1439 });
    const text = (minute: number): string =>
      `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
    fc.assert(
      fc.property(time, time, time, fc.integer({ min: 0, max: 6 }), (from, to, now, day) => {
        fc.pre(from !== to);
        const rules = parseSchedule(`tue ${text(from)}-${text(to)} upload=1MB`);
        const length = (to - from + 1440) % 1440;
        const sinceTuesday = (((day - 2 + 7) % 7) * 1440 + now - from + 7 * 1440) % (7 * 1440);
        const expected = sinceTuesday < length ? 1_000_000 : 'auto';
        assert.equal(ratesAt(rules, { day, minute: now }, otherwise).upload, expected);
      }),
    );
  });

  void it('goes by the clock on the wall', () => {
    const date = new Date(2026, 10, 29, 13, 5);
    assert.deepEqual(localTimeOf(date), { day: 0, minute: 785 });
  });
});
