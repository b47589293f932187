import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, rename, rmdir, stat, statfs, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KithError, systemCode } from '../base/errors.ts';
import type { Disk, WriteOptions } from './disk.ts';
import { writeDirectly } from './direct-write.ts';
import { diskError, isAbsent } from './disk-error.ts';
import { takeNativeLock } from './native-lock.ts';

// A symlink in a store points out of it, and a pipe would never answer: neither is opened as a file.
// Windows has neither flag.
const openFlags = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** Runs `work` with the system's errors told as kith's. */
async function told<T>(doing: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw diskError(error, doing, path);
  }
}

/** Like `told`, and undefined where there is nothing at the path. */
async function toldOrAbsent<T>(doing: string, path: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw diskError(error, doing, path);
  }
}

async function withFile<T>(
  path: string,
  flags: number,
  mode: number | undefined,
  work: (file: FileHandle, bytes: number) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags | openFlags, mode);
  try {
    const stats = await file.stat();
    if (!stats.isFile()) {
      throw new KithError('io-error', `${path} is not a plain file`, {
        details: { path, system: 'not-a-file' },
      });
    }
    return await work(file, stats.size);
  } finally {
    await file.close();
  }
}

/** Memory of its own, not cleared: what isn't read is never handed out. */
function unclearedBytes(length: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer, byteOffset, length);
}

async function readRange(
  file: FileHandle,
  offset: number,
  length: number,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const fits = into !== undefined && into.length >= length;
  const bytes = fits ? into.subarray(0, length) : unclearedBytes(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) return bytes.slice(0, done);
    done += bytesRead;
  }
  return bytes;
}

/** Parts of one call: a system call takes 1,024 on Linux, 16 where least is promised. */
const partsAtOnce = 16;

/** All parts with as few calls as the system allows: each costs a turn of a thread, whatever its length. */
async function writeAll(file: FileHandle, parts: readonly Uint8Array[], from = 0): Promise<void> {
  let position = from;
  let left = withoutFirst(parts, from).filter((part) => part.length > 0);
  while (left.length > 0) {
    const { bytesWritten } = await file.writev(left.slice(0, partsAtOnce), position);
    position += bytesWritten;
    left = withoutFirst(left, bytesWritten);
  }
}

/** What is left of parts when so many bytes of them are done. */
function withoutFirst(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let done = bytes;
  let whole = 0;
  for (const part of parts) {
    if (part.length > done) break;
    done -= part.length;
    whole++;
  }
  const [first, ...rest] = parts.slice(whole);
  return first === undefined ? [] : [first.subarray(done), ...rest];
}

async function writeFile(path: string, parts: readonly Uint8Array[], options: WriteOptions): Promise<void> {
  const existing = options.exclusive === true ? constants.O_EXCL : constants.O_TRUNC;
  const flags = constants.O_WRONLY | constants.O_CREAT | existing;
  const fill = async (file: FileHandle): Promise<void> => {
    const done = options.sync ? await writeDirectly(file, parts) : 0;
    await writeAll(file, parts, done);
    if (options.sync) await file.sync();
  };
  if (options.exclusive === true) await withNewFile(path, flags, options.mode, fill);
  else await withFile(path, flags, options.mode, fill);
}

/** A file that was made just now is a plain one: it isn't looked at. */
async function withNewFile(
  path: string,
  flags: number,
  mode: number | undefined,
  work: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags | openFlags, mode);
  try {
    await work(file);
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  let folder: FileHandle;
  try {
    folder = await open(path, constants.O_RDONLY | (constants.O_DIRECTORY ?? 0));
  } catch (error) {
    // Windows opens no folders, and keeps names durable by itself.
    if (process.platform === 'win32' && !isAbsent(error)) return;
    throw error;
  }
  try {
    await folder.sync();
  } catch (error) {
    // Some network and user-space file systems know no fsync of folders; there is nothing better to ask of them.
    const system = systemCode(error);
    if (system !== 'EINVAL' && system !== 'ENOTSUP' && system !== 'ENOSYS' && system !== 'EPERM') throw error;
  } finally {
    await folder.close();
  }
}

