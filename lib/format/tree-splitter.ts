import { utf8 } from '../base/bytes.ts';
import { Hasher } from '../crypto/hash.ts';
import type { TreeEntry } from './tree-entry.ts';

/** Bytes of a tree blob that the odds of a cut aim at. */
const treeBytesTarget: number = 256 * 1024;

/** Longer runs are cut again. */
const treeBytesMax: number = 1024 * 1024;

/** What the hash of a name begins with, so that the same key can serve other purposes. */
const purpose = utf8('tree cut');

/** Bytes of an entry's fixed part, of an optional field with a number in it, and of the frame around any other. */
const fixedBytes = 64;
const numberFieldBytes = 24;
const fieldHeadBytes = 8;

interface WeighedEntry {
  readonly entry: TreeEntry;
  readonly bytes: number;
  /** Of the name: uniform in [0, 1), the same wherever the name stands. */
  readonly draw: number;
}

/** Bytes that an entry takes at most, close to what it does take, from its sizes alone. */
function entryBytes(entry: TreeEntry): number {
  const { content, linkTarget, sparse, xattrs, error, extra } = entry;
  let bytes = fixedBytes + entry.name.length + 32 * (content?.ids.length ?? 0);
  bytes += 3 * ((entry.user?.length ?? 0) + (entry.group?.length ?? 0));
  for (const field of [entry.device, entry.birthtimeNs, entry.hardlink, entry.flags]) {
    if (field !== undefined) bytes += numberFieldBytes;
  }
  if (linkTarget !== undefined) bytes += fieldHeadBytes + linkTarget.length;
  if (sparse !== undefined) bytes += fieldHeadBytes + 16 * sparse.length;
  if (error !== undefined) bytes += fieldHeadBytes + 3 * error.length;
  if (xattrs !== undefined) bytes += fieldHeadBytes;
  for (const { name, value } of xattrs ?? []) bytes += fieldHeadBytes + name.length + value.length;
  for (const field of extra ?? []) bytes += fieldHeadBytes + field.bytes.length;
  return bytes;
}

function begins({ draw, bytes }: WeighedEntry): boolean {
  return draw * treeBytesTarget < bytes;
}

/**
 * Cuts a folder's entries, given in order, into runs that make one tree blob each: 256 KiB on average, never over
 * 1 MiB unless one entry is. Whether a run begins at an entry follows from a keyed hash of its name (and its own
 * size), not from its neighbours, so that a name that comes or goes changes one or two runs. Holds one run in memory.
 */
export class TreeSplitter {
  readonly #hasher: Hasher;
  #run: WeighedEntry[] = [];
  /** The last that was asked for: most are asked whether they begin a run, and then added. */
  #weighed: WeighedEntry | undefined;

  /** `key`: 32 bytes, so that the sizes of runs tell strangers nothing of the names. Copied. */
  constructor(key: Uint8Array) {
    this.#hasher = Hasher.keyed(key);
  }

  /** True for an entry that begins a run whatever stands before it. */
  begins(entry: TreeEntry): boolean {
    return begins(this.#weigh(entry));
  }

  /** Takes the next entry and gives the runs that are now complete, often none. */
  add(entry: TreeEntry): TreeEntry[][] {
    const weighed = this.#weigh(entry);
    const done = begins(weighed) ? this.finish() : [];
    this.#run.push(weighed);
    return done;
  }

  #weigh(entry: TreeEntry): WeighedEntry {
    if (this.#weighed?.entry === entry) return this.#weighed;
    const draw = this.#hasher.hashNumber(purpose, entry.name) / 2 ** 32;
    this.#weighed = { entry, bytes: entryBytes(entry), draw };
    return this.#weighed;
  }

  /** The runs that are left. An empty folder has none. */
  finish(): TreeEntry[][] {
    const run = this.#run;
    this.#run = [];
    return cutLongRun(run);
  }
}

/**
 * Cuts a run that is too long before the entry with the smallest draw, and the halves again: where the cuts lie
 * follows from the names there, and not from where the run begins.
 */
function cutLongRun(run: readonly WeighedEntry[]): TreeEntry[][] {
  const waiting = run.length === 0 ? [] : [run];
  const done: TreeEntry[][] = [];
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    const bytes = part.reduce((sum, { bytes }) => sum + bytes, 0);
    if (part.length === 1 || bytes <= treeBytesMax) {
      done.push(part.map(({ entry }) => entry));
      continue;
    }
    let cut = 1;
    part.forEach(({ draw }, place) => {
      if (place > 0 && draw < (part[cut]?.draw ?? 1)) cut = place;
    });
    waiting.push(part.slice(cut), part.slice(0, cut));
  }
  return done;
}

/** The runs of a folder whose entries are all at hand, in order (see TreeSplitter). */
export function splitEntries(entries: Iterable<TreeEntry>, key: Uint8Array): TreeEntry[][] {
  const splitter = new TreeSplitter(key);
  const runs: TreeEntry[][] = [];
  for (const entry of entries) runs.push(...splitter.add(entry));
  runs.push(...splitter.finish());
  return runs;
}
