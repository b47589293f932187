import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { textOf, utf8 } from '../../lib/base/bytes.ts';
import { nativeCalls } from '../../lib/source/native.ts';
import { ReadAhead, systemAskAhead, type UpcomingFile } from '../../lib/source/read-ahead.ts';
import { tempFolder } from '../support/temp-folder.ts';

const [fast, slow] = [0.02, 9];

function listOf(count: number, size: (i: number) => number = () => 1000): UpcomingFile[] {
  return Array.from({ length: count }, (_, i) => ({ path: utf8(`f${i}`), entry: { size: size(i) } }));
}

/** Reads files in lists, and keeps what was asked for. */
class Reader {
  readonly asked: string[] = [];
  readonly ahead = new ReadAhead((path, bytes) => void this.asked.push(`${textOf(path)} ${bytes}`));

  /** `ms`: how long a file takes; it is told whether it was asked for. */
  read(files: readonly UpcomingFile[], ms: (asked: boolean, at: number) => number): void {
    for (const [at, { path, entry }] of files.entries()) {
      this.ahead.before(files, at);
      this.ahead.took(ms(this.asked.includes(`${textOf(path)} ${entry.size}`), at));
    }
  }

  /** How many were asked for since the last time. */
  count(): number {
    return this.asked.splice(0).length;
  }
}

test('files from the cache are not asked for, even if one read in two is slow', () => {
  const reader = new Reader();
  reader.read(listOf(5000), () => fast);
  reader.read(listOf(5000), (_, at) => (at % 2 === 0 ? slow : fast));
  assert.equal(reader.count(), 0);
});

test('after five slow reads files are asked for: once each, in order, some time before they are read', () => {
  const reader = new Reader();
  const files = listOf(200);
  const seen: number[] = [];
  reader.read(files, (asked) => {
    seen.push(reader.asked.length);
    return asked ? fast : slow;
  });
  assert.deepEqual(
    reader.asked,
    files.slice(5).map(({ path }) => `${textOf(path)} 1000`),
  );
  assert.deepEqual(seen.slice(0, 8), [0, 0, 0, 0, 0, 65, 66, 67]);
  assert.equal(seen[199], 195);
  // What was slow in one list is known in the next.
  reader.asked.length = 0;
  reader.read(listOf(10), () => fast);
  assert.equal(reader.count(), 10);
});

test('empty files and large ones are not asked for', () => {
  const reader = new Reader();
  const sizes = [0, 1, 128 * 1024 - 1, 128 * 1024, 2 ** 40];
  reader.read(
    listOf(50, (i) => sizes[i % 5] ?? 0),
    () => slow,
  );
  assert.equal(reader.asked.length, 18);
  for (const line of reader.asked) assert.match(line, / (?:1|131071)$/);
});

test('reads are looked at again from time to time: asking ends once they are fast, and goes on where they are slow', () => {
  const reader = new Reader();
  reader.read(listOf(3000), (asked) => (asked ? fast : slow));
  const whileSlow = reader.count();
  assert.ok(whileSlow > 2950 && whileSlow < 3000, `${whileSlow} of 3000`);
  reader.read(listOf(3000), () => fast);
  assert.ok(reader.count() <= 1024 + 64);
  reader.read(listOf(3000), () => fast);
  assert.equal(reader.count(), 0);
});

test('where asking makes nothing faster it is given up for a long time, not for ever', () => {
  const reader = new Reader();
  reader.read(listOf(10_000), () => slow);
  assert.ok(reader.count() <= 1024 + 64);
  reader.read(listOf(10_000), () => slow);
  assert.ok(reader.count() > 0);
});

test('without such a call nothing happens', () => {
  const ahead = new ReadAhead(undefined);
  const files = listOf(100);
  for (const at of files.keys()) {
    ahead.before(files, at);
    ahead.took(slow);
  }
});

test('the system is asked without a word, whatever stands there, and no handle stays open', async (t) => {
  const native = nativeCalls();
  if (native?.willNeed === undefined) return t.skip('no such call here');
  const asked: [handle: number, bytes: number][] = [];
  const ask = systemAskAhead({ ...native, willNeed: (...call) => void asked.push(call) });
  const real = systemAskAhead();
  assert.ok(ask !== undefined && real !== undefined);
  const folder = await tempFolder(t);
  const at = (name: string): Uint8Array => utf8(join(folder, name));
  writeFileSync(join(folder, 'file'), 'some bytes');
  symlinkSync('file', join(folder, 'link'));
  mkdirSync(join(folder, 'folder'));
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  for (let i = 0; i < 20; i++) {
    for (const name of ['file', 'link', 'folder', 'fifo', 'none', 'file/none', 'x'.repeat(5000)]) {
      real(at(name), 10);
      ask(at(name), 10);
    }
  }
  assert.equal(open(), before);
  // The file, the folder and the FIFO, which are harmless; a symlink leads nowhere.
  assert.equal(asked.length, 60);
  const failing = systemAskAhead({
    ...native,
    willNeed: () => {
      throw new Error('no');
    },
  });
  failing?.(at('file'), 10);
  assert.equal(open(), before);
});

test('the call itself takes any handle and any number of bytes', (t) => {
  const willNeed = nativeCalls()?.willNeed;
  if (willNeed === undefined) return t.skip('no such call here');
  willNeed(-1, 10);
  willNeed(0, 0);
});
