import type { BigIntStats } from 'node:fs';
import { chmodSync, mkdirSync, readdirSync, readlinkSync, rmdirSync, unlinkSync } from 'node:fs';
import { throwIfAborted } from '../base/concurrency.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { treeDepthMax } from '../base/limits.ts';
import type { RandomSource } from '../crypto/random.ts';
import { systemRandom } from '../crypto/random.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import { entryTypes, validName } from '../format/tree-entry.ts';
import type { FolderChain, OpenFolder } from './folder-chain.ts';
import { handlesWork } from './folder-chain.ts';
import { HardlinkGroups, linkTo } from './hardlinks.ts';
import type { LinkOrigin } from './hardlinks.ts';
import type { NativeCalls } from './native.ts';
import { mtimeGrainNs, nativeCalls } from './native.ts';
import { displayPath, nameBytes, nameFits, nameKey } from './path.ts';
import type { OnProblem } from './problem.ts';
import { problemCode, reasonOf } from './problem.ts';
import { removeTree } from './remove-tree.ts';
import { writeNode, writeSymlink } from './restore-leaf.ts';
import type { MetadataKind } from '../format/snapshot.ts';
import { localAccounts } from './accounts.ts';
import type { Accounts } from './accounts.ts';
import type { MetadataSetter } from './restore-metadata.ts';
import { metadataFits, metadataSetter, setExistingMetadata, setFolderMetadata } from './restore-metadata.ts';
import type { Decision, OverwritePolicy } from './restore-policy.ts';
import { XattrFailure } from './restore-xattrs.ts';
import { decide, givesWay, lookAt } from './restore-policy.ts';
import { FileSink, isTempName, tempName } from './restore-sink.ts';
import { foldedInodes, inodeKey, inodesOf, openTarget, prepareExisting } from './restore-target.ts';
import type { SinkEnd, SinkPlace } from './restore-sink.ts';

/** Files under way at once: each holds two handles. */
const sinksMax = 128;

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
  readonly signal?: AbortSignal | undefined;
  /** For tests: the rest is what the machine has. */
  readonly native?: NativeCalls | 'none' | undefined;
  readonly random?: RandomSource | undefined;
  readonly useHandles?: boolean | undefined;
}

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

interface Frame {
  readonly entry: TreeEntry | undefined;
  /** Names from the target down to it. */
  readonly components: readonly Uint8Array[];
  /** `waiting` for a first child; `ghost`: not there in a dry run; `blocked`: could not be made. */
  state: 'waiting' | 'open' | 'ghost' | 'blocked';
  created: boolean;
  /** Of a folder that was there before. */
  modeBefore: number;
  readonly names: Set<string> | undefined;
  symlinks: TreeEntry[];
  sinks: number;
  /** Files that were placed and have not ended, and folders in it that wait for such. */
  pending: number;
  readonly above: Frame | undefined;
  /** Of a folder that was left while something in it was pending: itself, retained, and its path for people. */
  waits: { readonly folder: OpenFolder; readonly shown: string } | undefined;
}

/** A file that may be written: whoever has it makes its sink, or does what one does, and calls `onEnd`. */
export interface FilePlace extends SinkPlace {
  /** Known by its handle, so that the file can be written from another thread. */
  readonly folder: OpenFolder;
}

/**
 * Writes the entries of a snapshot under a target folder, in the order of a walk through its trees: enterFolder,
 * what is in it, leaveFolder. Calls are made one after the other; only the sinks of files may be filled meanwhile.
 * Hostile trees and tricks in the target can't make it write, or remove, outside: see docs/source.md.
 * What goes wrong with an entry is a problem and a count; only `interrupted`, `internal`, `limit-exceeded`,
 * a target that can't be used and a folder that was moved away under us (`failed`) are thrown. Close it, whatever happens.
 */
export class RestoreWriter {
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

  readonly #options: RestoreWriterOptions;
  readonly #setter: MetadataSetter;
  readonly #grainNs: bigint;
  readonly #random: RandomSource;
  readonly #root: Uint8Array;
  readonly #chain: FolderChain | undefined;
  readonly #frames: Frame[] = [];
  readonly #sinks = new Set<FileSink>();
  readonly #groups = new HardlinkGroups();
  readonly #spared: ReadonlySet<string>;
  readonly #xattrsTold = new Set<string>();
  readonly #waitingFolders = new Set<Frame>();
  #waitingSymlinks = 0;
  #closed = false;

