import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concatBytes, utf8 } from '../../lib/base/bytes.ts';
import { DamageBook, damageBookBytesMax } from '../../lib/vault/shards/damage-book.ts';
import type { Problem } from '../../lib/vault/types.ts';
import { FaultDisk } from '../support/fault-disk.ts';

const holder = 'ab'.repeat(32);
const path = '/home/damaged';

function packId(number: number): Uint8Array {
  const id = new Uint8Array(32);
  new DataView(id.buffer).setUint32(0, number);
  return id;
}

function lineOf(number: number, index: number): string {
  return `${holder} ${number.toString(16).padStart(8, '0')}${'0'.repeat(56)} ${index}\n`;
}

async function homeWith(bytes?: Uint8Array): Promise<FaultDisk> {
  const disk = new FaultDisk();
  await disk.makeFolder('/home/tmp');
  if (bytes !== undefined) disk.poke(path, bytes);
  return disk;
}

async function load(disk: FaultDisk): Promise<{ book: DamageBook; problems: Problem[] }> {
  const problems: Problem[] = [];
  const book = await DamageBook.load(disk, '/home', (problem) => void problems.push(problem));
  return { book, problems };
}

void test('what was added is there after a save, what was removed is not', async () => {
  const disk = await homeWith();
  const { book } = await load(disk);
  for (const number of [1, 2]) book.add(holder, packId(number), 3);
  book.remove(holder, packId(1), 3);
  await book.save();
  assert.deepEqual(disk.peek(path), utf8(lineOf(2, 3)));
  const { book: again, problems } = await load(disk);
  assert.ok(again.has(holder, packId(2), 3));
  assert.ok(!again.has(holder, packId(1), 3));
  assert.deepEqual(problems, []);
  const { steps } = disk;
  await again.save();
  assert.equal(disk.steps, steps, 'nothing changed, nothing is written');
});

void test('garbage in the book spoils its own line only', async () => {
  const garbage = new Uint8Array([0xff, 0xfe, 0x0a]);
  const disk = await homeWith(concatBytes(utf8(lineOf(1, 0)), garbage, utf8(`x\n${lineOf(2, 10)}`)));
  const { book } = await load(disk);
  assert.ok(book.has(holder, packId(1), 0));
  assert.ok(book.has(holder, packId(2), 10));
});

void test('a book that is too long or cannot be read counts as empty, is told, and is replaced', async () => {
  const tooLong = await homeWith(new Uint8Array(damageBookBytesMax + 1));
  const unreadable = await homeWith(utf8(lineOf(1, 0)));
  unreadable.failReads('EIO', (read) => read === path);
  for (const [disk, code] of [
    [tooLong, 'limit-exceeded'],
    [unreadable, 'io-error'],
  ] as const) {
    const { book, problems } = await load(disk);
    assert.deepEqual(
      problems.map((problem) => [problem.item, problem.code]),
      [[path, code]],
    );
    assert.ok(!book.has(holder, packId(1), 0));
    book.add(holder, packId(2), 0);
    await book.save();
    disk.heal();
    assert.deepEqual(disk.peek(path), utf8(lineOf(2, 0)));
    await DamageBook.load(disk, '/home');
  }
});

void test('a full book takes no more than it can read again, and has room again after a removal', async () => {
  const lineBytes = lineOf(0, 10).length;
  const count = Math.floor(damageBookBytesMax / lineBytes);
  const lines = Array.from({ length: count }, (_, number) => lineOf(number, 10));
  const disk = await homeWith(utf8(lines.join('')));
  const { book } = await load(disk);
  const room = damageBookBytesMax - count * lineBytes;
  assert.ok(room < lineOf(0, 1).length, 'not one more line fits');
  for (let number = 0; number < 3; number++) book.add(holder, packId(count + number), 1);
  assert.ok(!book.has(holder, packId(count), 1));
  book.remove(holder, packId(0), 10);
  for (let number = 0; number < 3; number++) book.add(holder, packId(count + number), 1);
  await book.save();
  assert.ok((disk.peek(path)?.length ?? 0) <= damageBookBytesMax);
  const { book: again, problems } = await load(disk);
  assert.deepEqual(problems, []);
  assert.ok(again.has(holder, packId(count), 1));
  assert.ok(!again.has(holder, packId(count + 1), 1));
  assert.ok(!again.has(holder, packId(0), 10));
});
