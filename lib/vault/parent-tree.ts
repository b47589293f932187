import { isKithError, type KithError } from '../base/errors.ts';
import type { Content } from '../format/content.ts';
import { entryTypes, type TreeEntry } from '../format/tree.ts';
import { nameKey } from '../source/path.ts';
import type { TreeReader } from './tree-reader.ts';

type Folder = ReadonlyMap<string, TreeEntry> | undefined;

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
    if (this.#stack.length === 0) {
      this.#stack.push(await this.#load(this.#root));
      return;
    }
    const entry = this.#stack.at(-1)?.get(nameKey(name));
    this.#stack.push(entry?.type === entryTypes.folder ? await this.#load(entry.content) : undefined);
  }

  leave(): void {
    this.#stack.pop();
  }

  /** What the parent had under a name in the current folder. */
  entry(name: Uint8Array): TreeEntry | undefined {
    return this.#stack.at(-1)?.get(nameKey(name));
  }

  async #load(content: Content | undefined): Promise<Folder> {
    if (content === undefined) return undefined;
    const entries = new Map<string, TreeEntry>();
    try {
      for await (const entry of this.#trees.entries(content)) entries.set(nameKey(entry.name), entry);
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      this.#onProblem(error);
      return undefined;
    }
    return entries;
  }
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
