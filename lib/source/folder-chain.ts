import type { BigIntStats } from 'node:fs';
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { viewAsBuffer } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { handlePath, joinPath, oPath } from './path.ts';

/** Handles that a chain keeps open: far below the usual limit of 1024, and deeper than most trees. */
const openHandlesMax = 64;

/** Whether folders are reached by handle here (`/proc/self/fd/N/name`), so that a swapped symlink changes nothing. */
export const handlesWork: boolean = process.platform === 'linux' && procIsThere();

function procIsThere(): boolean {
  try {
    return statSync('/proc/self/fd').isDirectory();
  } catch {
    return false;
  }
}

/**
 * A folder that is known by its inode, not by its name. With handles its children are addressed through it; without,
 * by path, after a look whether the same folder still stands there.
 */
export class OpenFolder {
  readonly #path: Uint8Array;
  #handle: number | undefined;
  #holders = 1;
  #mountId: string | undefined;
  readonly device: bigint;
  readonly inode: bigint;
  readonly mode: number;
  readonly mtimeNs: bigint;

  /** @internal Follows no symlink at the last name. Throws a system error where there is no folder. */
  constructor(path: Uint8Array, useHandle: boolean) {
    this.#path = path;
    let stats: BigIntStats;
    if (useHandle) {
      const flags = oPath | constants.O_DIRECTORY | constants.O_NOFOLLOW;
      this.#handle = openSync(viewAsBuffer(path), flags);
      stats = fstatSync(this.#handle, { bigint: true });
    } else {
      stats = lstatSync(viewAsBuffer(path), { bigint: true });
      if (!stats.isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' });
    }
    this.device = stats.dev;
    this.inode = stats.ino;
    this.mode = Number(stats.mode & 0o7777n);
    this.mtimeNs = stats.mtimeNs;
  }

  get hasHandle(): boolean {
    return this.#handle !== undefined;
  }

  /** The handle, which stays this folder's: good in all threads of the process until the last release. */
  get handle(): number | undefined {
    return this.#handle;
  }

  /**
   * Whether both lie on the same mount of the same file system. A bind mount has the device of what it shows, which
   * only the kernel's mount id tells; where that is not to be had, devices alone are compared.
   */
  sharesMount(other: OpenFolder): boolean {
    return this.device === other.device && this.#mount() === other.#mount();
  }

  #mount(): string {
    this.#mountId ??= mountIdOf(this.#handle);
    return this.#mountId;
  }

  /** Path of the folder itself, for calls that follow a last symlink: with handles it is one, and must be followed. */
  self(): Buffer {
    if (this.#handle !== undefined) return viewAsBuffer(handlePath(this.#handle));
    const stats = lstatSync(viewAsBuffer(this.#path), { bigint: true });
    if (stats.dev !== this.device || stats.ino !== this.inode) {
      throw new KithError('failed', 'its folder was exchanged for another while kith was writing to it');
    }
    return viewAsBuffer(this.#path);
  }

  /** Path of a child, which the caller must not follow if it is a symlink. */
  at(name: Uint8Array): Buffer {
    return viewAsBuffer(joinPath(this.self(), name));
  }

  /** Keeps the handle open until one more release. */
  retain(): this {
    this.#holders++;
    return this;
  }

  release(): void {
    if (--this.#holders > 0 || this.#handle === undefined) return;
    const handle = this.#handle;
    this.#handle = undefined;
    closeSync(handle);
  }
}

/** The `mnt_id` of proc(5) for an open handle, or '' where there is none. */
function mountIdOf(handle: number | undefined): string {
  if (handle === undefined || !handlesWork) return '';
  try {
    const text = readFileSync(`/proc/self/fdinfo/${handle}`, 'latin1');
    return /^mnt_id:\s*(\d+)$/mu.exec(text)?.[1] ?? '';
  } catch {
    return '';
  }
}

interface Link {
  /** Undefined while the handle is given up to keep the number of open ones bounded. */
  folder: OpenFolder | undefined;
  readonly device: bigint;
  readonly inode: bigint;
}

/**
 * The open folders from a root down to the innermost. Nothing in it ever follows a symlink below the root.
 * At most 64 handles are open; a folder whose handle was given up is found again as the parent of the next one down
 * and refused (KithError `failed`) if it is another. Close it, whatever happens.
 */
export class FolderChain {
  readonly #useHandles: boolean;
  readonly #links: Link[] = [];

  /** `root` is an absolute path without symlinks; `useHandles` is for tests. */
  constructor(root: Uint8Array, useHandles: boolean = handlesWork) {
    this.#useHandles = useHandles;
    this.#push(new OpenFolder(root, useHandles));
  }

  /** The innermost folder. */
  get folder(): OpenFolder {
    const folder = this.#links.at(-1)?.folder;
    if (folder === undefined) throw new KithError('internal', 'a closed chain of folders was used');
    return folder;
  }

  /** Whether the innermost folder lies on the mount that the root lies on. */
  get onRootMount(): boolean {
    const root = this.#links[0]?.folder;
    return root !== undefined && this.folder.sharesMount(root);
  }

  /** Folders below the root. */
  get depth(): number {
    return this.#links.length - 1;
  }

  /** Goes into a child. A system error if it isn't a folder or is a symlink to one. */
  enter(name: Uint8Array): OpenFolder {
    const folder = new OpenFolder(this.folder.at(name), this.#useHandles);
    this.#push(folder);
    return folder;
  }

  /** Goes back to the parent. */
  leave(): void {
    const child = this.#links.pop();
    const parent = this.#links.at(-1);
    if (child?.folder === undefined || parent === undefined) {
      throw new KithError('internal', 'left a folder that was not entered');
    }
    try {
      parent.folder ??= this.#again(child.folder, parent);
    } finally {
      child.folder.release();
    }
  }

  close(): void {
    for (const link of this.#links.splice(0)) link.folder?.release();
  }

  #push(folder: OpenFolder): void {
    this.#links.push({ folder, device: folder.device, inode: folder.inode });
    if (!folder.hasHandle) return;
    const far = this.#links[this.#links.length - 1 - openHandlesMax];
    if (far?.folder === undefined || far === this.#links[0]) return;
    far.folder.release();
    far.folder = undefined;
  }

  #again(child: OpenFolder, expected: Link): OpenFolder {
    const folder = new OpenFolder(joinPath(child.self(), Buffer.from('..')), this.#useHandles);
    if (folder.device === expected.device && folder.inode === expected.inode) return folder;
    folder.release();
    throw new KithError('failed', 'a folder was moved while kith was writing to it');
  }
}
