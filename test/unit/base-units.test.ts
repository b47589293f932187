import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { errorCodes, isKithError, KithError, messageOf, systemCode } from '../../lib/base/errors.ts';
import { countOf, formatDuration, formatSize, parseDuration, parseSize } from '../../lib/base/units.ts';

const usage = (error: unknown): boolean => isKithError(error, 'usage');

void describe('sizes', () => {
  void it('are read with decimal and binary units of any case', () => {
    const samples: [string, number][] = [
      ['0', 0],
      ['17', 17],
      ['50GB', 50e9],
      ['50GiB', 50 * 2 ** 30],
      ['500M', 500e6],
      ['500mb', 500e6],
      ['1.5 kb', 1500],
      [' 2TiB ', 2 * 2 ** 40],
      ['12b', 12],
    ];
    for (const [text, bytes] of samples) assert.equal(parseSize(text), bytes, text);
  });

  void it('are refused where they are none', () => {
    for (const text of ['', 'GB', '-1', '1e9', '1.2.3', '5 XB', '10PB', '9999999TB', '1,5G', '0x10']) {
      assert.throws(() => parseSize(text), usage, text);
    }
  });

  void it('are shown with at most three digits', () => {
    const samples: [number, string][] = [
      [0, '0 B'],
      [999, '999 B'],
      [1000, '1.00 kB'],
      [1536, '1.54 kB'],
      [9_994, '9.99 kB'],
      [9_996, '10.0 kB'],
      [99_960, '100 kB'],
      [999_499, '999 kB'],
      [999_500, '1.00 MB'],
      [1.5e9, '1.50 GB'],
      [5e18, '5000 PB'],
    ];
    for (const [bytes, text] of samples) assert.equal(formatSize(bytes), text);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 9e14 }), (bytes) => {
        const shown = formatSize(bytes);
        assert.ok(shown.replace(/\D/g, '').length <= 3, shown);
        assert.ok(Math.abs(parseSize(shown) - bytes) <= bytes * 0.006, `${bytes} → ${shown}`);
      }),
    );
  });
});

void describe('durations', () => {
  void it('are read with their unit and refused without', () => {
    assert.equal(parseDuration('250ms'), 250);
    assert.equal(parseDuration('30s'), 30_000);
    assert.equal(parseDuration('1.5 h'), 5_400_000);
    assert.equal(parseDuration('3w'), 3 * 7 * 86_400_000);
    for (const text of ['', '12', 's', '-3s', '1y', '5 S', '99999999999999w']) {
      assert.throws(() => parseDuration(text), usage, text);
    }
  });

  void it('are shown in two units', () => {
    const samples: [number, string][] = [
      [0, '0.0 s'],
      [440, '0.4 s'],
      [9_940, '9.9 s'],
      [9_960, '10 s'],
      [59_700, '1 min 0 s'],
      [200_000, '3 min 20 s'],
      [3_599_700, '1 h 0 min'],
      [7_500_000, '2 h 5 min'],
      [86_400_000 * 3 + 3_600_000 * 4, '3 d 4 h'],
    ];
    for (const [ms, text] of samples) assert.equal(formatDuration(ms), text);
  });

  void it('counts come with their noun', () => {
    assert.equal(countOf(1, 'disk'), '1 disk');
    assert.equal(countOf(0, 'disk'), '0 disks');
    assert.equal(countOf(12_345, 'entry', 'entries'), '12,345 entries');
  });
});

void describe('errors', () => {
  void it('carry code, retry and exit status from the table', () => {
    const error = new KithError('locked', 'in use', { details: { pid: 7 }, cause: new Error('below') });
    assert.equal(error.retry, 'later');
    assert.equal(error.exitCode, 11);
    assert.equal(error.details['pid'], 7);
    assert.ok(error.cause instanceof Error);
    assert.ok(isKithError(error) && isKithError(error, 'usage', 'locked') && !isKithError(error, 'usage'));
    assert.ok(!isKithError(new Error('locked')));
  });

  void it('exit statuses fit a process', () => {
    for (const [code, { exit }] of Object.entries(errorCodes)) assert.ok(exit >= 1 && exit <= 255, code);
  });

  void it('anything thrown has a message and perhaps a system code', () => {
    assert.equal(messageOf('text'), 'text');
    assert.equal(messageOf(new Error('why')), 'why');
    assert.equal(systemCode(Object.assign(new Error('x'), { code: 'ENOENT' })), 'ENOENT');
    assert.equal(systemCode(Object.assign(new Error('x'), { code: 5 })), undefined);
    assert.equal(systemCode(undefined), undefined);
  });
});
