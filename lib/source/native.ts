import { lutimesSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { endianness } from 'node:os';

import type { NodeCalls } from './native-nodes.ts';
import { bindNodes } from './native-nodes.ts';
import type { XattrCalls } from './native-xattrs.ts';
import { bindXattrs, terminated } from './native-xattrs.ts';

type KoffiModule = typeof import('koffi');

/** System calls that node:fs lacks. Paths are raw bytes without NUL. Each throws where the call fails. */
export interface NativeCalls extends XattrCalls, NodeCalls {
  /** Sets the modification time to the ns and leaves the access time; never follows a last symlink unless told. */
  setMtime(path: Uint8Array, mtimeNs: bigint, follow: boolean): void;
  /** Makes a FIFO; the process's umask applies to the mode. */
  makeFifo(path: Uint8Array, mode: number): void;
}

interface Constants {
  readonly atCwd: number;
  readonly noFollow: number;
  readonly omit: bigint;
}

const platforms: Readonly<Record<string, Constants>> = {
  linux: { atCwd: -100, noFollow: 0x100, omit: 0x3fff_fffen },
  darwin: { atCwd: -2, noFollow: 0x20, omit: -2n },
};

let loaded: { readonly calls: NativeCalls | undefined } | undefined;

/** The calls through koffi, or undefined where it does not load or the system isn't a 64-bit Linux or macOS. */
export function nativeCalls(): NativeCalls | undefined {
  loaded ??= { calls: load() };
  return loaded.calls;
}

/** Grain of the mtimes that a restore on this machine sets: 1 ns, or 1 µs without native calls. */
export function mtimeGrainNs(native: NativeCalls | 'none' = nativeCalls() ?? 'none'): bigint {
  return native === 'none' ? 1000n : 1n;
}

/** Sets an mtime as exactly as this machine can; see mtimeGrainNs. */
export function setMtime(
  native: NativeCalls | undefined,
  path: Uint8Array,
  mtimeNs: bigint,
  follow: boolean,
): void {
  if (native !== undefined) return native.setMtime(path, mtimeNs, follow);
  // The half µs keeps libuv's truncation of the double from losing the last one.
  const seconds = Number(floorTo(mtimeNs, 1000n) / 1000n) / 1e6 + 5e-7;
  const at = Buffer.from(path);
  (follow ? utimesSync : lutimesSync)(at, Date.now() / 1000, seconds);
}

/** The largest multiple of `grain` that is not above `ns`, also before 1970. */
export function floorTo(ns: bigint, grain: bigint): bigint {
  const rest = ns % grain;
  return rest < 0n ? ns - rest - grain : ns - rest;
}

function load(): NativeCalls | undefined {
  const constants = platforms[process.platform];
  if (
    constants === undefined ||
    !['x64', 'arm64', 'riscv64', 'ppc64', 's390x', 'loong64'].includes(process.arch)
  )
    return undefined;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as KoffiModule;
    return bind(koffi, constants);
  } catch {
    return undefined;
  }
}

function bind(koffi: KoffiModule, constants: Constants): NativeCalls {
  const library = koffi.load(null);
  const utimensat: (...args: unknown[]) => number = library.func(
    'int utimensat(int folder, const void *path, const void *times, int flags)',
  );
  const mkfifo: (...args: unknown[]) => number = library.func('int mkfifo(const void *path, uint32_t mode)');
  const names = new Map(Object.entries(koffi.os.errno).map(([name, number]) => [number, name]));
  // struct timespec[2]: access and modification time, each i64 seconds and i64 nanoseconds in the machine's order.
  const times = new DataView(new ArrayBuffer(32));
  const bytes = new Uint8Array(times.buffer);
  const little = endianness() === 'LE';
  times.setBigInt64(8, constants.omit, little);

  function failure(call: string): NodeJS.ErrnoException {
    const code = names.get(koffi.errno()) ?? 'EUNKNOWN';
    return Object.assign(new Error(`${code}: ${call} failed`), { code, syscall: call });
  }

  function check(result: number, call: string): void {
    if (result !== 0) throw failure(call);
  }

  const calls = {
    func: (prototype: string) => library.func(prototype) as (...args: unknown[]) => number,
    failure,
  };
  return {
    ...bindXattrs(calls),
    ...bindNodes(calls),
    setMtime(path, mtimeNs, follow) {
      const seconds = floorTo(mtimeNs, 1_000_000_000n);
      times.setBigInt64(16, seconds / 1_000_000_000n, little);
      times.setBigInt64(24, mtimeNs - seconds, little);
      check(
        utimensat(constants.atCwd, terminated(path), bytes, follow ? 0 : constants.noFollow),
        'utimensat',
      );
    },
    makeFifo(path, mode) {
      check(mkfifo(terminated(path), mode), 'mkfifo');
    },
  };
}
