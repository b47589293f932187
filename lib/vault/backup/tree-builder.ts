import { compareBytes, equalBytes } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import type { Content } from '../../format/content.ts';
import type { TreeEntry } from '../../format/tree.ts';
import { FolderRuns, isAsBefore, type RunPlace, type RunSink } from '../read/tree-runs.ts';

/** An entry of the parent snapshot with its place. */
export interface ParentEntry {
  readonly entry: TreeEntry;
  readonly place: RunPlace;
}

interface OpenFolder {
  readonly entry: TreeEntry;
  readonly runs: FolderRuns;
  /** What the parent snapshot has of the folder, and where. */
  readonly before: ParentEntry | undefined;
  last: Uint8Array | undefined;
}

/**
 * Builds tree blobs from entries that come in a walk's order: folders open, take entries, and close into an entry of the folder above.
 * Memory: one run of entries (at most 1 MiB encoded) for each folder on the path.
 */
export class TreeBuilder {
  readonly #sink: RunSink;
  readonly #splitKey: Uint8Array;
  readonly #open: OpenFolder[] = [];

  /** `splitKey`: the key that decides where large folders are cut. */
  constructor(sink: RunSink, splitKey: Uint8Array) {
    this.#sink = sink;
    this.#splitKey = splitKey;
  }

  /** `before`: what the parent snapshot has of the folder itself. */
  enter(entry: TreeEntry, before?: ParentEntry): void {
    const runs = new FolderRuns(this.#sink, this.#splitKey);
    this.#open.push({ entry, runs, before, last: undefined });
  }

  /**
   * Adds an entry to the innermost open folder. Names must ascend. `place` where it is the parent snapshot's very object.
   */
  add(entry: TreeEntry, place?: RunPlace): void {
    const folder = this.#open.at(-1);
    if (folder === undefined) throw new KithError('internal', 'an entry without a folder');
    if (folder.last !== undefined && compareBytes(folder.last, entry.name) >= 0) {
      throw new KithError('internal', 'a walk gave names out of order');
    }
    folder.last = entry.name;
    folder.runs.add(entry, place);
  }

  /**
   * Closes the innermost folder; `entry` is its metadata as the walk knows it now. Returns the content of the root when that was it,
   * otherwise adds the folder to the one above.
   */
  leave(entry: TreeEntry): Content | undefined {
    const folder = this.#open.pop();
    if (folder === undefined || !equalBytes(folder.entry.name, entry.name)) {
      throw new KithError('internal', 'a walk left a folder that it was not in');
    }
    const content = folder.runs.finish();
    if (this.#open.length === 0) return content;
    const now = { ...entry, content };
    const { before } = folder;
    if (before !== undefined && isAsBefore(now, before.entry, false)) this.add(before.entry, before.place);
    else this.add(now);
    return undefined;
  }
}
