/** One name in a folder. A symlink, device, socket or pipe is neither file nor folder. */
export interface DiskEntry {
  readonly name: string;
  readonly isFolder: boolean;
  readonly isFile: boolean;
}

/** What a path is, itself: the last component is never followed. `bytes` is 0 for all but files. */
export interface DiskStat {
  readonly bytes: number;
  readonly isFolder: boolean;
  readonly isFile: boolean;
  readonly mtimeMs: number;
}

export interface WriteOptions {
  /** Fsync before the file is closed: its bytes survive a power cut once the call returns (its name may not). */
  readonly sync: boolean;
  /** Permission bits of a new file; 0o666 less the umask unless given. */
  readonly mode?: number;
  /** Fail if something has that name already; otherwise an existing file is truncated. */
  readonly exclusive?: boolean;
}

/** A file locked against every other opener, in this process and others, until released or until the process dies. */
export interface DiskLock {
  release(): Promise<void>;
}

/**
 * The only way in which kith's durable state (a home, a drive; not sources nor restore targets) touches a file system,
 * so that tests can count every step and cut it off there. Paths are absolute.
 *
 * Errors of all calls: KithError `disk-full` (no space, or the user's quota), `io-error` (all else), both with
 * `details.path` and `details.system` (ENOSPC, EIO, …). What isn't there is undefined, never an error, where the call
 * says so. A symlink, pipe or device in the place of a file is refused with `io-error`.
 *
 * A name is only durable after `syncFolder` of its folder, the bytes only after a write with `sync`.
 */
export interface Disk {
  /** True: its paths are the system's own, and a thread may read a file there by itself. */
  readonly pathsAreReal?: boolean;
  /** Names in a folder, in no order; undefined where there is no such folder. One readdir. */
  list(folder: string): Promise<DiskEntry[] | undefined>;
  /** Undefined where there is nothing. One lstat. */
  stat(path: string): Promise<DiskStat | undefined>;
  /** A fresh array of up to `length` bytes from `offset`, shorter at the end; undefined where there is no such file. */
  read(path: string, offset: number, length: number): Promise<Uint8Array | undefined>;
  /**
   * A file's bytes; undefined where there is none; KithError `limit-exceeded` above `bytesMax`. A fresh array, or the beginning of `into`
   * where that is given and long enough: for those who read very many.
   */
  readWhole(path: string, bytesMax: number, into?: Uint8Array): Promise<Uint8Array | undefined>;
  /** Writes all parts in a row as one file. The parts must not change until the call returns; they aren't kept. */
  write(path: string, parts: readonly Uint8Array[], options: WriteOptions): Promise<void>;
  /** Replaces what has the name `to`. Not durable until the folders are synced. */
  rename(from: string, to: string): Promise<void>;
  /** True if there was a file to remove. */
  unlink(path: string): Promise<boolean>;
  /**
   * Makes a folder and the missing ones above it, durably. The folder above `path` is synced even when `path` was
   * there: an earlier process may have died between making and syncing. `mode` applies to the folders made.
   */
  makeFolder(path: string, mode?: number): Promise<void>;
  /** Removes an empty folder; true if there was one. */
  removeFolder(path: string): Promise<boolean>;
  /** Makes names made, changed or removed in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** Room on the file system that holds a path; undefined where that can't be told. */
  freeBytes(path: string): Promise<{ readonly free: number; readonly total: number } | undefined>;
  /** Locks a file, made if need be, that holds this process's id for messages; undefined if another has it. */
  lock(path: string): Promise<DiskLock | undefined>;
}
