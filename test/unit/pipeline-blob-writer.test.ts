import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../../lib/crypto/random.ts';
import { BlobNamer, blobKinds } from '../../lib/format/blob.ts';
import { BlobWriter } from '../../lib/pipeline/blob-writer.ts';
import { PackBuilder } from '../../lib/pipeline/pack-builder.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import { noise } from '../support/noise.ts';

test('a writer that is given up hands over nothing more, and its frames have ended', async () => {
  let compressing = 0;
  let packs = 0;
  const writer = new BlobWriter({
    namer: new BlobNamer(new Uint8Array(32)),
    compressor: {
      compress: async () => {
        compressing++;
        await new Promise((resolve) => setImmediate(resolve));
        compressing--;
        return undefined;
      },
      decompress: async (bytes) => Promise.resolve(bytes),
    },
    stages: new Stages(),
    known: () => false,
    newPack: () =>
      new PackBuilder({
        k: 1,
        keyEpoch: 0,
        sealingKey: new Uint8Array(32),
        random: systemRandom,
        capacityBytes: 1024 * 1024,
      }),
    onPack: async () => Promise.resolve(void packs++),
  });
  for (let i = 0; i < 3; i++) await writer.store(blobKinds.data, noise(i, 600_000));
  assert.ok(compressing > 0);
  await writer.abandon();
  assert.equal(compressing, 0);
  assert.equal(packs, 0);
  await assert.rejects(writer.store(blobKinds.data, noise(9, 1000)), { code: 'interrupted' });
  await assert.rejects(writer.finish(), { code: 'interrupted' });
});
