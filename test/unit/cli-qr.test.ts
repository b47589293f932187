import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { qrCharactersMax, qrForTerminal, qrOfCard } from '../../cli/qr.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { encodeCard } from '../../lib/format/card.ts';
import { encodeCardText } from '../../lib/format/card-text.ts';
import { SamplePerson } from '../support/sample-card.ts';

const line = encodeCardText(encodeCard(new SamplePerson('Ada').card()));

/** Dark modules of a code drawn with blocks for light ones, without its quiet zone. */
function darkModules(code: string): boolean[][] {
  const halves: Record<string, [boolean, boolean]> = {
    '█': [false, false],
    '▀': [false, true],
    '▄': [true, false],
    ' ': [true, true],
  };
  const rows = code
    .trimEnd()
    .split('\n')
    .flatMap((row) => {
      const cells = Array.from(row, (cell) => {
        const found = halves[cell];
        assert.ok(found !== undefined, `${JSON.stringify(cell)} in a code`);
        return found;
      });
      return [cells.map(([top]) => top), cells.map(([, bottom]) => bottom)];
    });
  const size = (rows[0]?.length ?? 0) - 8;
  return rows.slice(4, 4 + size).map((row) => row.slice(4, 4 + size));
}

void describe('a card as a QR code', () => {
  void it('is a square with its three corners and a quiet zone', () => {
    const code = qrOfCard(line, { color: false });
    const rows = code.trimEnd().split('\n');
    assert.equal(new Set(rows.map((row) => row.length)).size, 1);
    for (const row of rows.slice(0, 2)) assert.match(row, /^█+$/);
    // The number of rows of modules is odd: the last line of characters is the upper half of one.
    for (const row of rows.slice(0, -1)) assert.match(row, /^█{4}.*█{4}$/);
    assert.match(rows.at(-1) ?? '', /^▀+$/);
    const dark = darkModules(code);
    assert.equal(dark.length, dark[0]?.length);
    const ring = [true, false, true, true, true, false, true];
    const size = dark.length;
    assert.deepEqual(dark[3]?.slice(0, 7), ring);
    assert.deepEqual(dark[3]?.slice(size - 7), ring);
    assert.deepEqual(dark[size - 4]?.slice(0, 7), ring);
  });

  void it('takes the room of capitals: no larger than its alphanumeric version', () => {
    const size = darkModules(qrOfCard(`${line}\n`, { color: false })).length;
    // ISO/IEC 18004: version 17 at level L holds 938 alphanumeric characters or 644 bytes, version 20 858 bytes.
    assert.ok(line.length > 700 && line.length <= 938, `${line.length} characters`);
    assert.ok(size <= 17 + 4 * 17, `${size} modules`);
  });

  void it('is drawn only in a window that has room for it', () => {
    const columns = qrOfCard(line, { color: false }).split('\n')[0]?.length ?? 0;
    const narrow = qrForTerminal(line, 'card', { isTTY: true, columns: columns - 1 });
    assert.deepEqual(narrow.lines, []);
    assert.match(narrow.tooWide ?? '', new RegExp(`${columns} columns, and this one has ${columns - 1}`));
    for (const fits of [
      { isTTY: true, columns },
      { isTTY: true, columns: 0 },
      { isTTY: false, columns: undefined },
    ]) {
      const { lines, tooWide } = qrForTerminal(line, 'card', fits);
      assert.equal(tooWide, undefined);
      assert.ok(lines.length > 20);
    }
  });

  void it('is black on white where there are colours', () => {
    const coloured = qrOfCard(line, { color: true });
    const plain = qrOfCard(line, { color: false });
    const opposite: Record<string, string> = { '█': ' ', ' ': '█', '▀': '▄', '▄': '▀' };
    for (const row of coloured.trimEnd().split('\n')) {
      assert.ok(row.startsWith('\u001b[30;107m') && row.endsWith('\u001b[0m'));
    }
    const bare = coloured.replaceAll('\u001b[30;107m', '').replaceAll('\u001b[0m', '');
    const withoutLast = (code: string): string[] => code.trimEnd().split('\n').slice(0, -1);
    assert.deepEqual(
      withoutLast(bare.replace(/[█ ▀▄]/g, (cell) => opposite[cell] ?? '')),
      withoutLast(plain),
    );
  });

  void it('holds so much and no more', () => {
    assert.ok(qrOfCard('A'.repeat(qrCharactersMax), { color: false }).length > 0);
    assert.throws(
      () => qrOfCard('A'.repeat(qrCharactersMax + 1), { color: false }),
      (error) => {
        assert.ok(isKithError(error, 'limit-exceeded'));
        return /--out FILE/.test(error.message);
      },
    );
  });
});
