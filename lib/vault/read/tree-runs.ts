import { equalBytes } from '../../base/bytes.ts';
import { blobKinds } from '../../format/blob.ts';
import { ContentBuilder, type Content } from '../../format/content.ts';
import { encodeTree, TreeSplitter, type TreeEntry } from '../../format/tree.ts';
import type { BlobPacker } from '../../pipeline/blob-packer.ts';

/** One tree blob of a folder as an earlier snapshot has it. */
export interface TreeRun {
  readonly id: Uint8Array;
  readonly entries: readonly TreeEntry[];
}

/** Where an entry stands in an earlier snapshot: `runs[run].entries[index]`. */
export interface RunPlace {
  readonly runs: readonly TreeRun[];
  readonly run: number;
  readonly index: number;
}

/** What the runs of a folder go to. */
export interface RunSink {
  readonly packer: Pick<BlobPacker, 'store'>;
  /** True if the vault has a blob; notes that this backup needs it. */
  readonly isKnown: (blobId: Uint8Array) => boolean;
}

/**
 * One folder on its way into tree blobs. Entries that stand in the parent's trees as they are, in whole runs, keep the blobs that they are in:
 * nothing is encoded, hashed or compressed for them. The content is the same, id for id, as if all had been split and encoded anew: a run
 * is kept only from an entry that begins one by its own name and size up to the next such entry or the folder's end.
 *
 * Memory: one run of entries; those of the parent are held by it anyway.
 */
export class FolderRuns {
  readonly #sink: RunSink;
  readonly #splitter: TreeSplitter;
  readonly #content: ContentBuilder;
  /** Where the kept entries begin, and the place behind the last of them; undefined while entries go to the splitter. */
  #kept: { readonly from: number; readonly runs: readonly TreeRun[]; run: number; index: number } | undefined;
  #isEmpty = true;

  /** `splitKey`: as TreeSplitter's. */
  constructor(sink: RunSink, splitKey: Uint8Array) {
    this.#sink = sink;
    this.#splitter = new TreeSplitter(splitKey);
    this.#content = new ContentBuilder((bytes) => sink.packer.store(blobKinds.list, bytes));
  }

  /**
   * Adds the next entry; names must ascend. `place` where it is the parent's very object.
   */
  add(entry: TreeEntry, place?: RunPlace): void {
    const isFirst = this.#isEmpty;
    this.#isEmpty = false;
    const kept = this.#kept;
    if (place !== undefined && place.index > 0 && kept !== undefined && follows(kept, place)) {
      kept.index++;
      return;
    }
    this.#addApart(entry, place, isFirst);
  }

  #addApart(entry: TreeEntry, place: RunPlace | undefined, isFirst: boolean): void {
    const begins = isFirst || this.#splitter.begins(entry);
    const kept = this.#kept;
    if (kept !== undefined && place !== undefined && !begins && follows(kept, place)) {
      // A run that was cut for its length: it belongs together with the one before.
      kept.run = place.run;
      kept.index = 1;
      return;
    }
    if (begins) this.#closeRun();
    else this.#dissolve();
    const mayKeep = place?.index === 0 && (place.run === 0 || this.#splitter.begins(entry));
    if (begins && place !== undefined && mayKeep) {
      this.#kept = { from: place.run, runs: place.runs, run: place.run, index: 1 };
    } else {
      this.#split(entry);
    }
  }

  /** The content of the folder. The object is used up. */
  finish(): Content {
    this.#closeRun();
    return this.#content.finish();
  }

