import type { Manifest } from '../../format/manifest.ts';
import type { Holder } from '../../holders/holder.ts';
import type { NamedHolder } from '../../placement/words.ts';
import type { Census } from './census.ts';
import type { KnownHolder } from '../holders/known-holder.ts';
import type { Session } from '../session.ts';
import type { ShardPlaces } from './shard-reader.ts';

/**
 * Where a session looks for shards: what waits in the home, then holders that the ledger names or that list the shard, then every other
 * drive that is here. Friends who were listed and don't have it aren't asked again.
 */
export class SessionPlaces implements ShardPlaces {
  readonly #session: Session;
  readonly #here: readonly KnownHolder[];
  readonly #away: readonly KnownHolder[];
  readonly #census: Census | undefined;

  constructor(
    session: Session,
    here: readonly KnownHolder[],
    away: readonly KnownHolder[],
    census: Census | undefined,
  ) {
    this.#session = session;
    this.#here = here;
    this.#away = away;
    this.#census = census;
  }

  holdersOf(manifest: Manifest, index: number): readonly Holder[] {
    const { packId } = manifest;
    const hinted = this.#session.state.pack(packId)?.hints.get(index);
    const holders: Holder[] = [];
    const others: Holder[] = [];
    for (const keeper of this.#here) {
      const lists = this.#census?.lists(packId, index, keeper);
      // The ledger may have learned since the listing, from an operation that writes beside this one.
      if (lists === true || hinted?.has(keeper.id) === true) holders.push(keeper.holder);
      else if (lists === undefined || keeper.kind === 'drive') others.push(keeper.holder);
    }
    const queue = this.#session.queue.has(packId) ? this.#session.queue.holder : undefined;
    return queue === undefined ? [...holders, ...others] : [queue, ...holders, ...others];
  }

  isKnownAt(holder: Holder, { packId }: Manifest, index: number): boolean {
    if (this.#session.state.pack(packId)?.hints.get(index)?.has(holder.id) === true) return true;
    const keeper = this.#here.find(({ id }) => id === holder.id);
    return keeper !== undefined && this.#census?.lists(packId, index, keeper) === true;
  }

  away(manifest: Manifest): readonly NamedHolder[] {
    const hints = this.#session.state.pack(manifest.packId)?.hints;
    const named = new Set([...(hints?.values() ?? [])].flatMap((ids) => [...ids]));
    return this.#away.filter((keeper) => hints === undefined || named.has(keeper.id));
  }

  async isBack(holder: Holder): Promise<boolean> {
    if (holder.kind === 'friend' && !this.#session.network.presence(holder.id).online) return false;
    return (await holder.check()).available;
  }
}
