import type { NativeLibrary } from './native-xattrs.ts';
import { terminated } from './native-xattrs.ts';

/** What makes device files, finds the holes of files and asks for their bytes ahead. Each throws a system error where it fails, but willNeed never does. */
export interface NodeCalls {
  /** Makes a device file with mode 0600; only root can. `number` as packDevice gives it. */
  makeDevice(path: Uint8Array, kind: 'block' | 'character', number: bigint): void;
  /** The first byte from `offset` on that is no hole; undefined where only holes are left. Moves the handle's position. */
  nextData(handle: number, offset: number): number | undefined;
  /** The first byte from `offset` on that is in a hole; the file's size where none is. */
  nextHole(handle: number, offset: number): number;
  /** Has the system read some bytes of a file from `offset` on into its cache, without waiting. Undefined where it has no such call. */
  readonly willNeed: ((handle: number, offset: number, bytes: number) => void) | undefined;
}

const typeBits = { block: 0o60000, character: 0o20000 } as const;

/** SEEK_DATA and SEEK_HOLE. */
const whence: Readonly<Record<string, { readonly data: number; readonly hole: number }>> = {
  linux: { data: 3, hole: 4 },
  darwin: { data: 4, hole: 3 },
};

/** The calls of this system; throws where the library lacks one. */
export function bindNodes(library: NativeLibrary): NodeCalls {
  const seeks = whence[process.platform];
  if (seeks === undefined) throw new Error('no way to seek for holes is known here');
  const lseek = library.func('int64_t lseek(int handle, int64_t offset, int whence)');
  const mknod = bindMknod(library);
  return {
    makeDevice(path, kind, number) {
      if (mknod(terminated(path), typeBits[kind] | 0o600, number) !== 0) throw library.failure('mknod');
    },
    nextData(handle, offset) {
      const found = lseek(handle, offset, seeks.data);
      if (found >= 0) return found;
      const error = library.failure('lseek');
      if (error.code === 'ENXIO') return undefined;
      throw error;
    },
    nextHole(handle, offset) {
      const found = lseek(handle, offset, seeks.hole);
      if (found < 0) throw library.failure('lseek');
      return found;
    },
    willNeed: bindWillNeed(library),
  };
}

function bindWillNeed(library: NativeLibrary): NodeCalls['willNeed'] {
  if (process.platform !== 'linux') return undefined;
  try {
    const advise = library.func('int posix_fadvise(int handle, int64_t offset, int64_t bytes, int advice)');
    // POSIX_FADV_WILLNEED. What comes back doesn't matter: it is a hint.
    return (handle, offset, bytes) => void advise(handle, offset, bytes, 3);
  } catch {
    return undefined;
  }
}

/** glibc before 2.33 has mknod in its headers only, and `__xmknod` in its library. */
function bindMknod(library: NativeLibrary): (path: Uint8Array, mode: number, device: bigint) => number {
  if (process.platform === 'darwin') {
    const mknod = library.func('int mknod(const void *path, uint16_t mode, int32_t device)');
    return (path, mode, device) => mknod(path, mode, Number(BigInt.asIntN(32, device)));
  }
  try {
    return library.func('int mknod(const void *path, uint32_t mode, uint64_t device)');
  } catch {
    const xmknod = library.func(
      'int __xmknod(int version, const void *path, uint32_t mode, const void *device)',
    );
    // _MKNOD_VER, which is 0 on every 64-bit Linux.
    return (path, mode, device) => xmknod(0, path, mode, new Uint8Array(new BigUint64Array([device]).buffer));
  }
}