  /** Ends what was gathered: here a run begins, or the folder ends. */
  #closeRun(): void {
    const kept = this.#kept;
    if (kept !== undefined && kept.runs[kept.run]?.entries.length === kept.index && this.#isWhole(kept)) {
      this.#kept = undefined;
      for (const run of kept.runs.slice(kept.from, kept.run + 1)) {
        if (this.#sink.isKnown(run.id)) this.#content.add(run.id);
        else this.#store(run.entries);
      }
      return;
    }
    this.#dissolve();
    for (const run of this.#splitter.finish()) this.#store(run);
  }

  /** False for some of the runs that one was cut into for its length: less of it may be cut elsewhere. */
  #isWhole({
    from,
    run,
    runs,
  }: {
    readonly from: number;
    readonly run: number;
    readonly runs: readonly TreeRun[];
  }): boolean {
    const next = runs[run + 1]?.entries[0];
    return from === run || next === undefined || this.#splitter.begins(next);
  }

  /** Hands the kept entries to the splitter: they get a neighbour that they didn't have, or lost one. */
  #dissolve(): void {
    const kept = this.#kept;
    if (kept === undefined) return;
    this.#kept = undefined;
    for (let at = kept.from; at <= kept.run; at++) {
      const entries = kept.runs[at]?.entries ?? [];
      for (const entry of at === kept.run ? entries.slice(0, kept.index) : entries) this.#split(entry);
    }
  }

  #split(entry: TreeEntry): void {
    for (const run of this.#splitter.add(entry)) this.#store(run);
  }

  #store(run: readonly TreeEntry[]): void {
    this.#content.add(this.#sink.packer.store(blobKinds.tree, encodeTree(run)));
  }
}

/** True for the place right behind the kept ones. */
function follows(
  kept: { readonly runs: readonly TreeRun[]; readonly run: number; readonly index: number },
  place: RunPlace,
): boolean {
  if (place.runs !== kept.runs) return false;
  if (place.run === kept.run) return place.index === kept.index;
  return (
    place.run === kept.run + 1 && place.index === 0 && kept.runs[kept.run]?.entries.length === kept.index
  );
}

/**
 * True for a thing that is just as it was: then what the parent has of it, the very object, stands for it in the new tree. `now` is what
 * the walk tells. What a walk doesn't tell of a file (content, sparse map, extended attributes) is taken over with it, since ctime shows
 * any change of these. For a folder the content is compared: it must be that of `now`.
 */
export function isAsBefore(now: TreeEntry, before: TreeEntry, isFile: boolean): boolean {
  return (
    before.error === undefined &&
    now.error === undefined &&
    now.type === before.type &&
    now.size === before.size &&
    now.mtimeNs === before.mtimeNs &&
    now.ctimeNs === before.ctimeNs &&
    now.inode === before.inode &&
    now.mode === before.mode &&
    now.uid === before.uid &&
    now.gid === before.gid &&
    now.user === before.user &&
    now.group === before.group &&
    now.birthtimeNs === before.birthtimeNs &&
    sameBytes(now.linkTarget, before.linkTarget) &&
    now.device?.major === before.device?.major &&
    now.device?.minor === before.device?.minor &&
    now.hardlink?.device === before.hardlink?.device &&
    now.hardlink?.inode === before.hardlink?.inode &&
    now.hardlink?.links === before.hardlink?.links &&
    (isFile || sameBesides(now, before)) &&
    equalBytes(now.name, before.name)
  );
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equalBytes(a, b);
}

function sameBesides(now: TreeEntry, before: TreeEntry): boolean {
  const mine = now.xattrs ?? [];
  const theirs = before.xattrs ?? [];
  return (
    now.flags === before.flags &&
    (now.xattrs === undefined) === (before.xattrs === undefined) &&
    before.extra === undefined &&
    mine.length === theirs.length &&
    mine.every(
      ({ name, value }, i) => sameBytes(name, theirs[i]?.name) && sameBytes(value, theirs[i]?.value),
    ) &&
    sameContent(now.content, before.content)
  );
}

/** True for the same ids at the same level; nothing counts as an empty content. */
export function sameContent(a: Content | undefined, b: Content | undefined): boolean {
  const [left, right] = [a?.ids ?? [], b?.ids ?? []];
  return (
    (a?.level ?? 0) === (b?.level ?? 0) &&
    left.length === right.length &&
    left.every((id, i) => sameBytes(id, right[i]))
  );
}
