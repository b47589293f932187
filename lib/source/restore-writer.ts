import { throwIfAborted } from '../base/concurrency.ts';
import { KithError } from '../base/errors.ts';
import { treeDepthMax } from '../base/limits.ts';
import type { RandomSource } from '../crypto/random.ts';
import { systemRandom } from '../crypto/random.ts';
import type { MetadataKind } from '../format/snapshot.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import { entryTypes, validName } from '../format/tree-entry.ts';
import type { Accounts } from './accounts.ts';
import { localAccounts } from './accounts.ts';
import { handlesWork } from './folder-chain.ts';
import type { NativeCalls } from './native.ts';
import { mtimeGrainNs, nativeCalls } from './native.ts';
import { nameFits, nameKey } from './path.ts';
import type { OnProblem } from './problem.ts';
import { ExistingEntries } from './restore-existing.ts';
import type { RestoreFolder } from './restore-folders.ts';
import { componentsIn, RestoreFolders } from './restore-folders.ts';
import { writeNode, writeSymlink } from './restore-leaf.ts';
import type { MetadataSetter } from './restore-metadata.ts';
import { metadataSetter } from './restore-metadata.ts';
import type { FilePlace, NoPlace } from './restore-places.ts';
import { FilePlaces } from './restore-places.ts';
import type { OverwritePolicy } from './restore-policy.ts';
import { RestoreRemoval } from './restore-removal.ts';
import type { RestoreCounts } from './restore-report.ts';
import { RestoreReport } from './restore-report.ts';
import type { FileSink } from './restore-sink.ts';
import { tempName } from './restore-sink.ts';
import { inodesOf } from './restore-target.ts';

/** Symlinks that wait for their folder's end; beyond it they are made early, which is as safe, see docs/source.md. */
const waitingSymlinksMax = 65536;

