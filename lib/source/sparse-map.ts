import type { TreeEntry } from '../format/tree-entry.ts';
import type { NativeCalls } from './native.ts';

/** A part of a file that is no hole, in bytes. */
export type DataRun = NonNullable<TreeEntry['sparse']>[number];

/** Runs kept of one file, some 100 KiB in its entry; beyond it the smallest holes are left out. */
export const dataRunsMax = 8192;

/** Holes looked for in one file, about two seconds; what lies behind counts as data. */
const holesMax = 1_000_000;

/** Bytes of the smallest hole that can be kept: a block of most file systems. */
const holeBytesMin = 4096;

/**
 * The runs of an open file that are no holes, ascending and apart, at most 8192; undefined where it has no hole worth
 * keeping or the file system doesn't tell. It says where a restore may leave holes, never what the bytes are: file
 * systems were wrong about holes before, so every byte is read whatever this says.
 */
export function dataRuns(native: NativeCalls, handle: number, size: number): readonly DataRun[] | undefined {
  try {
    const runs = new RunList(size);
    for (let at = 0, found = 0; at < size; found++) {
      const start = native.nextData(handle, at);
      if (start === undefined || start >= size) break;
      const end = found === holesMax ? size : Math.min(size, native.nextHole(handle, start));
      // A file that is written to meanwhile could lead round in circles.
      if (start < at || end <= start) return undefined;
      runs.add(start, end);
      at = end;
    }
    return runs.finish();
  } catch {
    return undefined;
  }
}

/** Takes runs in order and keeps them few: the more there are, the larger a hole has to be to count. */
class RunList {
  readonly #size: number;
  #runs: { offset: number; length: number }[] = [];
  #holeMin = holeBytesMin;

  constructor(size: number) {
    this.#size = size;
  }

  add(start: number, end: number): void {
    const last = this.#runs.at(-1);
    if (last !== undefined && start - (last.offset + last.length) < this.#holeMin) {
      last.length = end - last.offset;
      return;
    }
    this.#runs.push({ offset: start, length: end - start });
    while (this.#runs.length > dataRunsMax) this.#thin();
  }

  #thin(): void {
    this.#holeMin *= 2;
    const runs = this.#runs;
    this.#runs = [];
    for (const { offset, length } of runs) this.add(offset, offset + length);
  }

  finish(): readonly DataRun[] | undefined {
    const [first] = this.#runs;
    const isWhole = this.#runs.length === 1 && first?.offset === 0 && first.length === this.#size;
    return isWhole || this.#size === 0 ? undefined : this.#runs;
  }
}

/** The map for a file that turned out to end at `size`: runs are cut there, so that the entry stays one. */
export function clampRuns(runs: readonly DataRun[], size: number): readonly DataRun[] {
  return runs
    .filter(({ offset }) => offset < size)
    .map(({ offset, length }) => ({ offset, length: Math.min(length, size - offset) }));
}
