import { posix } from 'node:path';
import { KithError } from '../../lib/base/errors.ts';
import { concatBytes } from '../../lib/base/bytes.ts';
import { diskError } from '../../lib/disk/disk-error.ts';
import type { Disk, DiskEntry, DiskLock, DiskStat, WriteOptions } from '../../lib/disk/disk.ts';
import {
  capturedState,
  emptyFolder,
  filesUnder,
  forgetEntry,
  setEntry,
  syncEntries,
  type CrashMode,
  type FileNode,
  type FolderNode,
  type Node,
} from './fault-disk-state.ts';
import { Seeded } from './seeded.ts';

export type { CrashMode } from './fault-disk-state.ts';

/** What every call throws from the step on at which the machine "died". No KithError: nothing may handle it. */
export class CrashError extends Error {
  constructor(step: number) {
    super(`the machine died at step ${step}`);
    this.name = 'CrashError';
  }
}

export interface FaultDiskOptions {
  /** Room for file bytes; without end unless given. */
  readonly capacityBytes?: number;
  /** Decides where torn writes tear. */
  readonly seed?: number;
}

/** A folder that was taken off a disk. */
export interface DetachedFolder {
  readonly root: FolderNode;
}

interface Failure {
  readonly step: number;
  readonly code: string;
  readonly always: boolean;
}

/**
 * A disk in memory with a write cache, for tests that count and cut. What is written, made, renamed or removed is
 * seen at once, but lasts only once it is synced: bytes by a write with `sync`, names by `syncFolder`.
 *
 * Every change is a step, numbered from 1: write, fsync, rename, unlink, folder sync, mkdir, rmdir; a synced write is
 * two, a new folder is two (mkdir, sync of the one above). A step at which the machine dies or an error is injected
 * doesn't happen, but a write leaves a torn file: some beginning of its bytes.
 */
export class FaultDisk implements Disk {
  readonly #root: FolderNode;
  readonly #capacityBytes: number | undefined;
  readonly #seed: number;
  readonly #locked = new Set<string>();
  readonly #trace: string[] = [];
  readonly #failures: Failure[] = [];
  readonly #readFailures: { readonly code: string; readonly concerns: (path: string) => boolean }[] = [];
  #crashStep: number | undefined;
  #crashed = false;
  #clockMs = 0;
  /** Told at the moment at which the machine dies: what else of it is in this process dies with it. */
  onCrash: () => void = () => undefined;

  constructor(options: FaultDiskOptions = {}, root: FolderNode = emptyFolder()) {
    this.#capacityBytes = options.capacityBytes;
    this.#seed = options.seed ?? 1;
    this.#root = root;
  }

  /** Changes so far. */
  get steps(): number {
    return this.#trace.length;
  }

  /** One line a step, `write /a 12`; a step that failed is in it. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  get crashed(): boolean {
    return this.#crashed;
  }

  /** Dies at this step: it and every later call, reads as well, throws CrashError. */
  crashAt(step: number): void {
    this.#crashStep = step;
  }

  /** Fails this step with a system error (`ENOSPC`, `EIO`, …); with `always` every later one too. */
  failAt(step: number, code: string, options: { readonly always?: boolean } = {}): void {
    this.#failures.push({ step, code, always: options.always ?? false });
  }

  /** Fails reading, listing and looking at the paths concerned, from now on. */
  failReads(code: string, concerns: (path: string) => boolean): void {
    this.#readFailures.push({ code, concerns });
  }

  /** Takes back all that `failAt` and `failReads` asked for. */
  heal(): void {
    this.#failures.length = 0;
    this.#readFailures.length = 0;
  }

