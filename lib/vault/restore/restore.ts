import { resolve } from 'node:path';
import { utf8 } from '../../base/bytes.ts';
import { isKithError } from '../../base/errors.ts';
import type { Content } from '../../format/content.ts';
import { entryTypes, type TreeEntry } from '../../format/tree.ts';
import { Stages } from '../../pipeline/stages.ts';
import { lossInWords } from '../../source/extras.ts';
import { insideSources, RestoreFilter } from '../../source/include.ts';
import { joinPath } from '../../source/path.ts';
import { RestoreWriter } from '../../source/restore-writer.ts';
import type { BlobReader } from '../read/blob-reader.ts';
import { pathUnknown } from '../read/list.ts';
import { prepareRead, type Prepared } from '../read/prepare.ts';
import { checkRestorable } from './restorable.ts';
import { RestoreFiles } from './restore-files.ts';
import { RestoreProgress } from './restore-progress.ts';
import { readBackFlaw } from './restore-verify.ts';
import { RestoreWalk } from './restore-walk.ts';
import type { Session } from '../session.ts';
import { packsOf, packsOfEntry } from '../read/snapshot-check.ts';
import { resolveSnapshot, type ResolvedPath } from '../read/snapshots.ts';
import { TreeReader } from '../read/tree-reader.ts';
import type { RestoreOptions, RestoreSummary } from '../types.ts';

/** Writes a snapshot, or a part of it, into a folder. KithError `not-restorable` before anything is written where too few holders are here. */
export async function restore(session: Session, options: RestoreOptions): Promise<RestoreSummary> {
  return session.heardBy(options.onProblem, () => restored(session, options));
}

async function restored(session: Session, options: RestoreOptions): Promise<RestoreSummary> {
  const startMs = session.surroundings.clock.monotonicMs();
  const filter = new RestoreFilter(filterOptions(options));
  const resolved = await resolveSnapshot(session, options.what);
  const prepared = await prepareRead(session, (problem) => session.problem(problem), options.signal);
  const run = new RestoreRun(session, options, prepared, resolved, filter);
  await run.check();
  const counts = await run.write();
  return { ...counts, durationMs: session.surroundings.clock.monotonicMs() - startMs };
}

function filterOptions(options: RestoreOptions): {
  include?: readonly string[];
  exclude?: readonly string[];
} {
  return {
    ...(options.include === undefined ? {} : { include: options.include }),
    ...(options.exclude === undefined ? {} : { exclude: options.exclude }),
  };
}

/** One restore: what it is of, what it reads and what it writes with. */
class RestoreRun {
  readonly #session: Session;
  readonly #options: RestoreOptions;
  readonly #prepared: Prepared;
  readonly #resolved: ResolvedPath;
  readonly #filter: RestoreFilter;
  readonly #reader: BlobReader;
  readonly #trees: TreeReader;
  readonly #stages = new Stages();
  readonly #progress: RestoreProgress;

