import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { concatBytes } from '../../lib/base/bytes.ts';
import { leafBytes } from '../../lib/base/limits.ts';
import { leafHashes, merkleRoot } from '../../lib/crypto/merkle.ts';
import { shardHeadBytes } from '../../lib/format/shard-file.ts';
import { RowFiles } from '../../lib/workers/row-files.ts';
import { noise } from '../support/noise.ts';
import { tempFolder } from '../support/temp-folder.ts';

const leavesOfShard = 4;
const leavesAt = shardHeadBytes + leavesOfShard * leafBytes;

/** A shard's file (head and manifest are no business of this room) and how ranges of it are asked for. */
async function shardFile(t: TestContext) {
  const folder = await tempFolder(t);
  const payload = noise(7, leavesOfShard * leafBytes);
  const leaves = leafHashes(payload, leafBytes);
  const root = merkleRoot(leaves);
  const path = join(folder, 'shard');
  const whole = concatBytes(new Uint8Array(shardHeadBytes), payload, leaves, new Uint8Array(300));
  await writeFile(path, whole);
  const files = new RowFiles();
  return {
    folder,
    path,
    payload,
    whole,
    root,
    files,
    read: (firstLeaf: number, leafCount: number, at = path, rootOfRow = root): Uint8Array | undefined =>
      files.read(
        { index: 0, holder: '', path: at, root: rootOfRow },
        { index: 0, k: 1, firstLeaf, leafCount, leavesOfShard, rows: [] },
      ),
  };
}

test('ranges of a shard come as they are, and stay until the memory is used again', async (t) => {
  const { read, payload, files } = await shardFile(t);
  const found = [read(0, 4), read(1, 2), read(3, 1)];
  const expected = [
    payload,
    payload.subarray(leafBytes, 3 * leafBytes),
    payload.subarray(3 * leafBytes, 4 * leafBytes),
  ];
  assert.deepEqual(found, expected);
  files.reuse();
  assert.deepEqual(read(2, 2), payload.subarray(2 * leafBytes));
});

test('one altered byte of a leaf spoils ranges with that leaf, and no others', async (t) => {
  const { read, whole, path, payload } = await shardFile(t);
  const altered = new Uint8Array(whole);
  const at = shardHeadBytes + 2 * leafBytes + 77;
  altered[at] = (altered[at] ?? 0) ^ 1;
  await writeFile(path, altered);
  assert.equal(read(0, 4), undefined);
  assert.equal(read(2, 1), undefined);
  assert.deepEqual(read(0, 2), payload.subarray(0, 2 * leafBytes));
  assert.deepEqual(read(3, 1), payload.subarray(3 * leafBytes));
});

test('leaf hashes that don’t lead to the signed root count for nothing, be the bytes what they say', async (t) => {
  const { read, path, files } = await shardFile(t);
  const other = noise(8, leavesOfShard * leafBytes);
  const leaves = leafHashes(other, leafBytes);
  await writeFile(path, concatBytes(new Uint8Array(shardHeadBytes), other, leaves));
  assert.equal(read(0, 4), undefined);
  assert.deepEqual(read(0, 4, path, merkleRoot(leaves)), other);
  files.reuse();
  // What is remembered of one root is not taken for another's.
  assert.equal(read(0, 4), undefined);
});

test('a file that ends too early, in its leaf hashes or in the range, is no shard', async (t) => {
  const { read, path } = await shardFile(t);
  assert.ok(read(3, 1) !== undefined);
  for (const bytes of [leavesAt - 1, shardHeadBytes + leafBytes, shardHeadBytes, 0]) {
    await truncate(path, bytes);
    assert.equal(read(3, 1), undefined, `${bytes} bytes, its leaf hashes known`);
  }
  const fresh = await shardFile(t);
  await truncate(fresh.path, leavesAt + 32);
  assert.equal(fresh.read(0, 1), undefined);
});

test('nothing, a folder, a symlink and a pipe are no shards, and nobody waits at the pipe', async (t) => {
  const { read, path, folder } = await shardFile(t);
  assert.equal(read(0, 1, join(folder, 'nothing')), undefined);
  assert.equal(read(0, 1, folder), undefined);
  const link = join(folder, 'link');
  await symlink(path, link);
  assert.equal(read(0, 1, link), undefined);
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  assert.equal(read(0, 1, pipe), undefined);
});

test('more than the memory that is kept is in memory of its own', async (t) => {
  const { read, payload } = await shardFile(t);
  const many = Array.from({ length: 50 }, () => read(0, 4));
  for (const found of many) assert.deepEqual(found, payload);
});