  /**
   * The disk as it is found after the crash (or now, if there was none), without faults. `lose-unsynced`: only what was
   * synced. `keep-all`: all. `mixed`: the seed decides for each name how many of its changes since the last sync took
   * place (in their order; names are independent of each other, so a rename may show under both names or none), and for
   * each file's unsynced bytes whether they are old, new, a beginning, or a beginning with zeros after it.
   * `process-killed`: only the process died: all is seen, and what wasn't synced may still be lost in a later crash.
   */
  afterCrash(mode: CrashMode, seed = 1): FaultDisk {
    const options = this.#capacityBytes === undefined ? {} : { capacityBytes: this.#capacityBytes };
    return new FaultDisk({ ...options, seed: this.#seed }, capturedState(this.#root, mode, new Seeded(seed)));
  }

  /** All files, as paths, in order. */
  files(): string[] {
    return [...filesUnder(this.#root, '')].map(([path]) => path);
  }

  /** A file's bytes as seen now, a copy; no step, and no fault applies. */
  peek(path: string): Uint8Array | undefined {
    const node = this.#find(path);
    return node?.kind === 'file' ? node.bytes.slice() : undefined;
  }

  /** Makes or replaces a file durably behind everybody's back, as bad hardware or a stranger would. Folders must exist. */
  poke(path: string, bytes: Uint8Array): void {
    const { folder, name } = this.#place(path);
    const node: FileNode = {
      kind: 'file',
      bytes: bytes.slice(),
      synced: undefined,
      mtimeMs: ++this.#clockMs,
    };
    node.synced = node.bytes;
    setEntry(folder, name, node);
    syncEntries(folder);
  }

  /**
   * Takes a folder and all in it away behind everybody's back, as a pulled plug does: what was written is in it, synced
   * or not. Undefined if there is none. The result can be attached any number of times, to any disk.
   */
  detach(path: string): DetachedFolder | undefined {
    const { folder, name } = this.#place(path);
    const node = folder.entries.get(name);
    if (node?.kind !== 'folder') return undefined;
    forgetEntry(folder, name);
    return { root: capturedState(node, 'keep-all', new Seeded(0)) };
  }

  /** Puts a copy of a detached folder in a place, durably; the folders above must exist. */
  attach(path: string, detached: DetachedFolder): void {
    const { folder, name } = this.#place(path);
    forgetEntry(folder, name);
    const copy = capturedState(detached.root, 'keep-all', new Seeded(0));
    folder.entries.set(name, copy);
    folder.synced.set(name, copy);
  }

  async list(folder: string): Promise<DiskEntry[] | undefined> {
    await this.#beforeRead('listing', folder);
    const node = this.#find(folder);
    if (node === undefined) return undefined;
    if (node.kind === 'file') return undefined;
    return [...node.entries].map(([name, child]) => ({
      name,
      isFolder: child.kind === 'folder',
      isFile: child.kind === 'file',
    }));
  }

  async stat(path: string): Promise<DiskStat | undefined> {
    await this.#beforeRead('looking at', path);
    const node = this.#find(path);
    if (node === undefined) return undefined;
    if (node.kind === 'folder') return { bytes: 0, isFolder: true, isFile: false, mtimeMs: 0 };
    return { bytes: node.bytes.length, isFolder: false, isFile: true, mtimeMs: node.mtimeMs };
  }

  async read(path: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    await this.#beforeRead('reading', path);
    return this.#fileToRead(path)?.bytes.slice(offset, offset + length);
  }

  async readWhole(path: string, bytesMax: number): Promise<Uint8Array | undefined> {
    await this.#beforeRead('reading', path);
    const file = this.#fileToRead(path);
    if (file !== undefined && file.bytes.length > bytesMax) {
      throw new KithError('limit-exceeded', `${path} has more than ${bytesMax} bytes`);
    }
    return file?.bytes.slice();
  }

  async write(path: string, parts: readonly Uint8Array[], options: WriteOptions): Promise<void> {
    await this.#enter();
    const bytes = concatBytes(...parts);
    try {
      const file = this.#fileToWrite(path, options.exclusive === true);
      const tear = (): void => {
        const seeded = new Seeded(this.#seed + this.steps);
        this.#fill(path, file, bytes.subarray(0, seeded.below(bytes.length + 1)));
      };
      this.#step(`write ${path} ${bytes.length}`, tear);
      if (this.#freeFor(file) < bytes.length) {
        this.#fill(path, file, bytes.subarray(0, this.#freeFor(file)));
        throw systemError('ENOSPC');
      }
      const written = this.#fill(path, file, bytes);
      if (options.sync) {
        await this.#enter();
        this.#step(`fsync ${path}`);
        written.synced = written.bytes;
      }
    } catch (error) {
      throw this.#told(error, 'writing', path);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#change('renaming to', to, () => {
      const source = this.#place(from);
      const target = this.#place(to);
      const node = source.folder.entries.get(source.name);
      if (node === undefined) throw systemError('ENOENT');
      const there = target.folder.entries.get(target.name);
      if (there?.kind === 'folder' && node.kind === 'file') throw systemError('EISDIR');
      if (there?.kind === 'folder' && there.entries.size > 0) throw systemError('ENOTEMPTY');
      if (there?.kind === 'file' && node.kind === 'folder') throw systemError('ENOTDIR');
      this.#step(`rename ${from} ${to}`);
      if (there === node) return;
      setEntry(target.folder, target.name, node);
      setEntry(source.folder, source.name, undefined);
    });
  }

  async unlink(path: string): Promise<boolean> {
    return await this.#change('removing', path, () => {
      const node = this.#find(path);
      if (node === undefined) return false;
      if (node.kind === 'folder') throw systemError('EISDIR');
      this.#step(`unlink ${path}`);
      const { folder, name } = this.#place(path);
      setEntry(folder, name, undefined);
      return true;
    });
  }

  async makeFolder(path: string): Promise<void> {
    const resolved = posix.resolve('/', path);
    if (resolved === '/') return;
    const parent = posix.dirname(resolved);
    if (this.#find(parent) === undefined) await this.makeFolder(parent);
    await this.#change('making the folder', path, () => {
      const { folder, name } = this.#place(resolved);
      const there = folder.entries.get(name);
      if (there?.kind === 'file') throw systemError('EEXIST');
      if (there === undefined) {
        this.#step(`mkdir ${resolved}`);
        setEntry(folder, name, emptyFolder());
      }
    });
    await this.syncFolder(parent);
  }

  async removeFolder(path: string): Promise<boolean> {
    return await this.#change('removing the folder', path, () => {
      const node = this.#find(path);
      if (node === undefined) return false;
      if (node.kind === 'file') throw systemError('ENOTDIR');
      if (node.entries.size > 0) throw systemError('ENOTEMPTY');
      this.#step(`rmdir ${path}`);
      const { folder, name } = this.#place(path);
      setEntry(folder, name, undefined);
      return true;
    });
  }

  async syncFolder(path: string): Promise<void> {
    await this.#change('syncing the folder', path, () => {
      const node = this.#find(path);
      if (node === undefined) throw systemError('ENOENT');
      if (node.kind === 'file') throw systemError('ENOTDIR');
      this.#step(`sync ${path}`);
      syncEntries(node);
    });
  }

  async freeBytes(path: string): Promise<{ free: number; total: number } | undefined> {
    await this.#beforeRead('measuring the disk of', path);
    if (this.#capacityBytes === undefined || this.#find(path) === undefined) return undefined;
    return { free: this.#freeFor(undefined), total: this.#capacityBytes };
  }

  async lock(path: string): Promise<DiskLock | undefined> {
    await this.#enter();
    const resolved = posix.resolve('/', path);
    if (this.#locked.has(resolved)) return undefined;
    if (this.#find(path) === undefined) this.#fill(path, this.#fileToWrite(path, true), new Uint8Array(0));
    this.#locked.add(resolved);
    return {
      release: async () => {
        this.#locked.delete(resolved);
      },
    };
  }

  /** Lets others run first, as any real disk does, and refuses a dead machine. */
  async #enter(): Promise<void> {
    await Promise.resolve();
    if (this.#crashed) throw new CrashError(this.#crashStep ?? 0);
  }

  async #beforeRead(doing: string, path: string): Promise<void> {
    await this.#enter();
    const failure = this.#readFailures.find((candidate) => candidate.concerns(path));
    if (failure !== undefined) throw diskError(systemError(failure.code), doing, path);
  }

  async #change<T>(doing: string, path: string, work: () => T): Promise<T> {
    await this.#enter();
    try {
      return work();
    } catch (error) {
      throw this.#told(error, doing, path);
    }
  }

  #told(error: unknown, doing: string, path: string): Error {
    return error instanceof CrashError ? error : diskError(error, doing, path);
  }

  /** Counts a step; where it is one to die or fail at, `tear` does what is left of it. */
  #step(line: string, tear?: () => void): void {
    this.#trace.push(line);
    const step = this.#trace.length;
    if (step === this.#crashStep) {
      tear?.();
      this.#crashed = true;
      this.onCrash();
      throw new CrashError(step);
    }
    const failure = this.#failures.find(
      (candidate) => candidate.step === step || (candidate.always && candidate.step < step),
    );
    if (failure !== undefined) {
      tear?.();
      throw systemError(failure.code);
    }
  }

  #find(path: string): Node | undefined {
    let node: Node = this.#root;
    for (const name of namesOf(path)) {
      if (node.kind === 'file') return undefined;
      const child = node.entries.get(name);
      if (child === undefined) return undefined;
      node = child;
    }
    return node;
  }

  /** The folder that has, or would have, the last name of a path. */
  #place(path: string): { folder: FolderNode; name: string } {
    const name = namesOf(path).at(-1);
    const folder = this.#find(posix.dirname(posix.resolve('/', path)));
    if (name === undefined || folder === undefined) throw systemError('ENOENT');
    if (folder.kind === 'file') throw systemError('ENOTDIR');
    return { folder, name };
  }

  #fileToRead(path: string): FileNode | undefined {
    const node = this.#find(path);
    if (node?.kind === 'folder') throw diskError(systemError('EISDIR'), 'reading', path);
    return node;
  }

  #fileToWrite(path: string, exclusive: boolean): FileNode | undefined {
    const { folder, name } = this.#place(path);
    const there = folder.entries.get(name);
    if (there !== undefined && exclusive) throw systemError('EEXIST');
    if (there?.kind === 'folder') throw systemError('EISDIR');
    return there;
  }

  /** Puts bytes into a file, made if need be; not durable. */
  #fill(path: string, file: FileNode | undefined, bytes: Uint8Array): FileNode {
    const node: FileNode = file ?? { kind: 'file', bytes, synced: undefined, mtimeMs: 0 };
    node.bytes = bytes;
    node.mtimeMs = ++this.#clockMs;
    if (file === undefined) {
      const { folder, name } = this.#place(path);
      setEntry(folder, name, node);
    }
    return node;
  }

  /** Room for a file's bytes, what it takes now counted as free. */
  #freeFor(file: FileNode | undefined): number {
    if (this.#capacityBytes === undefined) return Number.POSITIVE_INFINITY;
    let used = 0;
    for (const [, node] of filesUnder(this.#root, '')) if (node !== file) used += node.bytes.length;
    return Math.max(0, this.#capacityBytes - used);
  }
}

function namesOf(path: string): string[] {
  return posix
    .resolve('/', path)
    .split('/')
    .filter((name) => name !== '');
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code} (injected)`), { code });
}
