import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idKey } from '../../lib/base/bytes.ts';
import { classBytes } from '../../lib/base/limits.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { BlobNamer, blobKinds } from '../../lib/format/blob.ts';
import { BlobPacker, packerMemoryBytes } from '../../lib/pipeline/blob-packer.ts';
import { createCompressor } from '../../lib/pipeline/compress.ts';
import { PackBuilder, type SealedPack } from '../../lib/pipeline/pack-builder.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import { noise } from '../support/noise.ts';

const namer = new BlobNamer(new Uint8Array(32));
const compressor = createCompressor();

interface Made {
  readonly packer: BlobPacker;
  readonly packs: SealedPack[];
}

/** A packer whose packs have k = 1 and at most 1 MiB + a directory; each is verified as it comes. */
function makePacker(memory?: Uint8Array, packBytes = 2 * 2 ** 20): Made {
  const packs: SealedPack[] = [];
  const claimed = new Set<string>();
  const packer = new BlobPacker({
    namer,
    compressor,
    stages: new Stages(),
    claim: (id) => !claimed.has(idKey(id)) && claimed.add(idKey(id)).size > 0,
    newPack: (capacityBytes) =>
      new PackBuilder({
        k: 1,
        keyEpoch: 0,
        sealingKey: new Uint8Array(32),
        random: systemRandom,
        capacityBytes: capacityBytes ?? packBytes,
      }),
    capacityBytes: packBytes,
    onPack: (pack, builder) => {
      builder.verify(pack, namer, compressor);
      packs.push(pack);
    },
    ...(memory === undefined ? {} : { memory }),
  });
  return { packer, packs };
}

function blobsOf(packs: readonly SealedPack[]): string[] {
  return packs.flatMap(({ directory }) =>
    directory.frames.flatMap((frame) => frame.blobs.map(({ blobId }) => idKey(blobId))),
  );
}

test('every blob that was claimed is in one pack, once, whatever its kind and size', () => {
  const { packer, packs } = makePacker();
  const ids: string[] = [];
  for (let i = 0; i < 200; i++) {
    const bytes = noise(i % 5, 10 + (i % 7) * 30_000);
    const kind = i % 3 === 0 ? blobKinds.tree : blobKinds.data;
    ids.push(idKey(packer.store(kind, bytes)));
  }
  packer.finish();
  assert.deepEqual(blobsOf(packs).sort(), [...new Set(ids)].sort());
  assert.equal(new Set(ids).size, 70);
});

test('a small chunk is read to where it will lie, in memory of the caller’s', () => {
  const memory = new Uint8Array(new SharedArrayBuffer(packerMemoryBytes));
  const { packer, packs } = makePacker(memory);
  const ids: string[] = [];
  for (let i = 0; i < 60; i++) {
    const bytes = noise(i % 50, 40_000);
    const chunk = packer.smallChunk(50_000);
    assert.equal(chunk.buffer, memory.buffer);
    chunk.set(bytes);
    const id = packer.storeSmallChunk(chunk.subarray(0, bytes.length));
    assert.deepEqual(id, namer.idOf(blobKinds.data, bytes));
    ids.push(idKey(id));
  }
  packer.finish();
  assert.deepEqual(blobsOf(packs).sort(), [...new Set(ids)].sort());
});

test('what a packer has left goes into another one’s packs', () => {
  const first = makePacker();
  const second = makePacker();
  const ids = [1, 2, 4].map((i) => idKey(first.packer.store(blobKinds.data, noise(i, i * 200_000))));
  const rest = first.packer.takeRest();
  assert.equal(first.packs.length, 0);
  assert.deepEqual(first.packer.takeRest(), []);
  for (const frame of rest) second.packer.addFrame(frame);
  second.packer.finish();
  assert.deepEqual(blobsOf(second.packs).sort(), ids.sort());
});

test('the last pack is split in two where it would be mostly padding', () => {
  for (const chunks of [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19]) {
    const { packer, packs } = makePacker();
    for (let i = 0; i < chunks; i++) packer.store(blobKinds.data, noise(i, 100_000));
    packer.finish();
    const what = `${chunks} × 100 kB`;
    assert.ok(packs.length >= 1 && packs.length <= 2, what);
    // A frame that doesn't fit the first of the two leaves a gap there as large as itself.
    const stored = packs.reduce((sum, { payload }) => sum + payload.length, 0);
    assert.ok(
      stored <= (chunks * 100_000) / 0.75 + 512 * 1024 + 2 * (classBytes[1] ?? 0),
      `${what}: ${stored}`,
    );
    assert.equal(blobsOf(packs).length, chunks);
  }
});

test('a packer whose pack is nearly full hands it over, and has nothing left', () => {
  const { packer, packs } = makePacker();
  for (let i = 0; i < 18; i++) packer.store(blobKinds.data, noise(i, 100_000));
  assert.deepEqual(packer.takeRest(), []);
  assert.equal(blobsOf(packs).length, 18);
});

test('finishing with nothing gives no pack', () => {
  const { packer, packs } = makePacker();
  packer.finish();
  assert.equal(packs.length, 0);
});

test('blobs that don’t compress share no frame that is too large for a small pack', () => {
  const { packer, packs } = makePacker(undefined, 512 * 1024);
  const ids = Array.from({ length: 30 }, (_, i) => idKey(packer.store(blobKinds.data, noise(i, 100_000))));
  packer.finish();
  assert.deepEqual(blobsOf(packs).sort(), ids.sort());
});
