import { KithError } from '../../base/errors.ts';
import { countOf } from '../../base/units.ts';
import { Census } from '../shards/census.ts';
import { wholeParts } from '../shards/health.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';

/** KithError `failed` if some pack can be restored, now or once all are back, with what the holder has and can't without it. */
export async function refuseIfNeeded(session: Session, keeper: KnownHolder): Promise<void> {
  const { here } = await session.reachable();
  const { census } = await Census.take(here, (problem) => session.problem(problem), {
    damage: session.damage,
  });
  const listed = new Set(census.wholeHolders.map(({ id }) => id));
  let needed = 0;
  for (const { manifest, hints } of session.state.packs()) {
    if (session.queue.has(manifest.packId)) continue;
    const own = new Set<number>();
    const now = new Set<number>();
    const later = new Set<number>();
    for (const shard of wholeParts(census, manifest))
      (shard.keeper.id === keeper.id ? own : now).add(shard.index);
    for (const [index, ids] of hints) {
      if (index >= manifest.roots.length) continue;
      for (const id of ids) {
        if (listed.has(id) || session.holder(id) === undefined) continue;
        (id === keeper.id ? own : later).add(index);
      }
    }
    const isKey = (others: ReadonlySet<number>): boolean =>
      others.size < manifest.k && new Set([...others, ...own]).size >= manifest.k;
    if (isKey(now) || isKey(new Set([...now, ...later]))) needed++;
  }
  if (needed === 0) return;
  const parts = countOf(needed, 'part');
  throw new KithError(
    'failed',
    keeper.kind === 'drive'
      ? `without "${keeper.name}" ${parts} of your backup could not be restored from the others that are connected. ` +
          'Connect the others, or add a disk or a friend, and run `kith repair` first; --force removes it all the same.'
      : `without "${keeper.name}" ${parts} of your backup could not be restored from the others that are connected. ` +
          'Add a disk or another friend and run `kith repair` first; --force ends the friendship all the same.',
  );
}
