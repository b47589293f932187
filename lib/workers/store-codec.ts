import { concatBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { hashBytes } from '../crypto/hash.ts';
import { entryTypes } from '../format/tree-entry.ts';
import type { FileToStore, StoredFile } from './store-messages.ts';

/** Numbers of a file in a batch: inode, device, size, mtime, ctime. */
const factsPerFile = 5;

/** A batch of files on its way to a thread: three arrays in place of thousands of objects, which cost more to copy than to make. */
export interface FileBatch {
  /** All paths in a row. */
  readonly paths: Uint8Array;
  /** Where each path ends. */
  readonly ends: Uint32Array;
  readonly facts: BigInt64Array;
}

/** What became of a batch. */
export interface StoredBatch {
  /** Ids of all chunks of all files that are as the walk saw them, in a row. */
  readonly ids: Uint8Array;
  /** How many ids a file has; elsewhere for one that is in `others`. */
  readonly counts: Uint32Array;
  /** The few of which there is more to say, by their places. */
  readonly others: ReadonlyMap<number, StoredFile>;
}

const elsewhere = 0xffff_ffff;

const slash = 0x2f;

export function packFiles(files: readonly FileToStore[]): FileBatch {
  const facts = new BigInt64Array(files.length * factsPerFile);
  const ends = new Uint32Array(files.length);
  let end = 0;
  for (const [i, { path, entry, device }] of files.entries()) {
    ends[i] = end += path.length;
    const { inode, size, mtimeNs, ctimeNs } = entry;
    facts.set([inode, device, BigInt(size), mtimeNs, ctimeNs].map(asSigned), i * factsPerFile);
  }
  return { paths: concatBytes(...files.map(({ path }) => path)), ends, facts };
}

function asSigned(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

/** The files of a batch. Of their entries only name, inode, size and times are known; the rest comes from the file itself. */
export function* unpackFiles({ paths, ends, facts }: FileBatch): Generator<FileToStore, void, undefined> {
  let from = 0;
  for (const [i, end] of ends.entries()) {
    const path = paths.subarray(from, end);
    from = end;
    const [inode = 0n, device = 0n, size = 0n, mtimeNs = 0n, ctimeNs = 0n] = facts.subarray(
      i * factsPerFile,
      (i + 1) * factsPerFile,
    );
    const entry = {
      name: path.subarray(path.lastIndexOf(slash) + 1),
      type: entryTypes.file,
      mode: 0,
      uid: 0,
      gid: 0,
      inode: BigInt.asUintN(64, inode),
      size: Number(size),
      mtimeNs,
      ctimeNs,
    };
    yield { path, entry, device: BigInt.asUintN(64, device) };
  }
}

/** Takes results in the order of their files. */
export class StoredBatchBuilder {
  readonly #ids: Uint8Array[] = [];
  readonly #counts: number[] = [];
  readonly #others = new Map<number, StoredFile>();

  add(stored: StoredFile, size: number): void {
    if (stored.outcome === 'stored' && isPlain(stored, size)) {
      this.#ids.push(stored.ids);
      this.#counts.push(stored.ids.length / hashBytes);
    } else {
      this.#others.set(this.#counts.length, stored);
      this.#counts.push(elsewhere);
    }
  }

  finish(): StoredBatch {
    return {
      ids: concatBytes(...this.#ids),
      counts: Uint32Array.from(this.#counts),
      others: this.#others,
    };
  }
}

/** True where ids say all: the file is the one that the walk saw. */
function isPlain(stored: StoredFile & { readonly outcome: 'stored' }, size: number): boolean {
  const { entry, changed, losses, bytes } = stored;
  return entry === undefined && !changed && losses.length === 0 && bytes === size;
}

/** The results of a batch, file by file. KithError `internal` where there are too few. */
export function* unpackStored(
  batch: StoredBatch,
  files: readonly FileToStore[],
): Generator<StoredFile, void, undefined> {
  const noLosses: readonly string[] = [];
  let at = 0;
  for (const [i, { entry }] of files.entries()) {
    const count = batch.counts[i];
    const other = batch.others.get(i);
    if (count === undefined || (count === elsewhere) !== (other !== undefined))
      throw new KithError('internal', 'a thread gave too few results');
    if (other !== undefined) {
      yield other;
      continue;
    }
    const ids = batch.ids.subarray(at, (at += count * hashBytes));
    yield { outcome: 'stored', ids, entry: undefined, bytes: entry.size, changed: false, losses: noLosses };
  }
}
