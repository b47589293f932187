import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../base/concurrency.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { Accounts } from './accounts.ts';
import { localAccounts } from './accounts.ts';
import type { IgnoreRules } from './ignore.ts';
import type { OnProblem } from './problem.ts';
import { sourceTree } from './source-set.ts';
import { forbiddenPlaces } from './walk-forbidden.ts';
import { TreeWalk } from './walk-tree.ts';

/** What a walk takes and leaves out. */
export interface WalkOptions {
  /** Absolute, without `.` and `..`; files or folders. A symlink is taken as itself. */
  readonly sources: readonly Uint8Array[];
  readonly ignore: IgnoreRules;
  /** Leaves out what lies on another file system than its source; mount points stay as empty folders. */
  readonly oneFileSystem?: boolean | undefined;
  /** Bytes: larger files are left out. */
  readonly excludeLargerThan?: number | undefined;
  /** Of folders with a signed CACHEDIR.TAG, only that file is taken. */
  readonly excludeCaches?: boolean | undefined;
  /** `name` or `name:beginning`: of folders with such a file, only that file is taken. */
  readonly excludeIfPresent?: readonly string[] | undefined;
  /** kith's home and drives, by path and by inode: never part of a source. */
  readonly neverEnter: readonly Uint8Array[];
  readonly accounts?: Accounts | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProblem: OnProblem;
}

/**
 * One step of a walk. Every `enter` has its `leave`; between them come the folder's entries in ascending order of
 * name bytes, a folder as its whole enter … leave. So the entries of a folder, its own to be added to its parent's at
 * `leave`, arrive in the order in which a tree holds them. Entries have no content yet; their bytes are the receiver's.
 */
export interface WalkEvent {
  readonly kind: 'enter' | 'entry' | 'leave';
  /** Absolute. */
  readonly path: Uint8Array;
  /** At `leave` as at `enter`, but for an error mark if the folder could not be listed. The root's name is empty. */
  readonly entry: TreeEntry;
  /** Device of the file system, for openForRead; 0 for what could not be looked at. */
  readonly device: bigint;
}

/** Events of one batch, or between two turns of the event loop, at most: some hundred µs of work. */
const batchEvents = 256;

/**
 * Walks the sources from the root folder down: folders above a source appear with only what leads to one. Events come
 * in batches, never empty, with a turn of the event loop between two of them: awaited one by one they would cost as
 * much again.
 * Memory: the names of the folders on the current path. What can't be read becomes an entry of type `unreadable`
 * or a folder with an error mark, and a problem; the walk goes on.
 * KithError `source-missing` and `usage` before the first event, `interrupted` when the signal fires.
 */
export async function* walkBatches(
  options: WalkOptions,
): AsyncGenerator<readonly WalkEvent[], void, undefined> {
  const walk = begin(options);
  try {
    for (;;) {
      const batch: WalkEvent[] = [];
      while (batch.length < batchEvents) {
        const event = walk.next();
        if (event === undefined) break;
        batch.push(event);
      }
      if (batch.length > 0) yield batch;
      if (batch.length < batchEvents) return;
      await setImmediate();
      throwIfAborted(options.signal);
    }
  } finally {
    walk.close();
  }
}

/** The same, one event at a time: nothing is looked at before it is asked for. */
export async function* walkSources(options: WalkOptions): AsyncGenerator<WalkEvent, void, undefined> {
  const walk = begin(options);
  let sinceTurn = 0;
  try {
    for (let event = walk.next(); event !== undefined; event = walk.next()) {
      yield event;
      if (++sinceTurn < batchEvents) continue;
      sinceTurn = 0;
      await setImmediate();
      throwIfAborted(options.signal);
    }
  } finally {
    walk.close();
  }
}

function begin(options: WalkOptions): TreeWalk {
  const root = sourceTree(options.sources);
  const forbidden = forbiddenPlaces(options.neverEnter, options.sources);
  return new TreeWalk(root, forbidden, options, options.accounts ?? localAccounts());
}
