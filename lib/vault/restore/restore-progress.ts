import { messageOf, type KithError } from '../../base/errors.ts';
import type { TreeEntry } from '../../format/tree.ts';
import { pathOf } from '../read/tree-reader.ts';
import type { Problem, RestoreOptions } from '../types.ts';

export interface RestoreProgressOptions {
  readonly onProgress: RestoreOptions['onProgress'];
  readonly onItem: RestoreOptions['onItem'];
  readonly onProblem: (problem: Problem) => void;
  /** What there is to do, where that is known. */
  readonly totals: { readonly files: number; readonly bytes: number } | undefined;
}

/**
 * How far a restore is, and what it tells of files on the way. `names` lead to a file from what is restored down; they
 * are only read, and made into text only if somebody listens.
 */
export class RestoreProgress {
  readonly #options: RestoreProgressOptions;
  #bytesDone = 0;
  #filesDone = 0;
  #failedCount = 0;

  constructor(options: RestoreProgressOptions) {
    this.#options = options;
  }

  /** Files and folders whose content could not be had, which the restore writer doesn't know of. */
  get failedCount(): number {
    return this.#failedCount;
  }

  /** Some bytes of a file are there, or were given up. */
  bytesDone(names: readonly Uint8Array[], bytes: number): void {
    this.#bytesDone += bytes;
    this.#tell(names);
  }

  /** A file is done without having been written: all its bytes count. */
  skipped(names: readonly Uint8Array[], bytes: number): void {
    this.#filesDone++;
    this.bytesDone(names, bytes);
  }

  /** A file was written; `bytes` of it have not been counted yet. */
  restored(names: readonly Uint8Array[], entry: TreeEntry, bytes: number): void {
    this.#filesDone++;
    this.bytesDone(names, bytes);
    this.#options.onItem?.({ action: 'restored', path: pathOf(names), bytes: entry.size });
  }

  /** A file that the restore writer counts as failed. */
  notRestored(names: readonly Uint8Array[], error: KithError): void {
    this.#filesDone++;
    this.problem(names, `not restored: ${messageOf(error)}`, error.code);
  }

  /** Counts something as failed, and tells. */
  failed(names: readonly Uint8Array[], message: string, code: Problem['code']): void {
    this.#failedCount++;
    this.problem(names, message, code);
  }

  /** Tells without counting. */
  problem(names: readonly Uint8Array[], message: string, code: Problem['code']): void {
    this.#options.onProblem({ item: pathOf(names), message, code });
  }

  #tell(names: readonly Uint8Array[]): void {
    const { onProgress, totals } = this.#options;
    if (onProgress === undefined) return;
    onProgress({
      phase: 'restore',
      filesDone: this.#filesDone,
      filesTotal: totals?.files,
      bytesDone: this.#bytesDone,
      bytesTotal: totals?.bytes,
      current: pathOf(names),
    });
  }
}
