import { systemRandom } from '../../lib/crypto/random.ts';
import { BlobNamer } from '../../lib/format/blob.ts';
import { threadKernels } from '../../lib/kernels/process-kernels.ts';
import { BlobPacker } from '../../lib/pipeline/blob-packer.ts';
import { createCompressor } from '../../lib/pipeline/compress.ts';
import { PackBuilder } from '../../lib/pipeline/pack-builder.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import { localAccounts } from '../../lib/source/accounts.ts';
import { laneReadBytes, StoreLane, type StoreLaneOptions } from '../../lib/workers/store-lane.ts';

/** Names what a lane of `storeLane` stores. */
export const laneNamer: BlobNamer = new BlobNamer(new Uint8Array(32));

/** A lane of this thread that stores everything that it is given, in packs of one row. */
export function storeLane(
  options: Pick<StoreLaneOptions, 'ahead' | 'now' | 'room'>,
  onPack: () => void = () => undefined,
): StoreLane {
  const stages = new Stages();
  const packer = new BlobPacker({
    namer: laneNamer,
    compressor: createCompressor(),
    stages,
    claim: () => true,
    newPack: () =>
      new PackBuilder({ k: 1, keyEpoch: 0, sealingKey: new Uint8Array(32), random: systemRandom }),
    onPack,
  });
  return new StoreLane({
    packer,
    chunker: threadKernels().chunker(new Uint8Array(32)),
    accounts: localAccounts(),
    stages,
    memory: new Uint8Array(laneReadBytes),
    signal: undefined,
    ...options,
  });
}