async function makeFolder(path: string, mode: number | undefined): Promise<void> {
  const parent = dirname(path);
  try {
    await mkdir(path, mode);
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && parent !== path) {
      await makeFolder(parent, mode);
      // Once more and no oftener: in /proc a folder can't be made though its parent is there.
      await mkdir(path, mode).catch((second: unknown) => unlessFolder(path, second));
    } else {
      await unlessFolder(path, error);
    }
  }
  if (parent !== path) await syncFolder(parent).catch(ignoreUnreadable);
}

/**
 * Throws the error unless a folder is there: some systems say EPERM, EROFS or EISDIR of one, such as a mount point's. A
 * link to a folder is one here: where a home or a drive lies is its owner's business; inside, stores look for links themselves.
 */
async function unlessFolder(path: string, error: unknown): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there?.isDirectory() !== true) throw error;
}

/** A parent that may be passed but not read (0o711) can't be synced by us, so what is in it wasn't made by us. */
function ignoreUnreadable(error: unknown): void {
  if (systemCode(error) !== 'EACCES') throw error;
}

/** The machine's file systems, through node:fs. Stateless: one serves all. */
export const nodeDisk: Disk = {
  pathsAreReal: true,
  list: (folder) =>
    toldOrAbsent('listing', folder, async () => {
      const entries = await readdir(folder, { withFileTypes: true });
      return entries.map((entry) => ({
        name: entry.name,
        isFolder: entry.isDirectory(),
        isFile: entry.isFile(),
      }));
    }),
  stat: (path) =>
    toldOrAbsent('looking at', path, async () => {
      const stats = await lstat(path);
      const isFile = stats.isFile();
      return {
        bytes: isFile ? stats.size : 0,
        isFolder: stats.isDirectory(),
        isFile,
        mtimeMs: stats.mtimeMs,
      };
    }),
  read: (path, offset, length) =>
    toldOrAbsent('reading', path, () =>
      withFile(path, constants.O_RDONLY, undefined, (file, bytes) =>
        readRange(file, offset, Math.max(0, Math.min(length, bytes - offset))),
      ),
    ),
  readWhole: (path, bytesMax, into) =>
    toldOrAbsent('reading', path, () =>
      withFile(path, constants.O_RDONLY, undefined, (file, bytes) => {
        if (bytes > bytesMax) {
          throw new KithError(
            'limit-exceeded',
            `${path} has ${bytes} bytes; at most ${bytesMax} are expected`,
            {
              details: { path, bytes, bytesMax },
            },
          );
        }
        return readRange(file, 0, bytes, into);
      }),
    ),
  write: (path, parts, options) => told('writing', path, () => writeFile(path, parts, options)),
  rename: (from, to) => told('renaming to', to, () => rename(from, to)),
  unlink: async (path) => {
    const done = await toldOrAbsent('removing', path, async () => {
      await unlink(path);
      return true;
    });
    return done ?? false;
  },
  makeFolder: (path, mode) => told('making the folder', path, () => makeFolder(path, mode)),
  removeFolder: async (path) => {
    const done = await toldOrAbsent('removing the folder', path, async () => {
      await rmdir(path);
      return true;
    });
    return done ?? false;
  },
  syncFolder: (path) => told('syncing the folder', path, () => syncFolder(path)),
  freeBytes: (path) =>
    toldOrAbsent('measuring the disk of', path, async () => {
      const stats = await statfs(path);
      // A file system that gives no size (some network and user-space ones) has told us nothing.
      if (stats.blocks === 0) return undefined;
      return { free: stats.bavail * stats.bsize, total: stats.blocks * stats.bsize };
    }),
  lock: takeNativeLock,
};
