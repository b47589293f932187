import { classBytes, leafBytes } from '../../base/limits.ts';
import { leafHashes, verifyRange } from '../../crypto/merkle.ts';
import type { Manifest } from '../../format/manifest.ts';
import { inTime } from '../holders/in-time.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';
import { windowLeaves } from './shard-reader.ts';

/** What a look at one shard found, and the bytes that came over for it. */
export interface ShardCheck {
  readonly state: 'good' | 'damaged' | 'missing';
  readonly bytesRead: number;
}

/** A friend has so long for each step of a check. */
const stepMsMax = 60_000;

/**
 * Has a shard read and verified where it lies. A drive's word is our own. A friend's isn't: one leaf, drawn at random, is asked for and
 * held against the signed root, and all of them where that is asked for, or bytes of this shard were once seen to be wrong.
 */
export async function checkShard(
  session: Session,
  keeper: KnownHolder,
  manifest: Manifest,
  index: number,
  options: { readonly everyLeaf?: boolean } = {},
): Promise<ShardCheck> {
  const ref = { packId: manifest.packId, index };
  const state = await inTime(keeper.holder, stepMsMax, () => keeper.holder.verify(ref));
  if (keeper.kind === 'drive') return { state, bytesRead: classBytes[manifest.class] ?? 0 };
  if (state !== 'good') return { state, bytesRead: 0 };
  const leaves = (classBytes[manifest.class] ?? 0) / leafBytes;
  if (options.everyLeaf === true || session.damage.has(keeper.id, manifest.packId, index)) {
    return await readLeaves(keeper, manifest, index, 0, leaves);
  }
  const [draw = 0, more = 0] = session.surroundings.random(2);
  return await readLeaves(keeper, manifest, index, (draw * 256 + more) % leaves, 1);
}

/** Reads some leaves of a shard from a friend, and holds them against its root. */
async function readLeaves(
  { holder }: KnownHolder,
  manifest: Manifest,
  index: number,
  first: number,
  count: number,
): Promise<ShardCheck> {
  const total = (classBytes[manifest.class] ?? 0) / leafBytes;
  const root = manifest.roots[index] ?? new Uint8Array(0);
  let bytesRead = 0;
  for (let leaf = first; leaf < first + count; leaf += windowLeaves) {
    const span = Math.min(windowLeaves, first + count - leaf);
    const range = await inTime(holder, stepMsMax, (signal) =>
      holder.get({ packId: manifest.packId, index }, leaf, span, { signal }),
    );
    if (range === undefined) return { state: 'missing', bytesRead };
    bytesRead += range.bytes.length;
    const whole = range.bytes.length === span * leafBytes;
    if (!whole || !verifyRange(leafHashes(range.bytes, leafBytes), leaf, total, range.proof, root))
      return { state: 'damaged', bytesRead };
  }
  return { state: 'good', bytesRead };
}
