import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { equalBytes } from '../../lib/base/bytes.ts';
import { directBytesMin, writeDirectly } from '../../lib/disk/direct-write.ts';
import { nodeDisk } from '../../lib/disk/node-disk.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Bytes that differ from place to place, so that a block in another's place is seen. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, length >>> 2);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[i] = state;
  }
  return bytes;
}

/** Cut at these places, in memory that is shared or not. */
function partsOf(bytes: Uint8Array, cuts: readonly number[], shared: boolean): Uint8Array[] {
  const edges = [0, ...cuts.filter((cut) => cut < bytes.length), bytes.length];
  return edges.slice(1).map((end, i) => {
    const part = bytes.subarray(edges[i] ?? 0, end);
    if (!shared) return part;
    const copy = new Uint8Array(new SharedArrayBuffer(part.length));
    copy.set(part);
    return copy;
  });
}

const mib = 1 << 20;

void test('files around every edge hold the very bytes', async (t) => {
  const folder = await tempFolder(t);
  const lengths = [
    0,
    4095,
    directBytesMin - 1,
    directBytesMin,
    directBytesMin + 1,
    mib - 1,
    mib,
    mib + 1,
    mib + 4096,
    3 * mib + 4095,
    4 * mib + 128 + 2048 + 700,
  ];
  for (const [seed, length] of lengths.entries()) {
    for (const shared of [false, true]) {
      const bytes = pattern(length, seed);
      const path = join(folder, `${length}-${shared}`);
      const parts = partsOf(bytes, [0, 128, 5000, mib - 3, mib + 100, 3 * mib], shared);
      await nodeDisk.write(path, parts, { sync: true, exclusive: true });
      assert.ok(equalBytes(bytes, await readFile(path)), path);
    }
  }
});

void test('more writers than staging buffers wait for each other', async (t) => {
  const folder = await tempFolder(t);
  const names = Array.from({ length: 50 }, (_, i) => i);
  const bytes = names.map((seed) => pattern(mib + 70_000 + seed, seed));
  await Promise.all(
    names.map((i) => nodeDisk.write(join(folder, `${i}`), [bytes[i] as Uint8Array], { sync: true })),
  );
  for (const i of names) {
    assert.ok(equalBytes(bytes[i] as Uint8Array, await readFile(join(folder, `${i}`))), `file ${i}`);
  }
});

void test('a file that is written anew loses its old bytes', async (t) => {
  const path = join(await tempFolder(t), 'a');
  await nodeDisk.write(path, [pattern(2 * mib, 1)], { sync: true });
  const later = pattern(directBytesMin + 77, 2);
  await nodeDisk.write(path, [later], { sync: true });
  assert.ok(equalBytes(later, await readFile(path)));
});

void test('what was written past the cache is in the file; the rest is left to the caller', async (t) => {
  const path = join(await tempFolder(t), 'a');
  const bytes = pattern(mib + 5000, 3);
  const file = await open(path, 'wx');
  try {
    const done = await writeDirectly(file, partsOf(bytes, [100], false));
    // Nothing where the system or this file system has no such writes.
    assert.ok(done === 0 || done === mib + 4096, `${done} bytes`);
    const { size } = await file.stat();
    assert.equal(size, done);
    assert.ok(equalBytes(bytes.subarray(0, done), await readFile(path)));
    assert.equal(await writeDirectly(file, [bytes.subarray(0, directBytesMin - 1)]), 0);
  } finally {
    await file.close();
  }
});

void test('a failing descriptor is no reason to be silent, nor to keep a buffer', async (t) => {
  const path = join(await tempFolder(t), 'a');
  const reader = await open(path, 'wx');
  await reader.close();
  // Closed: there is no such descriptor to open again, and the usual way says so.
  assert.equal(await writeDirectly(reader, [pattern(directBytesMin, 4)]), 0);
  await nodeDisk.write(path, [pattern(mib, 5)], { sync: true });
  assert.equal((await readFile(path)).length, mib);
});
