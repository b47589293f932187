import { equalBytes } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { classBytes, leafBytes } from '../../base/limits.ts';
import { leafHashes, merkleRoot } from '../../crypto/merkle.ts';
import type { Manifest } from '../../format/manifest.ts';
import type { CodedShard } from '../../pipeline/coded-pack.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import { windowLeaves } from '../shards/shard-reader.ts';

/**
 * Shards of a pack made again, each checked against the root that the owner signed. Goes range by range, so that k good
 * copies of every range are enough, whichever shards they are in. KithError `not-restorable` if there are fewer, `damaged` if a shard
 * doesn't come out as it was signed. Memory: the wanted shards and one range of k.
 */
export async function rebuildShards(
  reader: BlobReader,
  manifest: Manifest,
  wanted: readonly number[],
): Promise<CodedShard[]> {
  const shardBytes = classBytes[manifest.class] ?? 0;
  const payloads = wanted.map(() => new Uint8Array(shardBytes));
  const span = Math.min(windowLeaves, shardBytes / leafBytes);
  for (let leaf = 0; leaf < shardBytes / leafBytes; leaf += span) {
    const parts = await reader.shards.decoded(manifest, leaf, span, wanted);
    for (const [i, part] of parts.entries()) {
      payloads[i]?.set(part, leaf * leafBytes);
    }
  }
  return wanted.map((index, i) => {
    const payload = payloads[i] ?? new Uint8Array(0);
    const leaves = leafHashes(payload, leafBytes);
    const root = manifest.roots[index];
    if (root === undefined || !equalBytes(merkleRoot(leaves), root)) {
      throw new KithError('damaged', `shard ${index} does not come out as it was signed; nothing was stored`);
    }
    return { index, payload, leaves };
  });
}
