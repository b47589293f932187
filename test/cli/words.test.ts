import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  columnsOf,
  modeText,
  rfc3339,
  shown,
  shownLines,
  spreadWords,
  table,
  toleranceWords,
} from '../../cli/words.ts';
import { countsOf, moreHolders } from '../../cli/known-holders.ts';
import type { DriveInfo } from '../../lib/vault/types.ts';

function drive(id: string, household: string | null): DriveInfo {
  return {
    id,
    name: id,
    path: `/${id}`,
    household,
    whole: false,
    available: true,
    reason: null,
    quotaBytes: null,
    usedBytes: 0,
    freeBytes: 0,
    shards: 0,
  };
}

describe('text on a terminal', () => {
  it('writes out what would drive the terminal', () => {
    assert.equal(shown('a\x1b[2Jb\x07\r\u009b'), 'a\\x1b[2Jb\\x07\\x0d\\x9b');
    assert.equal(shown('cod.\u202egpj.exe'), 'cod.\\u{202e}gpj.exe');
    assert.equal(shown('two\nlines'), 'two\\nlines');
    assert.equal(shownLines('two\nlines\x1b'), 'two\nlines\\x1b');
    assert.equal(shown('plain ü 🙂 日本'), 'plain ü 🙂 日本');
  });

  it('never lets a control character through', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.doesNotMatch(shown(text), /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e]/u);
      }),
    );
  });

  it('aligns columns by what they take on a screen', () => {
    assert.equal(columnsOf('日本'), 4);
    assert.equal(columnsOf('e\u0301'), 1);
    assert.deepEqual(
      table(
        ['a', 'b'],
        [
          ['日本', 'x'],
          ['four', 'y'],
        ],
      ),
      ['a     b', '日本  x', 'four  y'],
    );
  });
});

describe('words for numbers', () => {
  it('writes times with nanoseconds where there are any', () => {
    assert.equal(rfc3339(0n), '1970-01-01T00:00:00Z');
    assert.equal(rfc3339(1_700_000_000_000_000_001n), '2023-11-14T22:13:20.000000001Z');
    assert.equal(rfc3339(-1n), '1969-12-31T23:59:59.999999999Z');
    assert.equal(rfc3339(2n ** 63n - 1n).slice(0, 4), '2262');
  });

  it('writes modes as ls does', () => {
    assert.equal(modeText('file', 0o644), '-rw-r--r--');
    assert.equal(modeText('folder', 0o1777), 'drwxrwxrwt');
    assert.equal(modeText('file', 0o4755), '-rwsr-xr-x');
    assert.equal(modeText('file', 0o2640), '-rw-r-S---');
    assert.equal(modeText('symlink', 0o777), 'lrwxrwxrwx');
  });

  it('says what may be lost', () => {
    assert.equal(spreadWords({ k: 3, n: 5 }), 'any 3 of 5 disks restore it; 2 may be lost');
    assert.equal(spreadWords({ k: 1, n: 1 }), 'any 1 of 1 disk restores it; none may be lost');
    const six = ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => drive(id, null));
    assert.equal(toleranceWords(2, { drives: six, friends: [] }), 'any 2 of your 6 disks may be lost');
    assert.equal(toleranceWords(0, { drives: six, friends: [] }), 'no disk may be lost');
    assert.match(toleranceWords(null, { drives: six, friends: [] }), /can not be restored now/);
    const shared = [drive('a', 'attic'), drive('b', 'attic'), drive('c', null)];
    assert.equal(toleranceWords(1, { drives: shared, friends: [] }), 'any 1 of your 2 places may be lost');
  });

  it('speaks of friends by that word, and of both by both', () => {
    const disks = ['a', 'b'].map((id) => drive(id, null));
    const friends = ['c', 'd', 'e'].map((id) => ({ id, household: null }));
    const both = { drives: disks, friends };
    assert.equal(
      spreadWords({ k: 2, n: 5 }, countsOf({ drives: [], friends })),
      'any 2 of 5 friends restore it; 3 may be lost',
    );
    assert.equal(
      spreadWords({ k: 2, n: 5 }, countsOf(both)),
      'any 2 of 5 disks and friends restore it; 3 may be lost',
    );
    assert.equal(toleranceWords(2, { drives: [], friends }), 'any 2 of your 3 friends may be lost');
    assert.equal(toleranceWords(2, both), 'any 2 of your 5 disks and friends may be lost');
    assert.equal(toleranceWords(0, both), 'no disk or friend may be lost');
    assert.match(toleranceWords(null, both), /too few disks and friends can be reached/);
    const together = friends.map(({ id }) => ({ id, household: 'street 1' }));
    assert.equal(
      toleranceWords(1, { drives: disks, friends: together }),
      'any 1 of your 3 places may be lost',
    );
    assert.equal(moreHolders({ drives: 1, friends: 0 }), 'Plug in or add disks');
    assert.match(moreHolders({ drives: 0, friends: 1 }), /friends/);
    assert.match(moreHolders({ drives: 1, friends: 1 }), /disks.*friends/);
  });
});
