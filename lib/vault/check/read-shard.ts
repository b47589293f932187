import { copyBytes, equalBytes } from '../../base/bytes.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import { isKithError, messageOf } from '../../base/errors.ts';
import { classBytes, leafBytes } from '../../base/limits.ts';
import { leafHashes, verifyRange } from '../../crypto/merkle.ts';
import { verifyManifest } from '../../format/manifest.ts';
import type { Holder } from '../../holders/holder.ts';
import type { ShardCopy } from '../../pipeline/check-pack.ts';
import type { KnownPack } from '../../catalog/catalog-state.ts';
import { inTime, unlessAborted } from '../holders/in-time.ts';
import type { Session } from '../session.ts';
import { windowLeaves } from '../shards/shard-reader.ts';

/** A friend has so long for each answer: at most 512 KiB. */
const stepMsMax = 60_000;

/** A shard as it was read, or why it couldn't be: `missing` says that its holder is there and lacks it. */
export type ReadShard =
  | { readonly state: 'read'; readonly copy: ShardCopy }
  | { readonly state: 'missing' }
  | { readonly state: 'damaged'; readonly why: string };

/**
 * Reads all bytes of a shard from where it lies: the file, where the holder is read on this computer, else the leaves, each range held against the
 * signed root as it comes (and the bytes are in `into`, where they fit), so that a friend's word counts for nothing and one that gives wrong bytes is found out at once. Errors as for `Holder.get`.
 */
export async function readShard(
  session: Session,
  holder: Holder,
  pack: KnownPack,
  index: number,
  options: { readonly signal?: AbortSignal | undefined; readonly into?: Uint8Array },
): Promise<ReadShard> {
  const ref = { packId: copyBytes(pack.manifest.packId), index };
  try {
    if (holder.shardFile !== undefined) {
      const bytes = await holder.shardFile(ref, options.into);
      return bytes === undefined
        ? { state: 'missing' }
        : { state: 'read', copy: { index, bytes, form: 'file' } };
    }
    return await readLeaves(session, holder, pack, index, options);
  } catch (error) {
    if (!isKithError(error, 'shard-damaged')) throw error;
    return { state: 'damaged', why: messageOf(error) };
  }
}

async function readLeaves(
  session: Session,
  holder: Holder,
  { manifest, manifestBytes }: KnownPack,
  index: number,
  { signal, into }: { readonly signal?: AbortSignal | undefined; readonly into?: Uint8Array },
): Promise<ReadShard> {
  const { packId } = manifest;
  const ask = <T>(work: (callOff: AbortSignal | undefined) => Promise<T>): Promise<T> =>
    unlessAborted(signal, () => inTime(holder, stepMsMax, work, signal));
  const beside = await ask(() => holder.manifest({ packId, index }));
  if (beside === undefined) return { state: 'missing' };
  if (!equalBytes(beside, manifestBytes)) {
    const flaw = flawOfManifest(session, beside, packId);
    if (flaw !== undefined) return { state: 'damaged', why: flaw };
  }
  const bytes = classBytes[manifest.class] ?? 0;
  const payload =
    into !== undefined && into.length >= bytes ? into.subarray(0, bytes) : new Uint8Array(bytes);
  const total = payload.length / leafBytes;
  const root = manifest.roots[index] ?? new Uint8Array(0);
  for (let leaf = 0; leaf < total; leaf += windowLeaves) {
    throwIfAborted(signal);
    const span = Math.min(windowLeaves, total - leaf);
    const range = await ask((callOff) => holder.get({ packId, index }, leaf, span, { signal: callOff }));
    if (range === undefined) return { state: 'missing' };
    const whole = range.bytes.length === span * leafBytes;
    if (!whole || !verifyRange(leafHashes(range.bytes, leafBytes), leaf, total, range.proof, root))
      return { state: 'damaged', why: 'its bytes don’t lead to the signed root' };
    payload.set(range.bytes, leaf * leafBytes);
  }
  return { state: 'read', copy: { index, bytes: payload, form: 'payload' } };
}

/** The manifest that lies with a shard is what a bare computer would go by. */
function flawOfManifest(session: Session, bytes: Uint8Array, packId: Uint8Array): string | undefined {
  try {
    const manifest = verifyManifest(bytes, session.authority.isDevice);
    return equalBytes(manifest.packId, packId) ? undefined : 'a manifest of another pack lies with it';
  } catch (error) {
    if (!isKithError(error, 'malformed', 'not-authentic')) throw error;
    return messageOf(error);
  }
}