  constructor(
    session: Session,
    options: RestoreOptions,
    prepared: Prepared,
    resolved: ResolvedPath,
    filter: RestoreFilter,
  ) {
    this.#session = session;
    this.#options = options;
    this.#prepared = prepared;
    this.#resolved = resolved;
    this.#filter = filter;
    this.#reader = prepared.reader;
    this.#trees = new TreeReader(prepared.reader);
    const { summary } = resolved.found.snapshot;
    const isWhole = resolved.names === undefined && filter.takesAll;
    this.#progress = new RestoreProgress({
      onProgress: options.onProgress,
      onItem: options.onItem,
      onProblem: (problem) => session.problem(problem),
      totals: isWhole
        ? {
            files: summary.filesNew + summary.filesChanged + summary.filesUnmodified,
            bytes: summary.bytesProcessed,
          }
        : undefined,
    });
  }

  /** KithError `not-restorable` where some pack that is needed can't be read now. */
  async check(): Promise<void> {
    await checkRestorable(this.#session, this.#prepared.census, () => this.#packsWanted());
  }

  /** Packs that this restore needs, or undefined where its trees can't even be read. */
  async #packsWanted(): Promise<Set<string> | undefined> {
    try {
      const { signal } = this.#options;
      const { content, entry } = await this.#start();
      if (entry !== undefined) return new Set((await packsOfEntry(this.#reader, entry, signal)).keys());
      if (content === undefined) return new Set();
      return new Set((await packsOf(this.#reader, content, signal)).packs.keys());
    } catch (error) {
      if (!isKithError(error, 'not-restorable', 'blob-missing')) throw error;
      return undefined;
    }
  }

  /** What to restore: a folder's content, or one file's entry. */
  async #start(): Promise<{ content: Content | undefined; entry: TreeEntry | undefined }> {
    const { found, names } = this.#resolved;
    if (names === undefined || names.length === 0) return { content: found.snapshot.root, entry: undefined };
    const entry = await this.#trees.at(found.snapshot.root, names);
    if (entry === undefined) throw pathUnknown(names);
    return { content: entry.content, entry };
  }

  /** Writes all of it. The target's folders and files are done when it resolves. */
  async write(): Promise<Omit<RestoreSummary, 'durationMs'>> {
    const { dryRun, signal } = this.#options;
    const { content, entry } = await this.#start();
    this.#tellLoss();
    const isLeaf = entry !== undefined && entry.type !== entryTypes.folder;
    // Where the target stands in the snapshot: what is restored of a folder is its content, of anything else itself.
    const names = this.#resolved.names ?? [];
    const writer = this.#openWriter(isLeaf ? names.slice(0, -1) : names);
    const files = new RestoreFiles({
      session: this.#session,
      reader: this.#reader,
      writer,
      dryRun: dryRun === true,
      metadata: this.#resolved.found.snapshot.metadata ?? [],
      stages: this.#stages,
      progress: this.#progress,
      onRestored: (path, file, chunks, bytes) => this.#restored(path, file, chunks, bytes),
      signal,
    });
    const walk = new RestoreWalk({
      trees: this.#trees,
      filter: this.#filter,
      writer,
      files,
      progress: this.#progress,
      signal,
    });
    try {
      let complete = true;
      if (isLeaf) await walk.entry([entry.name], entry);
      else if (content !== undefined) complete = await walk.folder([], content);
      // A folder that the backup could not list lacks names that must stay.
      const listed = entry?.error === undefined;
      await files.drain();
      const counts = await writer.finish({ complete: complete && listed && !isLeaf });
      return {
        filesRestored: counts.files + counts.hardlinks,
        filesSkipped: counts.skipped,
        filesFailed: counts.failed + this.#progress.failedCount,
        foldersRestored: counts.folders,
        symlinksRestored: counts.symlinks,
        bytesRestored: counts.bytes,
        removed: counts.removed,
        shardsReplaced: this.#reader.shards.shardsReplaced,
        stages: this.#stages.report(),
      };
    } finally {
      // First: until then threads use the writer's handles.
      await files.close();
      writer.close();
    }
  }

  /** `above`: names from the snapshot's root down to what the target stands for. */
  #openWriter(above: readonly Uint8Array[]): RestoreWriter {
    const { target, overwrite = 'always', dryRun, deleteExtra, signal } = this.#options;
    const { snapshot } = this.#resolved.found;
    const inside = insideSources(snapshot.sources);
    return new RestoreWriter({
      target: resolve(target),
      overwrite,
      dryRun,
      signal,
      deleteExtra:
        deleteExtra === true
          ? (components, isFolder) =>
              inside([...above, ...components]) && this.#filter.wants(components, isFolder)
          : undefined,
      neverRemove: [this.#session.home, ...this.#session.drives().map((drive) => drive.path)].map((path) =>
        utf8(resolve(path)),
      ),
      metadata: snapshot.metadata,
      onProblem: (problem) => this.#session.problem(problem),
      onRemoved: (path) => this.#options.onItem?.({ action: 'removed', path, bytes: 0 }),
    });
  }

  /** What no entry of this snapshot has; older ones don't say. */
  #tellLoss(): void {
    const { id, snapshot } = this.#resolved.found;
    const lost = snapshot.metadata === undefined ? undefined : lossInWords(snapshot.metadata);
    if (lost === undefined) return;
    const message = `it was made where kith could not read ${lost}: they don’t come back`;
    this.#session.problem({ item: `snapshot ${id.slice(0, 8)}`, message, code: 'failed' });
  }

  async #restored(
    names: readonly Uint8Array[],
    entry: TreeEntry,
    content: Content,
    bytes: number,
  ): Promise<void> {
    const { target, verify, dryRun } = this.#options;
    this.#progress.restored(names, entry, bytes);
    if (verify !== true || dryRun === true) return;
    const path = names.reduce((folder, name) => joinPath(folder, name), utf8(resolve(target)));
    const flaw = await readBackFlaw(path, content, this.#reader, this.#session.namer);
    if (flaw !== undefined) this.#progress.failed(names, flaw.message, flaw.code);
  }
}
