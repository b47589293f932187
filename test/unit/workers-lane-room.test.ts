import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { systemRandom } from '../../lib/crypto/random.ts';
import { BlobNamer } from '../../lib/format/blob.ts';
import { threadKernels } from '../../lib/kernels/process-kernels.ts';
import { BlobPacker } from '../../lib/pipeline/blob-packer.ts';
import { createCompressor } from '../../lib/pipeline/compress.ts';
import { PackBuilder } from '../../lib/pipeline/pack-builder.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { lookAgain } from '../../lib/source/walk-tree.ts';
import { laneReadBytes, StoreLane } from '../../lib/workers/store-lane.ts';
import { FakeTime } from '../support/fake-time.ts';
import { noise } from '../support/noise.ts';
import { tempFolder } from '../support/temp-folder.ts';

const mebi = 1024 * 1024;

test('a lane in the main thread makes no more packs of one file than there is room for', async (t) => {
  const stages = new Stages();
  const onTheirWay: (() => void)[] = [];
  let packs = 0;
  let packsAtOnce = 0;
  const atOnceMax = 2;
  let waiting: (() => void) | undefined;
  const room = async (): Promise<void> => {
    while (onTheirWay.length >= atOnceMax) await new Promise<void>((resolve) => (waiting = resolve));
  };
  const packer = new BlobPacker({
    namer: new BlobNamer(new Uint8Array(32)),
    compressor: createCompressor(),
    stages,
    claim: () => true,
    newPack: () =>
      new PackBuilder({ k: 1, keyEpoch: 0, sealingKey: new Uint8Array(32), random: systemRandom }),
    onPack: () => {
      packs++;
      onTheirWay.push(() => waiting?.());
      packsAtOnce = Math.max(packsAtOnce, onTheirWay.length);
    },
  });
  const lane = new StoreLane({
    packer,
    chunker: threadKernels().chunker(new Uint8Array(32)),
    accounts: localAccounts(),
    stages,
    memory: new Uint8Array(laneReadBytes),
    signal: undefined,
    room,
  });
  const path = join(await tempFolder(t), 'big');
  writeFileSync(path, noise(1, 40 * mebi));
  const file = { path: utf8(path), ...lookAgain(utf8(path), utf8('big'), localAccounts()) };
  const state = { ended: false };
  const storing = lane.file(file).finally(() => (state.ended = true));
  const time = new FakeTime();
  // One pack after the other finds its place, each only when nothing more happens without that.
  while (!state.ended) {
    await time.settle();
    onTheirWay.shift()?.();
  }
  assert.equal((await storing).outcome, 'stored');
  assert.ok(packs > 2 * atOnceMax, `${packs} packs`);
  assert.equal(packsAtOnce, atOnceMax);
});
