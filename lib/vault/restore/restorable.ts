import { idKey } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import type { KnownPack } from '../../catalog/catalog-state.ts';
import { allHolders, bringBack, holderNoun } from '../../placement/words.ts';
import type { Census } from '../shards/census.ts';
import { packHealth, readableParts } from '../shards/health.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';

/**
 * Makes sure that packs can be read now, so that nothing is written of a restore that can't end. `packsWanted` gives the
 * id keys of those that are needed, or undefined where that can't be found out: all are then. It is asked only if some
 * pack is short. KithError `not-restorable` says who would help.
 */
export async function checkRestorable(
  session: Session,
  census: Census,
  packsWanted: () => Promise<ReadonlySet<string> | undefined>,
): Promise<void> {
  const short = [...session.state.packs()].filter((pack) => {
    const good = new Set(readableParts(census, pack.manifest).map((shard) => shard.index));
    return good.size < pack.manifest.k && !session.queue.has(pack.manifest.packId);
  });
  if (short.length === 0) return;
  const wanted = await packsWanted();
  const lacking = short.filter((pack) => wanted === undefined || wanted.has(idKey(pack.manifest.packId)));
  if (lacking.length > 0) throw notRestorable(session, census, lacking);
}

function notRestorable(session: Session, census: Census, lacking: readonly KnownPack[]): KithError {
  const unlocking = new Map<string, KnownHolder>();
  let lost = 0;
  for (const pack of lacking) {
    const health = packHealth(session, census, pack);
    if (health.lost) lost++;
    for (const { state, holderId } of health.place.shards) {
      const keeper = state === 'suspect' && holderId !== null ? session.holder(holderId) : undefined;
      if (keeper !== undefined) unlocking.set(keeper.name, keeper);
    }
  }
  const names = [...unlocking.keys()].sort();
  const counts = { drives: session.drives().length, friends: session.friends().length };
  const advice =
    names.length > 0
      ? `${bringBack([...unlocking.values()])} and run the same command again.`
      : `No ${holderNoun(counts).one} that kith knows of has the missing parts.`;
  const dead =
    lost > 0
      ? ' Some of it is lost for good: too few parts exist. Restore single folders with SNAP:PATH to get the rest.'
      : '';
  return new KithError(
    'not-restorable',
    `this cannot be restored now: too few of the ${allHolders(counts)} that hold it can be reached. ${advice}${dead}`,
    {
      details: { away: names, packsShort: lacking.length, packsLost: lost },
    },
  );
}
