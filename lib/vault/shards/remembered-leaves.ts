import { leafBytes } from '../../base/limits.ts';

/** Leaves that are remembered: 48 MiB. */
const leavesMax = 768;

/** Leaves of one shard that were fetched together, or are on their way. */
interface LeafRun {
  readonly shard: string;
  readonly firstLeaf: number;
  readonly leafCount: number;
  readonly bytes: Promise<Uint8Array>;
  /** Once they are there. */
  there: Uint8Array | undefined;
}

/** Fetches leaves of a shard that are not remembered; they must be verified. */
export type FetchLeaves = (firstLeaf: number, leafCount: number) => Promise<Uint8Array>;

/**
 * Verified leaves, and those on their way, for whoever comes back to the same shards: 48 MiB at most, the oldest go first. What failed to come
 * isn't remembered. Shards are told apart by keys of the caller's.
 */
export class RememberedLeaves {
  readonly #windowLeaves: number;
  /** In the order in which they were fetched. */
  readonly #runs = new Set<LeafRun>();
  #leaves = 0;

  /** `windowLeaves`: so many are fetched together at most. */
  constructor(windowLeaves: number) {
    this.#windowLeaves = windowLeaves;
  }

  /** A range: from what is remembered, and what lies between that, which is fetched. Only to be read. Errors are those of `fetch`. */
  async range(shard: string, firstLeaf: number, leafCount: number, fetch: FetchLeaves): Promise<Uint8Array> {
    const untilLeaf = firstLeaf + leafCount;
    const runs = this.#runsFor(shard, firstLeaf, leafCount, fetch);
    const [only] = runs;
    if (runs.length === 1 && only !== undefined) return await partOf(only, firstLeaf, untilLeaf, fetch);
    const joined = new Uint8Array(leafCount * leafBytes);
    for (const run of runs) {
      const from = Math.max(firstLeaf, run.firstLeaf);
      const until = Math.min(untilLeaf, run.firstLeaf + run.leafCount);
      joined.set(await partOf(run, from, until, fetch), (from - firstLeaf) * leafBytes);
    }
    return joined;
  }

  /** A range that lies within one that is there; a view. */
  found(shard: string, firstLeaf: number, leafCount: number): Uint8Array | undefined {
    for (const run of this.#runs) {
      if (run.shard !== shard || run.there === undefined) continue;
      const at = firstLeaf - run.firstLeaf;
      if (at >= 0 && at + leafCount <= run.leafCount)
        return run.there.subarray(at * leafBytes, (at + leafCount) * leafBytes);
    }
    return undefined;
  }

  #runsFor(shard: string, firstLeaf: number, leafCount: number, fetch: FetchLeaves): LeafRun[] {
    const known = [...this.#runs].filter((run) => run.shard === shard);
    const needed: LeafRun[] = [];
    for (let at = firstLeaf; at < firstLeaf + leafCount;) {
      const there = known.find((run) => run.firstLeaf <= at && at < run.firstLeaf + run.leafCount);
      if (there !== undefined) {
        needed.push(there);
        at = there.firstLeaf + there.leafCount;
        continue;
      }
      const next = Math.min(
        firstLeaf + leafCount,
        at + this.#windowLeaves,
        ...known.filter((run) => run.firstLeaf > at).map((run) => run.firstLeaf),
      );
      const run = {
        shard,
        firstLeaf: at,
        leafCount: next - at,
        bytes: fetch(at, next - at),
        there: undefined,
      };
      this.#remember(run);
      needed.push(run);
      at = next;
    }
    return needed;
  }

  #remember(run: LeafRun): void {
    this.#runs.add(run);
    this.#leaves += run.leafCount;
    const forget = (old: LeafRun): void => {
      if (this.#runs.delete(old)) this.#leaves -= old.leafCount;
    };
    run.bytes.then(
      (bytes) => {
        run.there = bytes;
      },
      () => forget(run),
    );
    for (const oldest of this.#runs) {
      if (this.#leaves <= leavesMax) break;
      forget(oldest);
    }
  }
}

/**
 * Some leaves of a run, up to `until` without it. A run that was on its way for somebody else may fail for leaves that aren't asked for here: then these are
 * fetched alone.
 */
async function partOf(run: LeafRun, from: number, until: number, fetch: FetchLeaves): Promise<Uint8Array> {
  try {
    const at = (from - run.firstLeaf) * leafBytes;
    return (await run.bytes).subarray(at, at + (until - from) * leafBytes);
  } catch (error) {
    if (from === run.firstLeaf && until === run.firstLeaf + run.leafCount) throw error;
    return await fetch(from, until - from);
  }
}
