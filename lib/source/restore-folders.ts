import { chmodSync, mkdirSync, unlinkSync } from 'node:fs';
import { KithError, isKithError } from '../base/errors.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { FolderChain, OpenFolder } from './folder-chain.ts';
import type { MetadataSetter } from './restore-metadata.ts';
import { setFolderMetadata } from './restore-metadata.ts';
import type { OverwritePolicy } from './restore-policy.ts';
import { givesWay, lookAt } from './restore-policy.ts';
import type { RestoreReport } from './restore-report.ts';
import { inodeKey, openTarget, prepareExisting } from './restore-target.ts';

/** A folder that is restored into, from when the walk enters it until the last file in it has ended. */
export interface RestoreFolder {
  /** Undefined for the target itself. */
  readonly entry: TreeEntry | undefined;
  /** Names from the target down to it. */
  readonly components: readonly Uint8Array[];
  /** `waiting` for a first child; `ghost`: not there in a dry run; `blocked`: could not be made. */
  state: 'waiting' | 'open' | 'ghost' | 'blocked';
  created: boolean;
  /** Of a folder that was there before. */
  modeBefore: number;
  /** Names that the snapshot has in it, where somebody will ask for them. */
  readonly names: Set<string> | undefined;
  /** Met and not yet made. */
  symlinks: TreeEntry[];
  sinks: number;
  /** Files that were placed and have not ended, and folders in it that wait for such. */
  pending: number;
  readonly above: RestoreFolder | undefined;
  /** Itself, retained, once it was left while something in it was pending. */
  waits: OpenFolder | undefined;
}

export interface RestoreFoldersOptions {
  readonly target: string;
  readonly overwrite: OverwritePolicy;
  readonly dryRun: boolean;
  /** Whether the names that the snapshot has in each folder are collected. */
  readonly collectsNames: boolean;
  /** Inodes (inodesOf) of folders that nothing is restored into. */
  readonly spared: ReadonlySet<string>;
  readonly setter: MetadataSetter;
  readonly report: RestoreReport;
}

/**
 * The folders from the target down to where the walk is, and those that were left and wait for files in them. Each is made
 * when something is about to be written in it, and gets its metadata when it was left and nothing in it is under way.
 * Owns the handles of both; close it, whatever happens.
 */
export class RestoreFolders {
  readonly #options: RestoreFoldersOptions;
  /** The target with its symlinks resolved. */
  readonly root: Uint8Array;
  readonly #chain: FolderChain | undefined;
  readonly #path: RestoreFolder[] = [];
  readonly #waiting = new Set<RestoreFolder>();
  #closed = false;

  /** Opens the target. KithErrors are those of openTarget. */
  constructor(options: RestoreFoldersOptions) {
    this.#options = options;
    const opened = openTarget(options.target, options.dryRun, options.setter.handles, options.spared);
    this.root = opened.root;
    this.#chain = opened.chain;
    this.#push(undefined, opened.chain === undefined ? 'ghost' : 'open');
  }