  /** KithError `io-error` if the target can't be made or is no folder, `usage` if it lies in what is never removed. */
  constructor(options: RestoreWriterOptions) {
    this.#options = options;
    const native = options.native === 'none' ? undefined : (options.native ?? nativeCalls());
    const handles = options.useHandles ?? handlesWork;
    this.#setter = metadataSetter({
      native,
      handles,
      accounts: options.accounts ?? localAccounts(),
      known: options.metadata ?? [],
    });
    this.#grainNs = mtimeGrainNs(native ?? 'none');
    this.#random = options.random ?? systemRandom;
    this.#spared = inodesOf(options.neverRemove ?? []);
    const opened = openTarget(options.target, options.dryRun === true, handles, this.#spared);
    this.#root = opened.root;
    this.#chain = opened.chain;
    this.#frames.push(this.#newFrame(undefined, opened.chain === undefined ? 'ghost' : 'open'));
  }

  /**
   * Goes into a folder of the current one, making it. After `skip` nothing of it is to be written and leaveFolder is
   * not called. A `lazy` folder is made with the first thing that is written into it, or never.
   */
  async enterFolder(entry: TreeEntry, options: { readonly lazy?: boolean } = {}): Promise<'enter' | 'skip'> {
    if (!this.#admits(entry)) return 'skip';
    if (this.#frames.length > treeDepthMax) return this.#refuse(entry, 'it lies too deep');
    if (options.lazy !== true && this.#ready() === undefined) return 'skip';
    const frame = this.#newFrame(entry, 'waiting');
    this.#frames.push(frame);
    if (options.lazy === true || this.#ready() !== undefined) return 'enter';
    this.#frames.pop();
    return 'skip';
  }

  /**
   * Begins a file of the current folder: a sink to be filled and committed, or what was done instead.
   * `skipped`: kept, or not possible. `linked`: a further name of a file that this restore wrote. `counted`: dry run.
   * KithError `limit-exceeded` while too many sinks are open.
   */
  async beginFile(entry: TreeEntry): Promise<FileSink | 'skipped' | 'linked' | 'counted'> {
    if (this.#sinks.size >= sinksMax) {
      throw new KithError('limit-exceeded', `more than ${sinksMax} files begun and not ended`);
    }
    return await this.#begin(entry, (frame, onLinkEnd) => this.#sink(frame, entry, onLinkEnd));
  }

  /**
   * Like beginFile, but makes nothing yet: the file may be written by whoever, one by one or many together, also after
   * its folder was left. Everything that is placed has to end, by openSink and its end or by releasing the folder and `onEnd`,
   * before finish.
   */
  async placeFile(entry: TreeEntry): Promise<FilePlace | 'skipped' | 'linked' | 'counted'> {
    return await this.#begin(entry, (frame, onLinkEnd) => {
      frame.pending++;
      return this.#placeOf(entry, (end) => {
        if (end.outcome === 'written') this.#countFile(entry);
        else this.counts.failed++;
        onLinkEnd?.(end);
        this.#lessPending(frame);
      });
    });
  }

  /** The sink of a file that was placed. Throws KithError where it can't be made; the place has then ended. */
  openSink(place: FilePlace): FileSink {
    try {
      const sink: FileSink = new FileSink(
        placeWithEnd(place, (end) => {
          this.#sinks.delete(sink);
          place.onEnd(end);
        }),
      );
      this.#sinks.add(sink);
      return sink;
    } catch (error) {
      place.folder.release();
      place.onEnd({ outcome: 'failed' });
      const message = `${place.shown} could not be written: ${reasonOf(error)}`;
      throw error instanceof KithError ? error : new KithError(problemCode(error), message, { cause: error });
    }
  }

  /** True if a file is a further name of one that was placed before: beginning it waits for that one's end. */
  waitsForOther(entry: TreeEntry): boolean {
    return entry.hardlink !== undefined && this.#groups.has(entry);
  }

  /** Whether files can be written from other threads: where folders are reached by handle. */
  get hasHandles(): boolean {
    return this.#setter.handles;
  }

  /** Folders that were left and wait for files in them; each keeps a handle open. */
  get foldersWaiting(): number {
    return this.#waitingFolders.size;
  }

  async #begin<T>(
    entry: TreeEntry,
    give: (frame: Frame, onLinkEnd: ((end: SinkEnd) => void) | undefined) => T,
  ): Promise<T | 'skipped' | 'linked' | 'counted'> {
    if (!this.#admits(entry)) return 'skipped';
    const frame = this.#ready();
    if (frame === undefined) return 'skipped';
    try {
      const group = entry.hardlink === undefined ? undefined : this.#groups.meet(entry);
      const origin = await group?.settled;
      const decision = this.#decide(frame, entry);
      if (decision !== 'write') return this.#kept(entry, decision);
      if (origin !== undefined && this.#link(entry, origin)) return 'linked';
      if (group !== undefined && origin === undefined && this.#options.dryRun !== true) {
        const why = 'written as a copy: the file it is a hard link to was not written by this restore';
        this.#options.onProblem({ item: this.#shown(entry.name), message: why, code: 'failed' });
      }
      const onLinkEnd = group === undefined ? this.#groups.begin(entry, this.#components(entry)) : undefined;
      if (this.#options.dryRun === true) {
        this.#countFile(entry);
        onLinkEnd?.({ outcome: 'aborted' });
        return 'counted';
      }
      return give(frame, onLinkEnd);
    } catch (error) {
      this.#failed(entry, error);
      return 'skipped';
    }
  }

  /** A symlink of the current folder; it is made when the folder is left. */
  async addSymlink(entry: TreeEntry): Promise<void> {
    if (!this.#admits(entry)) return;
    const frame = this.#ready();
    if (frame === undefined) return;
    frame.symlinks.push(entry);
    if (++this.#waitingSymlinks > waitingSymlinksMax) this.#makeSymlinks(frame);
  }

  /** A FIFO or device, which is made; or a socket or something unreadable, which is not: the latter is a problem. */
  async addOther(entry: TreeEntry): Promise<void> {
    if (!this.#admits(entry)) return;
    if (!isNode(entry)) {
      const skipped = entry.type === entryTypes.socket;
      if (skipped) this.counts.skipped++;
      else this.#failed(entry, new Error(whyNot(entry)));
      return;
    }
    const frame = this.#ready();
    if (frame === undefined) return;
    this.#place(frame, entry, 'others', writeNode);
  }

  /** Says that the snapshot has this name in the current folder though it isn't restored: it stays with `--delete`. */
  keep(name: Uint8Array): void {
    this.#frame.names?.add(nameKey(name));
  }

  /**
   * Ends the current folder: its symlinks, what `--delete` removes, its owner, mode and mtime. `complete` is false
   * where the caller could not name all that the snapshot has in it: nothing is then removed.
   */
  async leaveFolder(options: { readonly complete?: boolean } = {}): Promise<void> {
    const frame = this.#frame;
    if (frame.entry === undefined) throw new KithError('internal', 'left the target of a restore');
    this.#endFrame(frame, options.complete ?? true);
    this.#frames.pop();
    if (frame.state !== 'open') return;
    const shown = this.#shown(frame.entry.name);
    // Left first: where the folder then denies us, its parent could no longer be reached through it.
    const folder = this.#openChain.folder.retain();
    if (frame.pending === 0) {
      try {
        this.#openChain.leave();
        this.#setFolder(frame, folder, shown);
      } finally {
        folder.release();
      }
      return;
    }
    frame.waits = { folder, shown };
    this.#waitingFolders.add(frame);
    if (frame.above !== undefined) frame.above.pending++;
    this.#openChain.leave();
  }

  /** Owner, mode and mtime of a folder into which nothing is written any more. */
  #setFolder(frame: Frame, folder: OpenFolder, shown: string): void {
    if (this.#options.dryRun === true || frame.entry === undefined) return;
    try {
      const touched = frame.created || this.#options.overwrite !== 'never';
      if (touched) setFolderMetadata(this.#setter, folder.self(), frame.entry);
      else if ((frame.modeBefore & 0o700) !== 0o700) chmodSync(folder.self(), frame.modeBefore);
    } catch (error) {
      if (isKithError(error, 'failed')) throw error;
      this.#metadataProblem(shown, error);
    }
  }

  /** Something in a folder has ended: the last one ends the folder, if it was left, and so the one above, perhaps. */
  #lessPending(frame: Frame): void {
    for (let at: Frame | undefined = frame; at !== undefined; at = at.above) {
      at.pending--;
      if (at.pending > 0 || at.waits === undefined || this.#closed) return;
      const { folder, shown } = at.waits;
      at.waits = undefined;
      this.#waitingFolders.delete(at);
      try {
        this.#setFolder(at, folder, shown);
      } finally {
        folder.release();
      }
    }
  }

  /** Ends the target itself, whose own metadata stay as they are, and closes. The counts are then final. */
  async finish(options: { readonly complete?: boolean } = {}): Promise<RestoreCounts> {
    if (this.#frames.length !== 1) throw new KithError('internal', 'a restore ended inside a folder');
    if (this.#frame.pending > 0) throw new KithError('internal', 'a restore ended before its files');
    this.#endFrame(this.#frame, options.complete ?? true);
    this.close();
    return this.counts;
  }

  /** Gives up what is under way. Files that were committed stay; nothing unfinished does. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const sink of this.#sinks) sink.abortNow();
    for (const frame of this.#waitingFolders) frame.waits?.folder.release();
    this.#chain?.close();
  }

  get #frame(): Frame {
    const frame = this.#frames.at(-1);
    if (frame === undefined || this.#closed)
      throw new KithError('internal', 'a restore was used after its end');
    return frame;
  }

  get #openChain(): FolderChain {
    if (this.#chain === undefined) throw new KithError('internal', 'a dry run was about to touch the target');
    return this.#chain;
  }

  #newFrame(entry: TreeEntry | undefined, state: Frame['state']): Frame {
    const names = this.#options.deleteExtra === undefined ? undefined : new Set<string>();
    const above = this.#frames.at(-1);
    return {
      entry,
      components: entry === undefined ? [] : [...(above?.components ?? []), entry.name],
      state,
      created: false,
      modeBefore: 0,
      names,
      symlinks: [],
      sinks: 0,
      pending: 0,
      above,
      waits: undefined,
    };
  }

  /** Notes a name as the snapshot's, and refuses one that can't be a file's here. */
  #admits(entry: TreeEntry): boolean {
    throwIfAborted(this.#options.signal);
    const frame = this.#frame;
    if (!validName(entry.name)) {
      this.#refuse(entry, 'its name is not one that a file can have; nothing was written', 'malformed');
      return false;
    }
    frame.names?.add(nameKey(entry.name));
    if (nameFits(entry.name)) return true;
    this.#refuse(entry, 'its name is not possible on this system');
    return false;
  }

  /** The current frame with its folder made and open (or a ghost), or undefined if that was not possible. */
  #ready(): Frame | undefined {
    const first = this.#frames.findIndex((frame) => frame.state === 'waiting');
    if (first >= 0) {
      for (let i = first; i < this.#frames.length; i++) {
        const frame = this.#frames[i];
        const above = this.#frames[i - 1];
        if (frame === undefined || above === undefined) continue;
        frame.state = above.state === 'open' ? this.#materialise(frame, i) : above.state;
        if (above.state === 'ghost') this.counts.folders++;
      }
    }
    const frame = this.#frame;
    return frame.state === 'blocked' ? undefined : frame;
  }

  #materialise(frame: Frame, depth: number): Frame['state'] {
    const { entry } = frame;
    if (entry === undefined) return 'open';
    const shown = this.#shown(entry.name, depth);
    const dryRun = this.#options.dryRun === true;
    try {
      const chain = this.#openChain;
      // In what we just made lies nothing but what we put there; mkdir would tell.
      const isNew = frame.above?.created === true && this.#options.overwrite === 'always';
      const existing = isNew ? undefined : lookAt(chain.folder.at(entry.name));
      if (existing !== undefined && !existing.isDirectory()) {
        if (!givesWay(this.#options.overwrite, entry, existing))
          throw new Error('something that is no folder is in the way, and is kept');
        if (!dryRun) unlinkSync(chain.folder.at(entry.name));
      }
      const there = existing?.isDirectory() === true;
      if (!there && dryRun) {
        this.counts.folders++;
        return 'ghost';
      }
      if (!there) mkdirSync(chain.folder.at(entry.name), 0o700);
      const folder = chain.enter(entry.name);
      if (this.#spared.has(inodeKey({ dev: folder.device, ino: folder.inode }))) {
        chain.leave();
        throw new Error('kith keeps its own things in it');
      }
      frame.created = !there;
      frame.modeBefore = folder.mode;
      this.counts.folders++;
      if (there && !dryRun) prepareExisting(folder.self(), folder.mode);
      return 'open';
    } catch (error) {
      this.#problem(shown, `this folder could not be restored: ${reasonOf(error)}`, error);
      this.counts.failed++;
      return 'blocked';
    }
  }

  #decide(frame: Frame, entry: TreeEntry): Decision {
    if (frame.state === 'ghost') return 'write';
    // What we just made has nothing in it but what we put there ourselves.
    if (frame.created && this.#options.overwrite === 'always') return 'write';
    const { folder } = this.#openChain;
    const existing = lookAt(folder.at(entry.name));
    const target =
      existing?.isSymbolicLink() === true ? readlinkSync(folder.at(entry.name), 'buffer') : undefined;
    const decision = decide(this.#options.overwrite, entry, existing, target, this.#grainNs);
    if (existing === undefined) return decision;
    if (decision === 'write' && existing.isDirectory()) this.#clearFolder(entry);
    if (decision === 'same' && this.#options.dryRun !== true) this.#refresh(entry, existing);
    return decision;
  }

  /** A folder gives way to something else only if it is empty or `--delete` may take it, which it may not on another mount. */
  #clearFolder(entry: TreeEntry): void {
    const components = this.#components(entry);
    const chain = this.#openChain;
    if (chain.onRootMount && this.#options.deleteExtra?.(components, true) === true) {
      this.counts.removed += removeTree(chain, entry.name, this.#removing);
    } else if (this.#options.dryRun !== true) {
      rmdirSync(chain.folder.at(entry.name));
    }
  }

  /** Owner, mode and attributes of something that is otherwise as it should be. With more than one name it may be somebody else's. */
  #refresh(entry: TreeEntry, existing: BigIntStats): void {
    const path = this.#openChain.folder.at(entry.name);
    if (existing.nlink !== 1n || !existing.isFile() || metadataFits(this.#setter, path, entry)) return;
    try {
      setExistingMetadata(this.#setter, path, entry, existing);
    } catch (error) {
      if (!(error instanceof XattrFailure)) throw error;
      this.#metadataProblem(this.#shown(entry.name), error);
    }
  }

  #kept(entry: TreeEntry, decision: 'same' | 'keep'): 'skipped' {
    this.counts.skipped++;
    if (entry.hardlink !== undefined && decision === 'same') {
      this.#groups.begin(entry, this.#components(entry))({ outcome: 'aborted' });
    }
    return 'skipped';
  }

  #link(entry: TreeEntry, origin: LinkOrigin): boolean {
    const { folder } = this.#openChain;
    try {
      linkTo(this.#root, origin, folder, entry.name, tempName(this.#random), this.#setter.handles);
      this.counts.hardlinks++;
      return true;
    } catch (error) {
      this.#problem(
        this.#shown(entry.name),
        `written as a copy, not as a hard link: ${reasonOf(error)}`,
        error,
      );
      return false;
    }
  }

  #sink(frame: Frame, entry: TreeEntry, onLinkEnd: ((end: SinkEnd) => void) | undefined): FileSink {
    const place = this.#placeOf(entry, (end) => {
      frame.sinks--;
      this.#sinks.delete(sink);
      if (end.outcome === 'written') this.#countFile(entry);
      else this.counts.failed++;
      onLinkEnd?.(end);
    });
    let sink: FileSink;
    try {
      sink = new FileSink(place);
    } catch (error) {
      place.folder.release();
      onLinkEnd?.({ outcome: 'failed' });
      throw error;
    }
    frame.sinks++;
    this.#sinks.add(sink);
    return sink;
  }

  #placeOf(entry: TreeEntry, onEnd: (end: SinkEnd) => void): FilePlace {
    const components = this.#folderComponents();
    const { target } = this.#options;
    const place: FilePlace = {
      folder: this.#openChain.folder.retain(),
      entry,
      // Made when it is asked for: of most files nothing is ever said.
      get shown() {
        return displayPath([...components, entry.name], target);
      },
      random: this.#random,
      setter: this.#setter,
      onMetadataFailure: (error) => {
        this.#metadataProblem(place.shown, error);
      },
      onEnd,
    };
    return place;
  }

  #makeSymlinks(frame: Frame): void {
    const links = frame.symlinks;
    frame.symlinks = [];
    this.#waitingSymlinks -= links.length;
    for (const entry of links) this.#place(frame, entry, 'symlinks', writeSymlink);
  }

  #place(frame: Frame, entry: TreeEntry, count: 'symlinks' | 'others', write: typeof writeSymlink): void {
    try {
      const decision = this.#decide(frame, entry);
      if (decision !== 'write') {
        this.counts.skipped++;
        return;
      }
      if (this.#options.dryRun !== true) {
        const done = write(this.#setter, this.#openChain.folder, entry, tempName(this.#random));
        if (done.failure !== undefined) this.#metadataProblem(this.#shown(entry.name), done.failure);
      }
      this.counts[count]++;
    } catch (error) {
      this.#failed(entry, error);
    }
  }

  #endFrame(frame: Frame, complete: boolean): void {
    if (frame.sinks > 0) throw new KithError('internal', 'a folder was left before its files were committed');
    this.#makeSymlinks(frame);
    if (frame.state === 'waiting') return;
    if (frame.entry?.error !== undefined)
      this.#failed(frame.entry, new Error(whyNot(frame.entry)), this.#frames.length - 1);
    else if (complete && frame.state === 'open' && frame.names !== undefined) this.#removeExtra(frame.names);
  }

  #removeExtra(wanted: ReadonlySet<string>): void {
    const chain = this.#openChain;
    const components = this.#folderComponents();
    const listed = readdirSync(chain.folder.self(), 'latin1');
    // Temporary names are of files that are still on their way; what an earlier restore left went at the beginning.
    const extra = listed.filter((key) => !wanted.has(key) && !isTempName(key));
    if (extra.length === 0) return;
    const folded = foldedInodes(wanted, listed, (key) => lookAt(chain.folder.at(nameBytes(key))));
    const foreign = !chain.onRootMount;
    for (const key of extra) {
      const name = nameBytes(key);
      try {
        const stats = lookAt(chain.folder.at(name));
        if (stats === undefined || folded.has(inodeKey(stats))) continue;
        if (this.#options.deleteExtra?.([...components, name], stats.isDirectory()) !== true) continue;
        if (foreign) throw new Error('it lies on another file system than the target');
        this.counts.removed += removeTree(chain, name, this.#removing);
      } catch (error) {
        this.#problem(this.#shown(name), `could not be removed: ${reasonOf(error)}`, error);
      }
    }
  }

  get #removing(): { dryRun: boolean; spares: (folder: BigIntStats) => boolean } {
    return {
      dryRun: this.#options.dryRun === true,
      spares: (folder) => this.#spared.has(inodeKey(folder)),
    };
  }

  #countFile(entry: TreeEntry): void {
    this.counts.files++;
    this.counts.bytes += entry.size;
  }

  /** Names from the target down to the folder that is `depth` frames deep; default: the current one. */
  #folderComponents(depth: number = this.#frames.length): readonly Uint8Array[] {
    return this.#frames[depth - 1]?.components ?? [];
  }

  #components(entry: TreeEntry): Uint8Array[] {
    return [...this.#folderComponents(), entry.name];
  }

  #shown(name: Uint8Array, depth?: number): string {
    return displayPath([...this.#folderComponents(depth), name], this.#options.target);
  }

  #failed(entry: TreeEntry, error: unknown, depth?: number): void {
    this.counts.failed++;
    this.#problem(this.#shown(entry.name, depth), `could not be restored: ${reasonOf(error)}`, error);
  }

  #refuse(entry: TreeEntry, why: string, code: 'failed' | 'malformed' = 'failed'): 'skip' {
    this.counts.failed++;
    this.#options.onProblem({ item: this.#shown(entry.name), message: why, code });
    return 'skip';
  }

  /** Attributes that this file system or user can't set are the same for all files: said once per kind of them. */
  #metadataProblem(shown: string, error: unknown): void {
    const kind = xattrKindOf(error);
    if (kind === undefined) {
      this.#problem(shown, `its owner, mode or time could not be set: ${reasonOf(error)}`, error);
    } else if (!this.#xattrsTold.has(kind)) {
      this.#xattrsTold.add(kind);
      this.#problem(shown, `${messageOf(error)}; others like it are not reported`, error);
    }
  }

  #problem(item: string, message: string, error: unknown): void {
    this.#options.onProblem({ item, message, code: problemCode(error) });
  }
}

/** What kind of attributes could not be set, for the error that says so, here or from a thread. */
function xattrKindOf(error: unknown): string | undefined {
  if (error instanceof XattrFailure) return error.kind;
  const kind = isKithError(error) ? error.details['xattrKind'] : undefined;
  return typeof kind === 'string' ? kind : undefined;
}

/** A place with another end. A spread of it would ask for its path. */
function placeWithEnd(place: FilePlace, onEnd: (end: SinkEnd) => void): SinkPlace {
  return {
    folder: place.folder,
    entry: place.entry,
    get shown() {
      return place.shown;
    },
    random: place.random,
    setter: place.setter,
    onMetadataFailure: place.onMetadataFailure,
    onEnd,
  };
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
