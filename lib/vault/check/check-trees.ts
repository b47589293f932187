import { compareBytes, idKey } from '../../base/bytes.ts';
import { throwIfAborted } from '../../base/concurrency.ts';
import { KithError, isKithError, messageOf } from '../../base/errors.ts';
import { treeDepthMax } from '../../base/limits.ts';
import type { BlobIndex } from '../../catalog/blob-index.ts';
import { blobKinds } from '../../format/blob.ts';
import { decodeList, type Content } from '../../format/content.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import { decodeTree, entryTypes, type TreeEntry } from '../../format/tree.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import { pathOf } from '../read/tree-reader.ts';
import type { Problem } from '../types.ts';

/** How a blob, a file or a snapshot stands; of several things the worst counts, of several copies the best. */
export const grades = {
  good: 0,
  /** Not restorable now: those who have it are away. */
  away: 1,
  /** Nobody that kith knows of has it. */
  gone: 2,
  /** It is there, and is not what it should be. */
  damaged: 3,
} as const;
export type Grade = (typeof grades)[keyof typeof grades];

/** Files that are named for one snapshot; a snapshot that is lost altogether has said enough. */
const namedMax = 20;
/** Missing blobs that are told apart; beyond them each mention counts. */
const missingMax = 65_536;

/** What a content is, and the bytes of what it names. */
interface ContentFound {
  readonly grade: Grade;
  readonly bytes: number;
}

function worse(one: Grade, other: Grade): Grade {
  return one > other ? one : other;
}

/** What the walk goes by. */
export interface TreeCheckOptions {
  readonly index: BlobIndex;
  readonly reader: BlobReader;
  /** How a pack stands as a whole. */
  readonly gradeOfPack: (packId: Uint8Array) => Grade;
  /** True for an entry of the index whose bytes were found to be something else. */
  readonly isBad: (entry: number) => boolean;
  /** What a blob is that no pack of the index has: its pack may be one that can't be looked into. */
  readonly gradeOfUnknown: Grade;
  readonly onProblem: (problem: Problem) => void;
  /** Called with the entries seen so far. */
  readonly onEntries: (count: number) => void;
  readonly signal: AbortSignal | undefined;
}

/**
 * Walks the trees of snapshots and sees that all they name is there. A tree or list that several share is read once, and its grade kept: a byte for each
 * blob of the index, whatever the number of snapshots.
 */
export class TreeCheck {
  readonly #options: TreeCheckOptions;
  /** By entry number: 0 for a tree that wasn't read, else its grade + 1. */
  #trees: Uint8Array;
  /** The same of folders that are more than one tree, by their content. */
  readonly #folders = new Map<string, Grade>();
  readonly #lists = new Map<number, ContentFound>();
  readonly #packGrades: (Grade | undefined)[] = [];
  readonly #usedPacks = new Set<number>();
  readonly #missing = new Set<string>();
  #moreMissing = 0;
  #entries = 0;
  #sawAll = true;
  #named = 0;
  #snapshot = '';

  constructor(options: TreeCheckOptions) {
    this.#options = options;
    this.#trees = new Uint8Array(options.index.size);
  }

  /** Blobs that snapshots need and no pack has. */
  get blobsMissing(): number {
    return this.#missing.size + this.#moreMissing;
  }

  /** False once something on the way couldn't be read: what lies below it is needed too, and wasn't seen. */
  get sawAll(): boolean {
    return this.#sawAll;
  }