  /** The innermost. */
  get current(): RestoreFolder {
    const folder = this.#path.at(-1);
    if (folder === undefined || this.#closed)
      throw new KithError('internal', 'a restore was used after its end');
    return folder;
  }

  /** Folders from the target, which counts, down to the current one. */
  get depth(): number {
    return this.#path.length;
  }

  /** Its innermost folder is the current one, if that is open. */
  get chain(): FolderChain {
    if (this.#chain === undefined) throw new KithError('internal', 'a dry run was about to touch the target');
    return this.#chain;
  }

  /** Folders that were left and wait for files in them; each keeps a handle open. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Goes into a folder of the current one, which is made now, or, if `lazy`, before something is written into it. False if it can't be. */
  enter(entry: TreeEntry, lazy: boolean): boolean {
    if (!lazy && this.ready() === undefined) return false;
    this.#push(entry, 'waiting');
    if (lazy || this.ready() !== undefined) return true;
    this.#path.pop();
    return false;
  }

  /** The current folder, made and open (or a ghost), or undefined if that was not possible. */
  ready(): RestoreFolder | undefined {
    const first = this.#path.findIndex((folder) => folder.state === 'waiting');
    if (first >= 0) {
      for (const folder of this.#path.slice(first)) {
        const { above } = folder;
        if (above === undefined) continue;
        folder.state = above.state === 'open' ? this.#make(folder) : above.state;
        if (above.state === 'ghost') this.#options.report.counts.folders++;
      }
    }
    const { current } = this;
    return current.state === 'blocked' ? undefined : current;
  }

  /** Goes back to the one above. The metadata of the one that is left are set now, or once the last file in it has ended. */
  leave(): void {
    const folder = this.current;
    this.#path.pop();
    if (folder.state !== 'open') return;
    // Left first: where the folder then denies us, its parent could no longer be reached through it.
    const itself = this.chain.folder.retain();
    if (folder.pending === 0) {
      try {
        this.chain.leave();
        this.#finish(folder, itself);
      } finally {
        itself.release();
      }
      return;
    }
    folder.waits = itself;
    this.#waiting.add(folder);
    if (folder.above !== undefined) folder.above.pending++;
    this.chain.leave();
  }

  /** Something in a folder has ended: the last one ends the folder, if it was left, and so the one above, perhaps. */
  lessPending(folder: RestoreFolder): void {
    for (let at: RestoreFolder | undefined = folder; at !== undefined; at = at.above) {
      at.pending--;
      if (at.pending > 0 || at.waits === undefined || this.#closed) return;
      const itself = at.waits;
      at.waits = undefined;
      this.#waiting.delete(at);
      try {
        this.#finish(at, itself);
      } finally {
        itself.release();
      }
    }
  }

  /** Releases all handles. Folders that still wait stay as they are. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const folder of this.#waiting) folder.waits?.release();
    this.#chain?.close();
  }

  #push(entry: TreeEntry | undefined, state: RestoreFolder['state']): void {
    const above = this.#path.at(-1);
    this.#path.push({
      entry,
      components: entry === undefined ? [] : [...(above?.components ?? []), entry.name],
      state,
      created: false,
      modeBefore: 0,
      names: this.#options.collectsNames ? new Set<string>() : undefined,
      symlinks: [],
      sinks: 0,
      pending: 0,
      above,
      waits: undefined,
    });
  }

  /** Makes a folder in the innermost one of the chain, or takes the one that is there, and enters it. */
  #make(folder: RestoreFolder): RestoreFolder['state'] {
    const { overwrite, dryRun, spared, report } = this.#options;
    const { entry } = folder;
    if (entry === undefined) return 'open';
    try {
      const { chain } = this;
      // In what we just made lies nothing but what we put there; mkdir would tell.
      const isNew = folder.above?.created === true && overwrite === 'always';
      const existing = isNew ? undefined : lookAt(chain.folder.at(entry.name));
      if (existing !== undefined && !existing.isDirectory()) {
        if (!givesWay(overwrite, entry, existing))
          throw new Error('something that is no folder is in the way, and is kept');
        if (!dryRun) unlinkSync(chain.folder.at(entry.name));
      }
      const there = existing?.isDirectory() === true;
      if (!there && dryRun) {
        report.counts.folders++;
        return 'ghost';
      }
      if (!there) mkdirSync(chain.folder.at(entry.name), 0o700);
      const opened = chain.enter(entry.name);
      if (spared.has(inodeKey({ dev: opened.device, ino: opened.inode }))) {
        chain.leave();
        throw new Error('kith keeps its own things in it');
      }
      folder.created = !there;
      folder.modeBefore = opened.mode;
      report.counts.folders++;
      if (there && !dryRun) prepareExisting(opened.self(), opened.mode);
      return 'open';
    } catch (error) {
      report.failed(folder.components, error, 'this folder could not be restored');
      return 'blocked';
    }
  }

  /** Owner, mode and mtime of a folder into which nothing is written any more. */
  #finish(folder: RestoreFolder, itself: OpenFolder): void {
    const { dryRun, overwrite, setter, report } = this.#options;
    if (dryRun || folder.entry === undefined) return;
    try {
      const touched = folder.created || overwrite !== 'never';
      if (touched) setFolderMetadata(setter, itself.self(), folder.entry);
      else if ((folder.modeBefore & 0o700) !== 0o700) chmodSync(itself.self(), folder.modeBefore);
    } catch (error) {
      if (isKithError(error, 'failed')) throw error;
      report.metadataFailed(folder.components, error);
    }
  }
}

/** Names from the target down to something in a folder. */
export function componentsIn(folder: RestoreFolder, name: Uint8Array): Uint8Array[] {
  return [...folder.components, name];
}
