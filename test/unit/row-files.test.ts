import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { concatBytes } from '../../lib/base/bytes.ts';
import { classBytes, leafBytes } from '../../lib/base/limits.ts';
import { leafHashes, merkleRoot } from '../../lib/crypto/merkle.ts';
import { encodeShardHead, shardHeadBytes } from '../../lib/format/shard-file.ts';
import { RowFiles } from '../../lib/workers/row-files.ts';
import { noise } from '../support/noise.ts';
import { tempFolder } from '../support/temp-folder.ts';

const sizeClass = 2;
const leavesOfShard = (classBytes[sizeClass] ?? 0) / leafBytes;
const manifestBytes = 300;
const leavesAt = shardHeadBytes + leavesOfShard * leafBytes;

/** The bytes of a shard's file; its manifest is no business of this room. */
function fileOf(payload: Uint8Array, leaves: Uint8Array): Uint8Array {
  const none = new Uint8Array(32);
  const facts = { k: 1, index: 0, class: sizeClass, keyEpoch: 0, vaultId: none, packId: none, manifestBytes };
  return concatBytes(encodeShardHead(facts), payload, leaves, new Uint8Array(manifestBytes));
}

/** A shard's file and how ranges of it are asked for. */
async function shardFile(t: TestContext) {
  const folder = await tempFolder(t);
  const payload = noise(7, leavesOfShard * leafBytes);
  const leaves = leafHashes(payload, leafBytes);
  const root = merkleRoot(leaves);
  const path = join(folder, 'shard');
  const whole = fileOf(payload, leaves);
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
  await writeFile(path, fileOf(other, leaves));
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

test('a head or a length that is not right is damage, though the bytes would do', async (t) => {
  const { whole } = await shardFile(t);
  const altered = (at: number): Uint8Array => whole.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const spoilt = [
    altered(0),
    altered(9),
    altered(100),
    whole.subarray(0, -10),
    concatBytes(whole, new Uint8Array(1)),
  ];
  for (const [i, bytes] of spoilt.entries()) {
    const { path, read } = await shardFile(t);
    await writeFile(path, bytes);
    assert.equal(read(0, 1), undefined, `case ${i}`);
  }
});

test('what is asked for ahead may be anything, and nothing comes of it', async (t) => {
  const { files, path, folder, root, read, payload } = await shardFile(t);
  const span = { index: 0, k: 1, firstLeaf: 0, leafCount: 2, leavesOfShard, rows: [] };
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  for (const at of [path, folder, join(folder, 'nothing'), join(path, 'nothing'), 'x'.repeat(5000)])
    files.expect({ index: 0, holder: '', path: at, root }, span);
  assert.equal(open(), before);
  assert.deepEqual(read(0, 2), payload.subarray(0, 2 * leafBytes));
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
