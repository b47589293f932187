import { createRequire } from 'node:module';
import type { StatNumbers } from './stat-numbers.ts';
import { deviceOf, typeOfMode } from './stat-numbers.ts';

type KoffiModule = typeof import('koffi');

/** linux/stat.h and linux/fcntl.h. */
const atCwd = -100;
const atSymlinkNoFollow = 0x100;
const wantedMask = 0xfff;
/** All but the birth time, which many file systems don't have and tell as 0. */
const neededMask = 0x7ff;

/** Bytes of struct statx. */
const statxBytes = 256;

const nsPerSecond = 1_000_000_000n;

/**
 * lstat in one call without a path or stats object of node's: a third of the time, which is what a walk consists of. Paths are given once a
 * folder. Not to be shared by walks that take turns.
 */
export interface FastLstat {
  /** The folder that the names of the next calls are in. Its path must have no NUL. */
  enter(folder: Uint8Array): void;
  /** What the name is now, one char per byte; undefined where node:fs must be asked, above all for the error. */
  lstat(name: string): StatNumbers | undefined;
}

/** Bytes of a folder's path and of a name in it that the buffer takes; PATH_MAX is 4096. */
const pathBytesMax = 4095;

type Statx = (folder: number, path: Uint8Array, flags: number, mask: number, into: Uint8Array) => number;

let loaded: { readonly statx: Statx | undefined } | undefined;

/** Undefined where koffi doesn't load or the system isn't a 64-bit Linux with statx. */
export function fastLstat(): FastLstat | undefined {
  loaded ??= { statx: load() };
  return loaded.statx === undefined ? undefined : makeFastLstat(loaded.statx);
}

function load(): Statx | undefined {
  if (process.platform !== 'linux') return undefined;
  if (!['x64', 'arm64', 'riscv64', 'ppc64', 's390x', 'loong64'].includes(process.arch)) return undefined;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as KoffiModule;
    return koffi
      .load(null)
      .func('int statx(int folder, const void *path, int flags, uint32_t mask, void *into)') as Statx;
  } catch {
    return undefined;
  }
}

function makeFastLstat(statx: Statx): FastLstat {
  const path = Buffer.alloc(pathBytesMax + 1);
  const into = new Uint8Array(statxBytes);
  // The kernel writes in the machine's own order, and typed arrays read in it.
  const u16 = new Uint16Array(into.buffer);
  const u32 = new Uint32Array(into.buffer);
  const i64 = new BigInt64Array(into.buffer);
  const u64 = new BigUint64Array(into.buffer);
  let folderBytes = 0;
  let isUsable = false;
  let device = { major: -1, minor: -1, number: 0n };

  const timeNs = (at: number): bigint => (i64[at / 8] ?? 0n) * nsPerSecond + BigInt(u32[at / 4 + 2] ?? 0);

  return {
    enter(folder) {
      isUsable = folder.length + 2 < pathBytesMax;
      if (!isUsable) return;
      path.set(folder);
      folderBytes = folder.length;
      if (path[folderBytes - 1] !== 0x2f) path[folderBytes++] = 0x2f;
    },
    lstat(name) {
      const end = folderBytes + name.length;
      if (!isUsable || end > pathBytesMax) return undefined;
      path.write(name, folderBytes, 'latin1');
      path[end] = 0;
      if (statx(atCwd, path, atSymlinkNoFollow, wantedMask, into) !== 0) return undefined;
      if (((u32[0] ?? 0) & neededMask) !== neededMask) return undefined;
      const mode = u16[14] ?? 0;
      const major = u32[34] ?? 0;
      const minor = u32[35] ?? 0;
      if (device.major !== major || device.minor !== minor)
        device = { major, minor, number: deviceOf(major, minor) };
      return {
        type: typeOfMode(mode),
        mode: mode & 0o7777,
        uid: u32[5] ?? 0,
        gid: u32[6] ?? 0,
        size: Number(u64[5] ?? 0n),
        links: u32[4] ?? 0,
        mtimeNs: timeNs(112),
        ctimeNs: timeNs(96),
        birthtimeNs: timeNs(80),
        inode: u64[4] ?? 0n,
        device: device.number,
        deviceNumber: { major: u32[32] ?? 0, minor: u32[33] ?? 0 },
      };
    },
  };
}