  /** Counts a blob among those that are needed, without walking it. */
  use(blobId: Uint8Array): void {
    if (this.#options.index.has(blobId)) this.#best(blobId);
  }

  /** Entries of trees, each tree once. */
  get entries(): number {
    return this.#entries;
  }

  /** Ids (as keys) of the packs from which some blob of a snapshot is best had. */
  usedPacks(): Set<string> {
    return new Set([...this.#usedPacks].map((pack) => idKey(this.#options.index.packAt(pack))));
  }

  /** The worst that is true of anything below a snapshot. */
  async snapshot(shortId: string, { root }: Snapshot): Promise<Grade> {
    this.#snapshot = shortId;
    this.#named = 0;
    return await this.#folder(root, []);
  }

  gradeOfEntry(entry: number): Grade {
    const { index, isBad } = this.#options;
    return isBad(entry) ? grades.damaged : this.#gradeOfPack(index.entryAt(entry).pack);
  }

  #gradeOfPack(pack: number): Grade {
    return (this.#packGrades[pack] ??= this.#options.gradeOfPack(this.#options.index.packAt(pack)));
  }

  /** The best of a blob's places, and which that is. */
  #best(blobId: Uint8Array): { readonly grade: Grade; readonly entry: number | undefined } {
    let best: Grade | undefined;
    let entry: number | undefined;
    for (const at of this.#options.index.entriesOf(blobId)) {
      const grade = this.gradeOfEntry(at);
      if (best !== undefined && best <= grade) continue;
      best = grade;
      entry = at;
    }
    if (entry !== undefined) this.#usedPacks.add(this.#options.index.entryAt(entry).pack);
    else this.#miss(blobId);
    return { grade: best ?? this.#options.gradeOfUnknown, entry };
  }

  #miss(blobId: Uint8Array): void {
    if (this.#options.gradeOfUnknown !== grades.gone) return;
    if (this.#missing.size < missingMax) this.#missing.add(idKey(blobId));
    else if (!this.#missing.has(idKey(blobId))) this.#moreMissing++;
  }

  async #folder(content: Content, names: readonly Uint8Array[]): Promise<Grade> {
    const { signal } = this.#options;
    throwIfAborted(signal);
    if (names.length > treeDepthMax) {
      this.#tell(names, 'folders lie too deep inside each other', 'limit-exceeded');
      return grades.damaged;
    }
    const [only] = content.ids;
    if (content.level === 0 && content.ids.length === 1 && only !== undefined) {
      return (await this.#tree(only, names, undefined)).grade;
    }
    const key = `${content.level}${content.ids.map(idKey).join('')}`;
    const known = this.#folders.get(key);
    if (known !== undefined) return known;
    // A folder that stands in itself can't be: its content would have to name itself.
    let grade: Grade = grades.good;
    let last: Uint8Array | undefined;
    for await (const found of this.#leaves(content, names, new Set())) {
      if (found.id === undefined) {
        grade = worse(grade, found.grade);
        continue;
      }
      const tree = await this.#tree(found.id, names, last);
      grade = worse(grade, tree.grade);
      last = tree.last ?? last;
    }
    this.#folders.set(key, grade);
    return grade;
  }

  /** The ids at the bottom of a content, and the grades of lists on the way that are not good. */
  async *#leaves(
    content: Content,
    names: readonly Uint8Array[],
    seen: Set<string>,
  ): AsyncGenerator<{ readonly id: Uint8Array | undefined; readonly grade: Grade }> {
    for (const id of content.ids) {
      if (content.level === 0) {
        yield { id, grade: grades.good };
        continue;
      }
      if (seen.has(idKey(id))) {
        // Its entries would come twice; looking into it again and again could take for ever.
        this.#tell(names, 'a folder has the same entries twice', 'malformed');
        yield { id: undefined, grade: grades.damaged };
        continue;
      }
      seen.add(idKey(id));
      const read = await this.#read(blobKinds.list, id, names, (bytes) =>
        decodeList(bytes, content.level - 1),
      );
      yield { id: undefined, grade: read.grade };
      if (read.value !== undefined) yield* this.#leaves(read.value, names, seen);
    }
  }

  /** Reads a tree and all below it, unless that was done. `last`: the name that came before in the same folder. */
  async #tree(
    id: Uint8Array,
    names: readonly Uint8Array[],
    last: Uint8Array | undefined,
  ): Promise<{ readonly grade: Grade; readonly last?: Uint8Array | undefined }> {
    const entry = this.#options.index.entriesOf(id)[0];
    const known = entry === undefined ? 0 : (this.#trees[entry] ?? 0);
    if (known > 0) return { grade: (known - 1) as Grade };
    const read = await this.#read(blobKinds.tree, id, names, decodeTree);
    let grade = read.grade;
    const tree = read.value ?? [];
    const [first] = tree;
    const outOfOrder = last !== undefined && first !== undefined && compareBytes(last, first.name) >= 0;
    if (read.value !== undefined && (first === undefined || outOfOrder)) {
      this.#tell(names, 'a folder’s entries are out of order, or there are none', 'malformed');
      grade = grades.damaged;
    }
    for (const each of tree) {
      const { content } = each;
      this.#entries++;
      if (content === undefined) continue;
      if (each.type === entryTypes.folder) {
        grade = worse(grade, await this.#folder(content, [...names, each.name]));
      } else {
        // Most files are a few chunks: no promise for each of these.
        const found = content.level === 0 ? this.#chunks(content) : await this.#content(content, names, each);
        grade = worse(grade, this.#file(names, each, found));
      }
    }
    this.#options.onEntries(this.#entries);
    if (entry !== undefined) this.#keep(entry, grade);
    return { grade, last: tree.at(-1)?.name };
  }

  #keep(entry: number, grade: Grade): void {
    if (entry >= this.#trees.length) {
      // Packs may have been added meanwhile by an operation that writes.
      const grown = new Uint8Array(Math.max(this.#options.index.size, entry + 1));
      grown.set(this.#trees);
      this.#trees = grown;
    }
    this.#trees[entry] = grade + 1;
  }

  #file(names: readonly Uint8Array[], entry: TreeEntry, { grade, bytes }: ContentFound): Grade {
    if (grade === grades.gone)
      this.#tell([...names, entry.name], 'parts of it are in no pack that is left', 'blob-missing');
    if (grade === grades.damaged) this.#tell([...names, entry.name], 'parts of it are damaged', 'damaged');
    if (grade !== grades.good || entry.sparse !== undefined || bytes === entry.size) return grade;
    const words = `its content is ${bytes} bytes long where its entry says ${entry.size}`;
    this.#tell([...names, entry.name], words, 'malformed');
    return grades.damaged;
  }

  #chunks({ ids }: Content): ContentFound {
    let grade: Grade = grades.good;
    let bytes = 0;
    for (const id of ids) {
      const best = this.#best(id);
      grade = worse(grade, best.grade);
      if (best.entry !== undefined) bytes += this.#options.index.entryAt(best.entry).length;
    }
    return { grade, bytes };
  }

  /** The same through lists. One list that stands in many places is read once. */
  async #content(content: Content, names: readonly Uint8Array[], entry: TreeEntry): Promise<ContentFound> {
    if (content.level === 0) return this.#chunks(content);
    throwIfAborted(this.#options.signal);
    let grade: Grade = grades.good;
    let bytes = 0;
    for (const id of content.ids) {
      const at = this.#options.index.entriesOf(id)[0];
      let found = at === undefined ? undefined : this.#lists.get(at);
      if (found === undefined) {
        const path = [...names, entry.name];
        const read = await this.#read(blobKinds.list, id, path, (list) =>
          decodeList(list, content.level - 1),
        );
        const below = read.value === undefined ? undefined : await this.#content(read.value, names, entry);
        found = { grade: worse(read.grade, below?.grade ?? grades.good), bytes: below?.bytes ?? 0 };
        if (at !== undefined) this.#lists.set(at, found);
      }
      grade = worse(grade, found.grade);
      bytes += found.bytes;
    }
    return { grade, bytes };
  }

  /** Reads and decodes a tree or a list; where that fails, `value` is undefined and the grade says how bad that is. */
  async #read<T>(
    kind: (typeof blobKinds)['tree' | 'list'],
    id: Uint8Array,
    names: readonly Uint8Array[],
    decode: (bytes: Uint8Array) => T,
  ): Promise<{ readonly grade: Grade; readonly value: T | undefined }> {
    const read = await this.#tryToRead(kind, id, names, decode);
    if (read.value === undefined) this.#sawAll = false;
    return read;
  }

  async #tryToRead<T>(
    kind: (typeof blobKinds)['tree' | 'list'],
    id: Uint8Array,
    names: readonly Uint8Array[],
    decode: (bytes: Uint8Array) => T,
  ): Promise<{ readonly grade: Grade; readonly value: T | undefined }> {
    const { grade } = this.#best(id);
    const what = kind === blobKinds.tree ? 'the list of what is in it' : 'the list of its parts';
    if (grade >= grades.gone) {
      const code = grade === grades.gone ? 'blob-missing' : 'damaged';
      this.#tell(names, `${what} is ${grade === grades.gone ? 'in no pack that is left' : 'damaged'}`, code);
      return { grade, value: undefined };
    }
    try {
      return { grade, value: decode(await this.#options.reader.read(kind, id)) };
    } catch (error) {
      if (!isKithError(error) || error.code === 'interrupted') throw error;
      if (grade === grades.away || error.code === 'not-restorable' || error.code === 'blob-missing')
        return { grade: grades.away, value: undefined };
      this.#tell(names, `${what} can’t be read: ${messageOf(error)}`, error.code);
      return { grade: grades.damaged, value: undefined };
    }
  }

  /** Names what is wrong, some times for each snapshot. */
  #tell(names: readonly Uint8Array[], message: string, code: KithError['code']): void {
    this.#named++;
    if (this.#named > namedMax) return;
    const more = this.#named === namedMax ? ' (no more are named)' : '';
    this.#options.onProblem({
      item: `${this.#snapshot}:${pathOf(names)}`,
      message: `${message}${more}`,
      code,
    });
  }
}
