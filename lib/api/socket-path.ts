import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, readlink, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { KithError, systemCode } from '../base/errors.ts';

/** Longer paths don't fit the address of a unix socket everywhere (104 bytes on macOS, 108 on Linux) and would be cut off silently. */
export const socketPathBytesMax = 100;

/** What of the process's surroundings decides where a runtime folder is. */
export interface RuntimePlaces {
  /** XDG_RUNTIME_DIR, where there is one. */
  readonly runtimeFolder: string | undefined;
  readonly tempFolder: string;
  readonly uid: number;
}

/** This process's own. */
export function runtimePlaces(): RuntimePlaces {
  const given = process.env['XDG_RUNTIME_DIR'];
  return {
    runtimeFolder: given === undefined || given === '' ? undefined : given,
    tempFolder: tmpdir(),
    uid: process.getuid?.() ?? 0,
  };
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) <= socketPathBytesMax;
}

/** Where a home's daemon is found: the socket itself, or where its path is too long a link to it. */
export function socketName(home: string): string {
  return join(resolve(home), 'daemon.sock');
}

/**
 * Where a home's daemon listens: `<home>/daemon.sock`, or where that is too long a socket in a runtime folder that only
 * this user can enter, named by a hash of the home's path: two homes never share one.
 */
export function socketPath(home: string, places: RuntimePlaces = runtimePlaces()): string {
  const own = socketName(home);
  if (fits(own)) return own;
  const hash = createHash('sha256').update(resolve(home)).digest('hex').slice(0, 32);
  const folders = [
    ...(places.runtimeFolder === undefined ? [] : [join(places.runtimeFolder, 'kith')]),
    join(places.tempFolder, `kith-${places.uid}`),
    join('/tmp', `kith-${places.uid}`),
  ];
  const paths = folders.map((folder) => join(folder, `${hash}.sock`));
  return paths.find(fits) ?? own;
}

/** KithError `failed` unless the folder is this user's own, closed to all others, and no link. */
async function checkRuntimeFolder(folder: string, uid: number): Promise<void> {
  const stats = await lstat(folder);
  if (stats.isDirectory() && stats.uid === uid && (stats.mode & 0o077) === 0) return;
  throw new KithError(
    'failed',
    `${folder} must be a folder of yours that nobody else can enter (mode 700). Remove it, or set XDG_RUNTIME_DIR to another place.`,
    { details: { path: folder } },
  );
}

/**
 * Makes room for the daemon's socket: the runtime folder is made or checked, and a socket that a dead daemon left is
 * removed. Only for who holds the home's lock. Returns where to listen. KithError `failed`, `io-error`.
 */
export async function prepareSocket(home: string, places: RuntimePlaces = runtimePlaces()): Promise<string> {
  const path = socketPath(home, places);
  const name = socketName(home);
  if (!fits(path)) {
    throw new KithError('failed', `no place for the daemon's socket: ${path} is too long a path for one.`);
  }
  try {
    await rm(name, { force: true });
    if (path === name) return path;
    const folder = dirname(path);
    await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw error;
    });
    await checkRuntimeFolder(folder, places.uid);
    await rm(path, { force: true });
    // Commands follow it: their XDG_RUNTIME_DIR may be another than the daemon's (cron has none).
    await symlink(path, name);
    return path;
  } catch (cause) {
    if (cause instanceof KithError) throw cause;
    throw new KithError('io-error', `the daemon's socket can't be made: ${String(cause)}`, { cause });
  }
}

/** What is left of a socket after its daemon: the link to it. The socket's own name goes when it is closed. */
export async function removeSocket(home: string, path: string): Promise<void> {
  await rm(path, { force: true });
  await rm(socketName(home), { force: true });
}

/** Makes sure that only this user can open a socket that was just made. */
export async function closeToOthers(path: string): Promise<void> {
  await chmod(path, 0o600);
}

/**
 * The socket of the daemon that runs in a home, or undefined where none has left one. KithError `failed` where its folder is
 * not this user's: somebody else may be listening there.
 */
export async function findSocket(
  home: string,
  places: RuntimePlaces = runtimePlaces(),
): Promise<string | undefined> {
  const name = socketName(home);
  if (fits(name)) return (await isThere(name)) ? name : undefined;
  let path: string;
  try {
    path = await readlink(name);
  } catch (error) {
    if (['ENOENT', 'EINVAL', 'ENOTDIR', 'ENAMETOOLONG'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
  if (!fits(path) || !(await isThere(path))) return undefined;
  await checkRuntimeFolder(dirname(path), places.uid);
  return path;
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}
