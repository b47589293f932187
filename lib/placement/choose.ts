import { concatBytes, utf8 } from '../base/bytes.ts';
import { hashIn } from '../crypto/hash.ts';

/** A holder as placement sees it. */
export interface Candidate {
  readonly id: string;
  /** Things that are lost together; a holder without one stands for itself. */
  readonly household: string | undefined;
  /** Bytes that it can still take. */
  readonly freeBytes: number;
}

/** The household that a holder stands for. */
export function householdOf(holder: { readonly id: string; readonly household: string | undefined }): string {
  return holder.household === undefined || holder.household === ''
    ? `holder:${holder.id}`
    : `home:${holder.household}`;
}

/**
 * Weighted rendezvous score (Wang & Ravishankar; weights as in Schindelhauer & Schomaker): each holder draws from a
 * hash of (pack, holder); more free room draws higher. Spreads packs over all holders and moves little when one comes or goes.
 */
function score(packId: Uint8Array, candidate: Candidate): number {
  const hash = hashIn('placement', concatBytes(packId, utf8(candidate.id)));
  const view = new DataView(hash.buffer, hash.byteOffset, 8);
  const unit = (view.getUint32(0, true) * 2 ** 20 + (view.getUint32(4, true) >>> 12) + 1) / (2 ** 52 + 1);
  return -Math.max(1, candidate.freeBytes) / Math.log(unit);
}

/**
 * Holders for a pack's shards, best first: one per household while there are enough, then the others. Those in
 * `taken` (they hold a shard of this pack already) never come up; their households come last.
 * Holders with less room than `shardBytes` are left out. Pure: the same input gives the same order.
 */
export function rankHolders(
  packId: Uint8Array,
  candidates: readonly Candidate[],
  shardBytes: number,
  taken: ReadonlySet<string>,
): string[] {
  const usedHouseholds = new Set(candidates.filter((c) => taken.has(c.id)).map(householdOf));
  const scored = candidates
    .filter((candidate) => !taken.has(candidate.id) && candidate.freeBytes >= shardBytes)
    .map((candidate) => ({ candidate, score: score(packId, candidate) }));
  scored.sort((a, b) => b.score - a.score || (a.candidate.id < b.candidate.id ? -1 : 1));
  const first: string[] = [];
  const second: string[] = [];
  for (const { candidate } of scored) {
    const household = householdOf(candidate);
    if (usedHouseholds.has(household)) {
      second.push(candidate.id);
    } else {
      usedHouseholds.add(household);
      first.push(candidate.id);
    }
  }
  return [...first, ...second];
}
