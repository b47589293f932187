import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { noise } from './noise.ts';

/** A small folder in memory: path below it → bytes. */
export type SourceTree = ReadonlyMap<string, Uint8Array>;

/** What a first backup finds. */
export const firstTree: SourceTree = new Map([
  ['letters/anna.txt', noise(1, 700)],
  ['letters/old/bert.txt', noise(2, 1300)],
  ['notes.txt', noise(3, 40)],
  ['empty', new Uint8Array(0)],
  ['photo', noise(4, 90_000)],
]);

/** The same folder later: files changed, new and removed, and more bytes than one pack of these tests holds. */
export const secondTree: SourceTree = new Map([
  ['letters/anna.txt', noise(11, 900)],
  ['letters/new.txt', noise(12, 300)],
  ['notes.txt', noise(3, 40)],
  ['empty', new Uint8Array(0)],
  ['photo', noise(4, 90_000)],
  ['film/one', noise(14, 300_000)],
  ['film/two', noise(15, 300_000)],
]);

/** Makes a folder on the real disk hold a tree and nothing else; files that are the same already aren't touched. */
export async function writeSource(folder: string, tree: SourceTree): Promise<void> {
  const there = await readSource(folder);
  for (const path of there.keys()) if (!tree.has(path)) await rm(join(folder, path));
  for (const [path, bytes] of tree) {
    const old = there.get(path);
    if (old !== undefined && Buffer.compare(old, bytes) === 0) continue;
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
}

/** All files of a folder on the real disk; none where it isn't there. */
export async function readSource(folder: string): Promise<SourceTree> {
  const tree = new Map<string, Uint8Array>();
  const read = async (relative: string): Promise<void> => {
    const entries = await readdir(join(folder, relative), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = join(relative, entry.name);
      if (entry.isDirectory()) await read(path);
      else tree.set(path, await readFile(join(folder, path)));
    }
  };
  await read('');
  return tree;
}

/** Fails unless two trees have the same files with the same bytes. */
export function assertSameTree(actual: SourceTree, expected: SourceTree, message: string): void {
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort(), message);
  for (const [path, bytes] of expected) {
    const there = actual.get(path);
    assert.ok(there !== undefined && Buffer.compare(there, bytes) === 0, `${message}: ${path} differs`);
  }
}
