import { classBytes, leafBytes } from '../base/limits.ts';
import { equalBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { merkleRoot } from '../crypto/merkle.ts';
import type { Manifest } from '../format/manifest.ts';
import { remakeShards, type CodedShard } from '../pipeline/coded-pack.ts';
import type { ErasureCoder } from '../kernels/reed-solomon.ts';
import type { BlobReader } from './blob-reader.ts';
import { tooFew } from './shard-reader.ts';

/** Whole payloads of `count` different shards of a pack, each verified against its root. KithError `not-restorable` if there are fewer. */
export async function readWholeShards(
  reader: BlobReader,
  manifest: Manifest,
  count: number,
): Promise<{ index: number; bytes: Uint8Array }[]> {
  const leaves = (classBytes[manifest.class] ?? 0) / leafBytes;
  const found: { index: number; bytes: Uint8Array }[] = [];
  for (let row = 0; row < manifest.roots.length && found.length < count;) {
    const batch = Array.from(
      { length: Math.min(count - found.length, manifest.roots.length - row) },
      (_, i) => row + i,
    );
    row += batch.length;
    const results = await Promise.all(
      batch.map(async (index) => ({
        index,
        bytes: await reader.shards.verified(manifest, index, 0, leaves),
      })),
    );
    for (const { index, bytes } of results) if (bytes !== undefined) found.push({ index, bytes });
  }
  if (found.length < count) throw tooFew(manifest, found.length, []);
  return found;
}

/** Shards of a pack made again from any k, each checked against the root that the owner signed. KithError `damaged` otherwise. */
export async function rebuildShards(
  reader: BlobReader,
  manifest: Manifest,
  wanted: readonly number[],
  coder: ErasureCoder,
): Promise<CodedShard[]> {
  const shards = remakeShards(manifest, await readWholeShards(reader, manifest, manifest.k), wanted, coder);
  for (const shard of shards) {
    const root = manifest.roots[shard.index];
    if (root === undefined || !equalBytes(merkleRoot(shard.leaves), root)) {
      throw new KithError(
        'damaged',
        `shard ${shard.index} does not come out as it was signed; nothing was stored`,
      );
    }
  }
  return shards;
}
