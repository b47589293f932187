import { compareBytes, displayText, equalBytes, idKey, utf8 } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { treeDepthMax } from '../../base/limits.ts';
import { blobKinds } from '../../format/blob.ts';
import { contentIds, decodeList, type Content } from '../../format/content.ts';
import { decodeTree, entryTypes, type TreeEntry } from '../../format/tree.ts';
import type { BlobReader } from './blob-reader.ts';
import type { TreeRun } from './tree-runs.ts';

/** An entry of a snapshot with the names that lead to it from the root. */
export interface PlacedEntry {
  readonly names: readonly Uint8Array[];
  readonly entry: TreeEntry;
}

/** Reads trees of snapshots. Names are raw bytes throughout. */
export class TreeReader {
  readonly #blobs: BlobReader;

  constructor(blobs: BlobReader) {
    this.#blobs = blobs;
  }

  /** A folder's entries in order, one tree blob in memory at a time. Order and uniqueness are checked across blobs. */
  async *entries(content: Content): AsyncGenerator<TreeEntry, void, undefined> {
    for await (const { entries } of this.runs(content)) for (const entry of entries) yield entry;
  }

  /** The same, a tree blob at a time. */
  async *runs(content: Content): AsyncGenerator<TreeRun, void, undefined> {
    let last: Uint8Array | undefined;
    for await (const id of contentIds(content, this.#blobs.list)) {
      const entries = decodeTree(await this.#blobs.read(blobKinds.tree, id));
      const first = entries[0];
      // Nobody stores one; a list of lists of them would keep a reader busy for ever.
      if (first === undefined) throw new KithError('malformed', 'a folder has a tree without entries');
      // Inside a blob the decoder sees to it.
      if (last !== undefined && compareBytes(last, first.name) >= 0) {
        throw new KithError('malformed', 'a folder’s entries are out of order');
      }
      last = entries.at(-1)?.name;
      yield { id, entries };
    }
  }

  /** One entry of a folder by name. */
  async child(content: Content, name: Uint8Array): Promise<TreeEntry | undefined> {
    for await (const entry of this.entries(content)) if (equalBytes(entry.name, name)) return entry;
    return undefined;
  }

  /** The entry at a path, given as names from the root; undefined if there is none. The root itself has no entry. */
  async at(root: Content, names: readonly Uint8Array[]): Promise<TreeEntry | undefined> {
    let content: Content | undefined = root;
    let entry: TreeEntry | undefined;
    for (const name of names) {
      if (content === undefined) return undefined;
      entry = await this.child(content, name);
      if (entry === undefined) return undefined;
      content = entry.type === entryTypes.folder ? entry.content : undefined;
    }
    return entry;
  }

  /** Everything below a folder, depth first, each folder before what is in it. */
  async *walk(
    content: Content,
    above: readonly Uint8Array[] = [],
  ): AsyncGenerator<PlacedEntry, void, undefined> {
    if (above.length > treeDepthMax)
      throw new KithError('limit-exceeded', 'folders lie too deep inside each other');
    for await (const entry of this.entries(content)) {
      const names = [...above, entry.name];
      yield { names, entry };
      if (entry.type === entryTypes.folder && entry.content !== undefined)
        yield* this.walk(entry.content, names);
    }
  }

  /**
   * Ids of all blobs that a content needs: lists, and what they name. A list that stands in it several times is looked
   * into once, so that the work is bounded by what is stored.
   */
  async *blobIds(
    content: Content,
  ): AsyncGenerator<{ kind: 'list' | 'leaf'; id: Uint8Array }, void, undefined> {
    const seen = new Set<string>();
    const open = [{ level: content.level, ids: content.ids.values() }];
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const next = top.ids.next();
      if (next.done === true) {
        open.pop();
      } else if (top.level === 0) {
        yield { kind: 'leaf', id: next.value };
      } else if (!seen.has(idKey(next.value))) {
        seen.add(idKey(next.value));
        const list = decodeList(await this.#blobs.list(next.value), top.level - 1);
        yield { kind: 'list', id: next.value };
        open.push({ level: list.level, ids: list.ids.values() });
      }
    }
  }
}

/** Names of an absolute path inside a snapshot, as typed. */
export function namesOf(path: string): Uint8Array[] {
  return path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .map((name) => {
      if (name === '..') throw new KithError('usage', 'a path inside a snapshot has no ".."');
      return utf8(name);
    });
}

/** A path for people. */
export function pathOf(names: readonly Uint8Array[]): string {
  return `/${names.map(displayText).join('/')}`;
}
