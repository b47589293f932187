/** Binds C functions of the machine's own library and throws what they report. */
export interface NativeLibrary {
  /** A function by its C prototype; throws where the library lacks it. */
  func(prototype: string): (...args: unknown[]) => number;
  /** The error of the call that just failed, with its `code`. */
  failure(call: string): NodeJS.ErrnoException;
}

/** An open handle, or a path; a symlink at its end is followed or is itself meant. A handle by O_PATH won't do. */
export type XattrPlace = number | { readonly path: Uint8Array; readonly follow: boolean };

/**
 * Extended attributes; POSIX ACLs are among them on Linux (`system.posix_acl_access`, `system.posix_acl_default`).
 * Names are raw bytes without NUL. Each call throws a system error where it fails.
 */
export interface XattrCalls {
  /** Names in the system's order, fresh bytes; none where there is nothing. One call in the usual case. */
  listXattrs(place: XattrPlace): Uint8Array[];
  /** A value in fresh bytes; `E2BIG` if it is longer than `bytesMax`, `ENODATA` (on macOS `ENOATTR`) if it is gone. */
  getXattr(place: XattrPlace, name: Uint8Array, bytesMax: number): Uint8Array;
  /** Makes or replaces one. */
  setXattr(place: XattrPlace, name: Uint8Array, value: Uint8Array): void;
  removeXattr(place: XattrPlace, name: Uint8Array): void;
}

/** First size of the buffer for names and values: all that Linux ever gives. */
const bufferBytes: number = 64 * 1024;

/** Bytes of all names of one place: Linux ends at 64 KiB, others are bounded by this. */
const listBytesMax: number = 1024 * 1024;

/** Times that a list or value is asked for again because it grew meanwhile. */
const attemptsMax = 4;

/** XATTR_NOFOLLOW of macOS. */
const darwinNoFollow = 1;

type Fill = (buffer: Uint8Array, bytes: number) => number;

/** The calls of this system; throws where the library lacks one. */
export function bindXattrs(library: NativeLibrary): XattrCalls {
  const raw = process.platform === 'darwin' ? darwinCalls(library) : linuxCalls(library);
  let buffer = new Uint8Array(bufferBytes);

  /** What `fill` gives, as a view of the buffer, which the next call overwrites. */
  function filled(call: string, bytesMax: number, fill: Fill): Uint8Array {
    for (let attempt = 1; ; attempt++) {
      const count = fill(buffer, buffer.length);
      if (count >= 0) {
        if (count > bytesMax) throw tooBig(call);
        return buffer.subarray(0, count);
      }
      const error = library.failure(call);
      if (error.code !== 'ERANGE' || attempt === attemptsMax) throw error;
      const needed = fill(buffer, 0);
      if (needed < 0) throw library.failure(call);
      if (needed > bytesMax) throw tooBig(call);
      if (needed > buffer.length) buffer = new Uint8Array(needed);
    }
  }

  return {
    listXattrs(place) {
      const at = placeBytes(place);
      const list = filled('listxattr', listBytesMax, (into, bytes) => raw.list(at, into, bytes));
      const names: Uint8Array[] = [];
      for (let start = 0; start < list.length;) {
        const end = list.indexOf(0, start);
        const next = end < 0 ? list.length : end;
        if (next > start) names.push(list.slice(start, next));
        start = next + 1;
      }
      return names;
    },
    getXattr(place, name, bytesMax) {
      const at = placeBytes(place);
      const key = terminated(name);
      return filled('getxattr', bytesMax, (into, bytes) => raw.get(at, key, into, bytes)).slice();
    },
    setXattr(place, name, value) {
      // An empty array has no address to hand over.
      const bytes = value.length === 0 ? new Uint8Array(1) : value;
      if (raw.set(placeBytes(place), terminated(name), bytes, value.length) !== 0)
        throw library.failure('setxattr');
    },
    removeXattr(place, name) {
      if (raw.remove(placeBytes(place), terminated(name)) !== 0) throw library.failure('removexattr');
    },
  };
}

/** The same calls with handle, followed path and path itself behind one argument each. */
interface RawCalls {
  list(at: At, into: Uint8Array, bytes: number): number;
  get(at: At, name: Uint8Array, into: Uint8Array, bytes: number): number;
  set(at: At, name: Uint8Array, value: Uint8Array, bytes: number): number;
  remove(at: At, name: Uint8Array): number;
}

/** `where` is the handle or the path with a NUL at its end. */
interface At {
  readonly where: number | Uint8Array;
  readonly by: 'handle' | 'following' | 'itself';
}

function placeBytes(place: XattrPlace): At {
  if (typeof place === 'number') return { where: place, by: 'handle' };
  return { where: terminated(place.path), by: place.follow ? 'following' : 'itself' };
}

function linuxCalls(library: NativeLibrary): RawCalls {
  const three = (call: string, first: string, rest: string, result: string): Record<At['by'], RawCall> => ({
    handle: library.func(`${result} f${call}(int handle${rest})`),
    following: library.func(`${result} ${call}(${first}${rest})`),
    itself: library.func(`${result} l${call}(${first}${rest})`),
  });
  const path = 'const void *path';
  const list = three('listxattr', path, ', void *list, size_t size', 'int64_t');
  const get = three('getxattr', path, ', const void *name, void *value, size_t size', 'int64_t');
  const set = three('setxattr', path, ', const void *name, const void *value, size_t size, int flags', 'int');
  const remove = three('removexattr', path, ', const void *name', 'int');
  return {
    list: ({ by, where }, into, bytes) => list[by](where, into, bytes),
    get: ({ by, where }, name, into, bytes) => get[by](where, name, into, bytes),
    set: ({ by, where }, name, value, bytes) => set[by](where, name, value, bytes, 0),
    remove: ({ by, where }, name) => remove[by](where, name),
  };
}

function darwinCalls(library: NativeLibrary): RawCalls {
  const two = (call: string, rest: string, result: string): Record<At['by'], RawCall> => {
    const byPath = library.func(`${result} ${call}(const void *path${rest})`);
    return {
      handle: library.func(`${result} f${call}(int handle${rest})`),
      following: byPath,
      itself: byPath,
    };
  };
  const list = two('listxattr', ', void *list, size_t size, int options', 'int64_t');
  const get = two(
    'getxattr',
    ', const void *name, void *value, size_t size, uint32_t position, int options',
    'int64_t',
  );
  const set = two(
    'setxattr',
    ', const void *name, const void *value, size_t size, uint32_t position, int options',
    'int',
  );
  const remove = two('removexattr', ', const void *name, int options', 'int');
  const options = (by: At['by']): number => (by === 'itself' ? darwinNoFollow : 0);
  return {
    list: ({ by, where }, into, bytes) => list[by](where, into, bytes, options(by)),
    get: ({ by, where }, name, into, bytes) => get[by](where, name, into, bytes, 0, options(by)),
    set: ({ by, where }, name, value, bytes) => set[by](where, name, value, bytes, 0, options(by)),
    remove: ({ by, where }, name) => remove[by](where, name, options(by)),
  };
}

type RawCall = (...args: unknown[]) => number;

function tooBig(call: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`E2BIG: ${call} gave too much`), { code: 'E2BIG', syscall: call });
}

/** The bytes with a NUL behind them, as C wants a text. */
export function terminated(text: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(text.length + 1);
  bytes.set(text);
  return bytes;
}
