import type { Manifest } from '../format/manifest.ts';
import type { Holder } from '../holders/holder.ts';
import type { KnownDrive, Session } from './session.ts';
import type { ShardPlaces } from './shard-reader.ts';

/**
 * Where a session looks for shards: holders that the ledger names first, then what waits in the home, then everybody else who is
 * here. `awayNames` are drives that aren't here and that the ledger names for the pack (or all of them, for an unknown pack).
 */
export class SessionPlaces implements ShardPlaces {
  readonly #session: Session;
  readonly #here: readonly KnownDrive[];
  readonly #away: readonly KnownDrive[];

  constructor(session: Session, here: readonly KnownDrive[], away: readonly KnownDrive[]) {
    this.#session = session;
    this.#here = here;
    this.#away = away;
  }

  holdersOf(manifest: Manifest, index: number): readonly Holder[] {
    const hinted = this.#session.state.pack(manifest.packId)?.hints.get(index);
    const holders: Holder[] = [];
    const others: Holder[] = [];
    for (const drive of this.#here) (hinted?.has(drive.id) === true ? holders : others).push(drive.holder);
    const queue = this.#session.queue.has(manifest.packId) ? this.#session.queue.holder : undefined;
    return queue === undefined ? [...holders, ...others] : [queue, ...holders, ...others];
  }

  awayNames(manifest: Manifest): readonly string[] {
    const hints = this.#session.state.pack(manifest.packId)?.hints;
    const named = new Set([...(hints?.values() ?? [])].flatMap((ids) => [...ids]));
    return this.#away
      .filter((drive) => hints === undefined || named.has(drive.id))
      .map((drive) => drive.name);
  }
}
