import { compareBytes } from '../../base/bytes.ts';
import { isKithError, type KithError } from '../../base/errors.ts';
import type { Content } from '../../format/content.ts';
import { entryTypes, type TreeEntry } from '../../format/tree.ts';
import type { TreeReader } from '../read/tree-reader.ts';
import type { RunPlace, TreeRun } from '../read/tree-runs.ts';

/** One folder of the parent, and the first of its entries that the walk hasn't passed. */
interface Folder {
  readonly runs: readonly TreeRun[];
  run: number;
  index: number;
}

/**
 * The parent snapshot beside a walk: as the walk enters and leaves folders, the parent's entries of the same folder are at hand.
 * A parent that can't be read now counts as having nothing, and is told of: files are then read again, nothing is lost.
 */
export class ParentTree {
  readonly #trees: TreeReader;
  readonly #root: Content | undefined;
  readonly #onProblem: (error: KithError) => void;
  readonly #stack: Folder[] = [];

  constructor(trees: TreeReader, root: Content | undefined, onProblem: (error: KithError) => void) {
    this.#onProblem = onProblem;
    this.#trees = trees;
    this.#root = root;
  }

  /** Follows the walk into a folder; the first is the root. */
  async enter(name: Uint8Array): Promise<void> {
    const entry = this.#stack.length === 0 ? undefined : this.entry(name);
    const content = entry?.type === entryTypes.folder ? entry.content : undefined;
    const runs = await this.#load(this.#stack.length === 0 ? this.#root : content);
    this.#stack.push({ runs, run: 0, index: 0 });
  }

  leave(): void {
    this.#stack.pop();
  }

  /** What the parent had under a name in the current folder. Cheap where names are asked for in ascending order. */
  entry(name: Uint8Array): TreeEntry | undefined {
    const folder = this.#stack.at(-1);
    if (folder === undefined) return undefined;
    const passed = passedEntry(folder);
    if (passed !== undefined && compareBytes(passed.name, name) >= 0) {
      folder.run = 0;
      folder.index = 0;
    }
    for (;;) {
      const entries = folder.runs[folder.run]?.entries;
      if (entries === undefined) return undefined;
      const entry = entries[folder.index];
      if (entry !== undefined) {
        const order = compareBytes(entry.name, name);
        if (order >= 0) return order === 0 ? entry : undefined;
        folder.index++;
      } else {
        folder.run++;
        folder.index = 0;
      }
    }
  }

  /** Where the entry that `entry` gave last for the current folder stands; only right after it gave one. */
  get place(): RunPlace {
    const { runs, run, index } = this.#stack.at(-1) ?? { runs: [], run: 0, index: 0 };
    return { runs, run, index };
  }

  async #load(content: Content | undefined): Promise<readonly TreeRun[]> {
    if (content === undefined) return [];
    const runs: TreeRun[] = [];
    try {
      for await (const run of this.#trees.runs(content)) runs.push(run);
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      this.#onProblem(error);
      return [];
    }
    return runs;
  }
}

/** The entry before the one that a folder stands at. */
function passedEntry({ runs, run, index }: Folder): TreeEntry | undefined {
  return index > 0 ? runs[run]?.entries[index - 1] : runs[run - 1]?.entries.at(-1);
}

/** True if a file looks as it did: size, times and inode. ctime can't be set by programs, so an edit that resets mtime shows. */
export function looksUnchanged(now: TreeEntry, before: TreeEntry): boolean {
  return (
    now.type === entryTypes.file &&
    before.type === entryTypes.file &&
    before.error === undefined &&
    now.size === before.size &&
    now.mtimeNs === before.mtimeNs &&
    now.ctimeNs === before.ctimeNs &&
    now.inode === before.inode
  );
}

/** Whether every blob of a content is known, where that can be told without reading lists; undefined where it can't. */
export function allKnownAtOnce(
  content: Content,
  isKnown: (blobId: Uint8Array) => boolean,
): boolean | undefined {
  if (content.level > 0) return undefined;
  for (const id of content.ids) if (!isKnown(id)) return false;
  return true;
}
