import type { KnownPack } from '../catalog/catalog-state.ts';
import { toHex } from '../base/bytes.ts';
import { householdOf } from '../placement/choose.ts';
import { tolerance, type HeldShard } from '../placement/health.ts';
import type { Census } from './census.ts';
import type { Session } from './session.ts';
import type { PackPlace, ShardPlace } from './types.ts';

/** What is known of a pack now: its places, and what it survives. */
export interface PackHealth {
  readonly place: PackPlace;
  /** Households that may be lost; undefined when fewer than k shards can be reached. */
  readonly tolerates: number | undefined;
  /** The same, counting only households that aren't at home. */
  readonly offsiteTolerates: number | undefined;
  /** Shards of the policy (index < n) that nobody has, as far as is known. */
  readonly missing: readonly number[];
  /** Shards that only drives have which are away now. */
  readonly awayCount: number;
  /** True if even with everybody back fewer than k shards exist. */
  readonly lost: boolean;
}

/** Where the shards of a pack are, by the census, with the ledger's hints for drives that are away. */
export function packHealth(session: Session, census: Census, pack: KnownPack): PackHealth {
  const { manifest, hints } = pack;
  const shards: ShardPlace[] = [];
  const held: HeldShard[] = [];
  const offsite: HeldShard[] = [];
  const known = new Set<number>();
  const away = new Set<number>();
  const missing: number[] = [];
  for (const { index, drive } of census.good(manifest.packId)) {
    const household = householdOf(drive);
    held.push({ index, household });
    if (!isAtHome(drive)) offsite.push({ index, household });
    known.add(index);
    shards.push({ index, holder: drive.name, holderId: drive.id, kind: 'drive', state: 'held' });
  }
  const here = new Set(census.drives.map((drive) => drive.id));
  for (const [index, ids] of hints) {
    for (const id of ids) {
      const drive = here.has(id) ? undefined : session.drive(id);
      if (drive === undefined) continue;
      away.add(index);
      shards.push({ index, holder: drive.name, holderId: id, kind: 'drive', state: 'suspect' });
    }
  }
  for (let index = 0; index < manifest.n; index++) {
    if (known.has(index) || away.has(index)) continue;
    missing.push(index);
    const state = hints.has(index) ? 'lost' : 'missing';
    shards.push({ index, holder: null, holderId: null, kind: null, state });
  }
  shards.sort((a, b) => a.index - b.index || ((a.holder ?? '') < (b.holder ?? '') ? -1 : 1));
  const place = {
    packId: toHex(manifest.packId),
    spread: { k: manifest.k, n: manifest.n },
    generation: manifest.generation,
    shards,
  };
  return {
    place,
    tolerates: tolerance(held, manifest.k),
    offsiteTolerates: tolerance(offsite, manifest.k),
    missing,
    awayCount: [...away].filter((index) => !known.has(index)).length,
    lost: new Set([...known, ...away]).size < manifest.k && !session.queue.has(manifest.packId),
  };
}

/**
 * A drive counts as being at home unless it has been given another household: a disk of which nothing was said may well
 * stand beside the computer.
 */
function isAtHome(drive: { readonly household: string | undefined }): boolean {
  return drive.household === undefined || drive.household === '' || drive.household === 'home';
}
