import { compareBytes, equalBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { blobKinds } from '../format/blob.ts';
import { ContentBuilder, type Content } from '../format/content.ts';
import { encodeTree, TreeSplitter, type TreeEntry } from '../format/tree.ts';
import type { BlobPacker } from '../pipeline/blob-packer.ts';

interface OpenFolder {
  readonly entry: TreeEntry;
  readonly splitter: TreeSplitter;
  readonly content: ContentBuilder;
  last: Uint8Array | undefined;
}

/**
 * Builds tree blobs from entries that come in a walk's order: folders open, take entries, and close into an entry of the folder above.
 * Memory: one run of entries (at most 1 MiB encoded) for each folder on the path.
 */
export class TreeBuilder {
  readonly #packer: BlobPacker;
  readonly #splitKey: Uint8Array;
  readonly #open: OpenFolder[] = [];

  /** `splitKey`: the key that decides where large folders are cut. */
  constructor(packer: BlobPacker, splitKey: Uint8Array) {
    this.#packer = packer;
    this.#splitKey = splitKey;
  }

  enter(entry: TreeEntry): void {
    this.#open.push({
      entry,
      splitter: new TreeSplitter(this.#splitKey),
      content: new ContentBuilder((bytes) => this.#packer.store(blobKinds.list, bytes)),
      last: undefined,
    });
  }

  /** Adds an entry to the innermost open folder. Names must ascend. */
  add(entry: TreeEntry): void {
    const folder = this.#open.at(-1);
    if (folder === undefined) throw new KithError('internal', 'an entry without a folder');
    if (folder.last !== undefined && compareBytes(folder.last, entry.name) >= 0) {
      throw new KithError('internal', 'a walk gave names out of order');
    }
    folder.last = entry.name;
    for (const run of folder.splitter.add(entry)) this.#store(folder, run);
  }

  #store(folder: OpenFolder, run: readonly TreeEntry[]): void {
    folder.content.add(this.#packer.store(blobKinds.tree, encodeTree(run)));
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
    for (const run of folder.splitter.finish()) this.#store(folder, run);
    const content = folder.content.finish();
    if (this.#open.length === 0) return content;
    this.add({ ...entry, content });
    return undefined;
  }
}
