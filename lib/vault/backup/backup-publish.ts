import { recordKinds } from '../../format/log-kinds.ts';
import { logRoles } from '../../format/segment.ts';
import type { Stages } from '../../pipeline/stages.ts';
import { recordIndex, type IndexPlan } from './index-blobs.ts';
import type { KnownBlobs } from './known-blobs.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { PackStore } from './pack-store.ts';
import { savePending, waitingAmong } from '../shards/pending.ts';
import type { Session } from '../session.ts';
import type { ShardPlacer } from '../shards/shard-placer.ts';
import type { Problem } from '../types.ts';

/** What publishing works with. */
export interface PublishParts {
  readonly session: Session;
  /** All that was taken by it has settled. */
  readonly store: PackStore;
  readonly known: KnownBlobs;
  readonly placer: ShardPlacer;
  /** Holders that were here when the backup began. */
  readonly here: readonly KnownHolder[];
  readonly stages: Stages;
  readonly onProblem: (problem: Problem) => void;
}

/**
 * Writes a snapshot's record if no pack that it uses waits in the queue, else keeps it as pending (docs/vault.md, "The commit rule");
 * then gives logs to the holders. `bytes` is the encoded snapshot, which is stored in a pack. Gives the number of packs that wait.
 */
export async function publish(
  { session, store, known, placer, here, stages, onProblem }: PublishParts,
  bytes: Uint8Array,
  plan: IndexPlan | undefined,
): Promise<number> {
  known.addUsed(store.newPacks.map(({ packId }) => packId));
  known.checkStillThere();
  const waiting = waitingAmong(session, known.usedPacks);
  if (waiting.length > 0) {
    await savePending(session, bytes, waiting);
  } else {
    if (plan !== undefined) await recordIndex(session, plan, store.indexRefs);
    await session.logs.append(logRoles.catalog, [{ kind: recordKinds.snapshot, body: bytes }]);
  }
  const { reached } = await stages.wait('publish', () =>
    session.exchangeLogs(placer.answering(here).map((keeper) => keeper.holder)),
  );
  if (reached === 0 && waiting.length === 0) {
    onProblem({
      item: 'catalog',
      message:
        'it is with nobody else yet: without this computer the new snapshot could not be found. Run kith repair when a disk or a friend can take it.',
      code: 'nobody-reached',
    });
  }
  return waiting.length;
}
