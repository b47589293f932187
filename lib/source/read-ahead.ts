import { closeSync, constants, openSync } from 'node:fs';
import { nativeCalls, type NativeCalls } from './native.ts';
import { withReach } from './path.ts';

/** Files that the system is asked for before they are read: enough for a disk to have much to do, few enough to stay in the cache. */
const filesAhead = 64;

/** From so many bytes on a file is not asked for: the system reads ahead in it by itself. */
const smallBytes = 128 * 1024;

/** To open and read a small file from the cache takes some 0.02 ms, from a fast disk 0.1 ms, from a slow one 10 ms. */
const slowMs = 0.1;

/** Of so many reads in a row so many must have been slow: a single one may have lost its turn on the processor. */
const readsSeen = 8;
const readsSlow = 5;

/** Files after which a few are read without asking: those that follow may be in the cache. */
const filesPerLook = 1024;

/** Files that are read without asking once it turned out to be in vain. */
const filesInVain = 16 * 1024;

/** A file that is going to be read, as it is known so far. */
export interface UpcomingFile {
  readonly path: Uint8Array;
  readonly entry: { readonly size: number };
}

/** Has the system read a file into its cache, without waiting for it. Never throws: a file's reader says what is wrong with it. */
export type AskAhead = (path: Uint8Array, bytes: number) => void;

/**
 * Asks the system for small files some time before they are read one after the other, so that a disk has many of them to do at
 * once. No byte comes from here and nothing that a reader promises depends on it. It begins when reads were slow and ends when they
 * aren't any more, or when asking doesn't make them faster (a file system that takes no hints, a slow processor). Asking costs the
 * file to be opened once more; not asking costs nothing. One for each thread.
 */
export class ReadAhead {
  readonly #ask: AskAhead | undefined;
  /** The place of the file at hand in its list, and the one up to which files of the list were asked for. */
  #at = 0;
  #askedTo = 0;
  /** One bit a read, set where it was slow, the last one lowest. */
  #recent = 0;
  /** Files before which to ask, and before which not to, whatever reads take. */
  #asking = 0;
  #pausing = 0;
  /** Reads of files that were asked for, and those of them that were slow. */
  #asked = 0;
  #askedSlow = 0;

  /** Undefined: nothing is ever asked for. */
  constructor(ask: AskAhead | undefined) {
    this.#ask = ask;
  }

  /** To be called before each file of a list, from the first to the last; asks for some of those that follow, and never throws. */
  before(files: readonly UpcomingFile[], at: number): void {
    if (at === 0) this.#askedTo = 0;
    this.#at = at;
    if (this.#pausing > 0) this.#pausing--;
    if (this.#asking === 0 || this.#ask === undefined) return;
    const to = Math.min(files.length, at + 1 + filesAhead);
    for (const { path, entry } of files.slice(Math.max(at, this.#askedTo), to))
      if (entry.size > 0 && entry.size < smallBytes) this.#ask(path, entry.size);
    this.#askedTo = to;
    if (--this.#asking === 0) this.#endAsking();
  }

  /** Told of each small file in how many milliseconds it was opened and read. */
  took(milliseconds: number): void {
    const slow = milliseconds > slowMs ? 1 : 0;
    if (this.#at < this.#askedTo) {
      this.#asked++;
      this.#askedSlow += slow;
      return;
    }
    if (this.#pausing > 0) return;
    this.#recent = ((this.#recent << 1) | slow) & ((1 << readsSeen) - 1);
    if (bitsIn(this.#recent) < readsSlow) return;
    this.#recent = 0;
    this.#asking = filesPerLook;
  }

  #endAsking(): void {
    if (this.#askedSlow * 2 > this.#asked) this.#pausing = filesInVain;
    this.#asked = 0;
    this.#askedSlow = 0;
  }
}

function bitsIn(number: number): number {
  let bits = 0;
  for (let rest = number; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}

/** Asks this system; undefined where it has no such call (docs/source.md). A symlink is not followed, a FIFO not waited for. */
export function systemAskAhead(native: NativeCalls | undefined = nativeCalls()): AskAhead | undefined {
  const willNeed = native?.willNeed;
  if (willNeed === undefined) return undefined;
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  return (path, bytes) => {
    try {
      const handle = withReach(path, (at) => openSync(at, flags));
      try {
        willNeed(handle, bytes);
      } finally {
        closeSync(handle);
      }
    } catch {
      // Whoever reads it opens it once more, and says then what is wrong.
    }
  };
}
