import type { ErrorCode } from '../base/errors.ts';
import { isKithError, messageOf } from '../base/errors.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import { displayPath } from './path.ts';
import type { OnProblem } from './problem.ts';
import { problemCode, reasonOf } from './problem.ts';
import { XattrFailure } from './restore-xattrs.ts';

/** What was done so far; in a dry run, what would have been. */
export interface RestoreCounts {
  files: number;
  /** Already there as they should be, or kept by the overwrite policy; symlinks and FIFOs as well. */
  skipped: number;
  /** Entries that are not, or not wholly, as the snapshot has them; each came with a problem. */
  failed: number;
  folders: number;
  symlinks: number;
  /** Further names of files that were written. Not counted in files. */
  hardlinks: number;
  others: number;
  removed: number;
  bytes: number;
}

/**
 * Counts what a restore did and tells what went wrong. `components` are names from the target down, and are only read;
 * nothing is kept but the kinds of attributes that were told of.
 */
export class RestoreReport {
  readonly counts: RestoreCounts = {
    files: 0,
    skipped: 0,
    failed: 0,
    folders: 0,
    symlinks: 0,
    hardlinks: 0,
    others: 0,
    removed: 0,
    bytes: 0,
  };

  readonly #target: string;
  readonly #onProblem: OnProblem;
  readonly #onRemoved: ((path: string) => void) | undefined;
  readonly #xattrsTold = new Set<string>();

  /** `onRemoved` is told of each thing that `--delete` takes, the path as for people, not of what was in it. */
  constructor(target: string, onProblem: OnProblem, onRemoved?: (path: string) => void) {
    this.#target = target;
    this.#onProblem = onProblem;
    this.#onRemoved = onRemoved;
  }

  /** The path for people. */
  shown(components: readonly Uint8Array[]): string {
    return displayPath(components, this.#target);
  }

  /** Counts a file that was written. */
  wrote(entry: TreeEntry): void {
    this.counts.files++;
    this.counts.bytes += entry.size;
  }

  /** Counts a thing that was removed with all that was in it, `things` in all. */
  removed(components: readonly Uint8Array[], things: number): void {
    this.counts.removed += things;
    this.#onRemoved?.(this.shown(components));
  }

  /** Counts and tells that something could not be restored, or not be as it should. `what` is the sentence but for the reason. */
  failed(components: readonly Uint8Array[], error: unknown, what = 'could not be restored'): void {
    this.counts.failed++;
    this.problem(components, `${what}: ${reasonOf(error)}`, problemCode(error));
  }

  /** Counts and tells that something was not even tried. */
  refused(components: readonly Uint8Array[], why: string, code: ErrorCode = 'failed'): void {
    this.counts.failed++;
    this.problem(components, why, code);
  }

  /** Attributes that this file system or user can't set are the same for all files: said once per kind of them. */
  metadataFailed(components: readonly Uint8Array[], error: unknown): void {
    const kind = xattrKindOf(error);
    const code = problemCode(error);
    if (kind === undefined) {
      this.problem(components, `its owner, mode or time could not be set: ${reasonOf(error)}`, code);
    } else if (!this.#xattrsTold.has(kind)) {
      this.#xattrsTold.add(kind);
      this.problem(components, `${messageOf(error)}; others like it are not reported`, code);
    }
  }

  /** Tells without counting. */
  problem(components: readonly Uint8Array[], message: string, code: ErrorCode): void {
    this.#onProblem({ item: this.shown(components), message, code });
  }
}

/** What kind of attributes could not be set, for the error that says so, here or from a thread. */
function xattrKindOf(error: unknown): string | undefined {
  if (error instanceof XattrFailure) return error.kind;
  const kind = isKithError(error) ? error.details['xattrKind'] : undefined;
  return typeof kind === 'string' ? kind : undefined;
}