export interface RestoreWriterOptions {
  /** The folder to write into, made if it isn't there. Only here symlinks are followed. */
  readonly target: string;
  readonly overwrite: OverwritePolicy;
  /** Changes nothing, but counts what would be done. */
  readonly dryRun?: boolean | undefined;
  /**
   * Whether a thing that the snapshot doesn't have may be removed from a folder that was restored; left out, nothing
   * is. `components` are from the target down. See insideSources.
   */
  readonly deleteExtra?: ((components: readonly Uint8Array[], isFolder: boolean) => boolean) | undefined;
  /** Absolute paths of folders (kith's home and drives) that nothing is written into and nothing is removed from. */
  readonly neverRemove?: readonly Uint8Array[] | undefined;
  /**
   * Kinds of metadata that the snapshot has of every entry (Snapshot.metadata): extended attributes that it lacks are
   * then removed from what is restored, inherited access control lists above all. None where left out.
   */
  readonly metadata?: readonly MetadataKind[] | undefined;
  readonly accounts?: Accounts | undefined;
  readonly onProblem: OnProblem;
  /** Told of each thing that is removed (in a dry run: that would be), with its path as for people. */
  readonly onRemoved?: ((path: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For tests: the rest is what the machine has. */
  readonly native?: NativeCalls | 'none' | undefined;
  readonly random?: RandomSource | undefined;
  readonly useHandles?: boolean | undefined;
}

/**
 * Writes the entries of a snapshot under a target folder, in the order of a walk through its trees: enterFolder,
 * what is in it, leaveFolder. Calls are made one after the other; only the sinks of files may be filled meanwhile.
 * Hostile trees and tricks in the target can't make it write, or remove, outside: see docs/source.md.
 * What goes wrong with an entry is a problem and a count; only `interrupted`, `internal`, `limit-exceeded`,
 * a target that can't be used and a folder that was moved away under us (`failed`) are thrown. Close it, whatever happens.
 */
export class RestoreWriter {
  /** Goes on counting until finish or close. */
  readonly counts: RestoreCounts;

  readonly #signal: AbortSignal | undefined;
  readonly #dryRun: boolean;
  readonly #random: RandomSource;
  readonly #setter: MetadataSetter;
  readonly #report: RestoreReport;
  readonly #folders: RestoreFolders;
  readonly #removal: RestoreRemoval;
  readonly #existing: ExistingEntries;
  readonly #places: FilePlaces;
  #waitingSymlinks = 0;
  #closed = false;

  /** KithError `io-error` if the target can't be made or is no folder, `usage` if it lies in what is never removed. */
  constructor(options: RestoreWriterOptions) {
    const { target, overwrite, deleteExtra } = options;
    const native = options.native === 'none' ? undefined : (options.native ?? nativeCalls());
    const dryRun = options.dryRun === true;
    const random = options.random ?? systemRandom;
    const setter = metadataSetter({
      native,
      handles: options.useHandles ?? handlesWork,
      accounts: options.accounts ?? localAccounts(),
      known: options.metadata ?? [],
    });
    const report = new RestoreReport(target, options.onProblem, options.onRemoved);
    const spared = inodesOf(options.neverRemove ?? []);
    const collectsNames = deleteExtra !== undefined;
    const folders = new RestoreFolders({
      target,
      overwrite,
      dryRun,
      collectsNames,
      spared,
      setter,
      report,
    });
    const removal = new RestoreRemoval({ folders, mayRemove: deleteExtra, spared, dryRun, report });
    const grainNs = mtimeGrainNs(native ?? 'none');
    const existing = new ExistingEntries({ folders, removal, overwrite, dryRun, setter, grainNs, report });
    this.counts = report.counts;
    this.#signal = options.signal;
    this.#dryRun = dryRun;
    this.#random = random;
    this.#setter = setter;
    this.#report = report;
    this.#folders = folders;
    this.#removal = removal;
    this.#existing = existing;
    this.#places = new FilePlaces({ folders, existing, dryRun, setter, random, report });
  }

  /**
   * Goes into a folder of the current one, making it. After `skip` nothing of it is to be written and leaveFolder is
   * not called. A `lazy` folder is made with the first thing that is written into it, or never.
   */
  async enterFolder(entry: TreeEntry, options: { readonly lazy?: boolean } = {}): Promise<'enter' | 'skip'> {
    if (!this.#admits(entry)) return 'skip';
    if (this.#folders.depth > treeDepthMax) {
      this.#report.refused(this.#components(entry), 'it lies too deep');
      return 'skip';
    }
    return this.#folders.enter(entry, options.lazy === true) ? 'enter' : 'skip';
  }

  /**
   * Begins a file of the current folder: a sink to be filled and committed, or what was done instead.
   * `skipped`: kept, or not possible. `linked`: a further name of a file that this restore wrote. `counted`: dry run.
   * KithError `limit-exceeded` while too many sinks are open.
   */
  async beginFile(entry: TreeEntry): Promise<FileSink | NoPlace> {
    this.#places.checkRoom();
    const folder = this.#folderFor(entry);
    return folder === undefined ? 'skipped' : await this.#places.begin(folder, entry);
  }

  /**
   * Like beginFile, but makes nothing yet: the file may be written by whoever, one by one or many together, also after
   * its folder was left. Everything that is placed has to end, by openSink and its end or by releasing the folder and `onEnd`,
   * before finish.
   */
  async placeFile(entry: TreeEntry): Promise<FilePlace | NoPlace> {
    const folder = this.#folderFor(entry);
    return folder === undefined ? 'skipped' : await this.#places.place(folder, entry);
  }

  /** The sink of a file that was placed. Throws KithError where it can't be made; the place has then ended. */
  openSink(place: FilePlace): FileSink {
    return this.#places.open(place);
  }

  /** True if a file is a further name of one that was placed before: beginning it waits for that one's end. */
  waitsForOther(entry: TreeEntry): boolean {
    return this.#places.waitsForOther(entry);
  }

  /** Whether files can be written from other threads: where folders are reached by handle. */
  get hasHandles(): boolean {
    return this.#setter.handles;
  }

  /** Folders that were left and wait for files in them; each keeps a handle open. */
  get foldersWaiting(): number {
    return this.#folders.waitingCount;
  }

  /** A symlink of the current folder; it is made when the folder is left. */
  async addSymlink(entry: TreeEntry): Promise<void> {
    const folder = this.#folderFor(entry);
    if (folder === undefined) return;
    folder.symlinks.push(entry);
    if (++this.#waitingSymlinks > waitingSymlinksMax) this.#makeSymlinks(folder);
  }

  /** A FIFO or device, which is made; or a socket or something unreadable, which is not: the latter is a problem. */
  async addOther(entry: TreeEntry): Promise<void> {
    if (!this.#admits(entry)) return;
    if (!isNode(entry)) {
      const skipped = entry.type === entryTypes.socket;
      if (skipped) this.counts.skipped++;
      else this.#report.failed(this.#components(entry), new Error(whyNot(entry)));
      return;
    }
    const folder = this.#folders.ready();
    if (folder === undefined) return;
    this.#make(folder, entry, 'others', writeNode);
  }

  /** Says that the snapshot has this name in the current folder though it isn't restored: it stays with `--delete`. */
  keep(name: Uint8Array): void {
    this.#folders.current.names?.add(nameKey(name));
  }

  /**
   * Ends the current folder: its symlinks, what `--delete` removes, its owner, mode and mtime. `complete` is false
   * where the caller could not name all that the snapshot has in it: nothing is then removed.
   */
  async leaveFolder(options: { readonly complete?: boolean } = {}): Promise<void> {
    const folder = this.#folders.current;
    if (folder.entry === undefined) throw new KithError('internal', 'left the target of a restore');
    this.#end(folder, options.complete ?? true);
    this.#folders.leave();
  }

  /** Ends the target itself, whose own metadata stay as they are, and closes. The counts are then final. */
  async finish(options: { readonly complete?: boolean } = {}): Promise<RestoreCounts> {
    if (this.#folders.depth !== 1) throw new KithError('internal', 'a restore ended inside a folder');
    const folder = this.#folders.current;
    if (folder.pending > 0) throw new KithError('internal', 'a restore ended before its files');
    this.#end(folder, options.complete ?? true);
    this.close();
    return this.counts;
  }

  /** Gives up what is under way. Files that were committed stay; nothing unfinished does. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Folders first: a sink that is aborted must not end the folder that it lies in.
    this.#folders.close();
    this.#places.close();
  }

  /** Notes a name as the snapshot's, and refuses one that can't be a file's here. */
  #admits(entry: TreeEntry): boolean {
    throwIfAborted(this.#signal);
    const { names } = this.#folders.current;
    if (!validName(entry.name)) {
      const why = 'its name is not one that a file can have; nothing was written';
      this.#report.refused(this.#components(entry), why, 'malformed');
      return false;
    }
    names?.add(nameKey(entry.name));
    if (nameFits(entry.name)) return true;
    this.#report.refused(this.#components(entry), 'its name is not possible on this system');
    return false;
  }

  /** The current folder, ready for an entry, or undefined if the entry can't be written. */
  #folderFor(entry: TreeEntry): RestoreFolder | undefined {
    return this.#admits(entry) ? this.#folders.ready() : undefined;
  }

  #components(entry: TreeEntry): Uint8Array[] {
    return componentsIn(this.#folders.current, entry.name);
  }

  #makeSymlinks(folder: RestoreFolder): void {
    const links = folder.symlinks;
    folder.symlinks = [];
    this.#waitingSymlinks -= links.length;
    for (const entry of links) this.#make(folder, entry, 'symlinks', writeSymlink);
  }

  #make(
    folder: RestoreFolder,
    entry: TreeEntry,
    count: 'symlinks' | 'others',
    write: typeof writeSymlink,
  ): void {
    try {
      const decision = this.#existing.settle(folder, entry);
      if (decision !== 'write') {
        this.counts.skipped++;
        return;
      }
      if (!this.#dryRun) {
        const done = write(this.#setter, this.#folders.chain.folder, entry, tempName(this.#random));
        if (done.failure !== undefined)
          this.#report.metadataFailed(componentsIn(folder, entry.name), done.failure);
      }
      this.counts[count]++;
    } catch (error) {
      this.#report.failed(componentsIn(folder, entry.name), error);
    }
  }

  /** What there is to do in the current folder before it is left. */
  #end(folder: RestoreFolder, complete: boolean): void {
    if (folder.sinks > 0)
      throw new KithError('internal', 'a folder was left before its files were committed');
    this.#makeSymlinks(folder);
    if (folder.state === 'waiting') return;
    const { entry, names } = folder;
    if (entry?.error !== undefined) this.#report.failed(folder.components, new Error(whyNot(entry)));
    else if (complete && folder.state === 'open' && names !== undefined)
      this.#removal.removeExtra(folder, names);
  }
}

function whyNot(entry: TreeEntry): string {
  if (entry.error !== undefined) return `the backup could not read it (${entry.error})`;
  if (entry.type === entryTypes.unreadable) return 'the backup could not read it';
  return 'its kind is unknown to kith';
}

function isNode(entry: TreeEntry): boolean {
  const { type } = entry;
  return type === entryTypes.fifo || type === entryTypes.blockDevice || type === entryTypes.characterDevice;
}
