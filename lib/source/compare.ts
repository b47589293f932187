import type { BigIntStats } from 'node:fs';
import { closeSync, constants, lstatSync, openSync, readSync, readdirSync, readlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { utf8 } from '../base/bytes.ts';
import { throwIfAborted } from '../base/concurrency.ts';
import { treeDepthMax } from '../base/limits.ts';
import { entryTypes } from '../format/tree-entry.ts';
import { readXattrs } from './extras.ts';
import { floorTo, nativeCalls } from './native.ts';
import { displayPath, joinPath, nameBytes, nameKey, withReach } from './path.ts';
import { reasonOf } from './problem.ts';
import { typeOf } from './stat-numbers.ts';
import { isPersonal } from './xattr-names.ts';

/** Bytes of each of two files in memory at a time. */
const compareBytesAtOnce: number = 1024 * 1024;

export interface CompareOptions {
  /** mtimes are compared in units of so many ns; 1 by default. See mtimeGrainNs. */
  readonly mtimeGrainNs?: bigint | undefined;
  /** Whether owner and group count; by default as root, who alone can restore them. */
  readonly owners?: boolean | undefined;
  /** Told of each thing compared, with the bytes of a file. */
  readonly onCompared?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The differences between two trees in words, each with its path: names as raw bytes in both directions, types, modes,
 * owners, mtimes, symlink targets, device numbers, extended attributes with access control lists (where they can be
 * read) and every byte of every file; also of the two roots themselves.
 * Nothing when they are alike. Memory: names of the folders on the path and two buffers; reads every file whole.
 */
export async function* compareTrees(
  left: string | Uint8Array,
  right: string | Uint8Array,
  options: CompareOptions = {},
): AsyncGenerator<string, void, undefined> {
  const comparison = new Comparison(options);
  const roots: Pair = { left: pathBytes(left), right: pathBytes(right), names: [] };
  const stack: Iterator<Pair, void>[] = [[roots].values()];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const next = top.next();
    if (next.done === true) {
      stack.pop();
      continue;
    }
    throwIfAborted(options.signal);
    const { differences, children } = comparison.compare(next.value);
    yield* differences;
    if (children !== undefined) stack.push(children);
    if (comparison.timeForOthers()) await setImmediate();
  }
}

interface Pair {
  readonly left: Uint8Array;
  readonly right: Uint8Array;
  readonly names: readonly Uint8Array[];
}

class Comparison {
  readonly #options: CompareOptions;
  readonly #buffers = [new Uint8Array(compareBytesAtOnce), new Uint8Array(compareBytesAtOnce)] as const;
  #work = 0;

  constructor(options: CompareOptions) {
    this.#options = options;
  }

  /** True now and then: after some MiB or some hundred entries. */
  timeForOthers(): boolean {
    if (this.#work < 16) return false;
    this.#work = 0;
    return true;
  }

  compare(pair: Pair): { differences: string[]; children?: Iterator<Pair, void> } {
    const shown = pair.names.length === 0 ? 'the folder itself' : displayPath(pair.names).slice(1);
    this.#work += 1 / 32;
    try {
      const left = lookAt(pair.left);
      const right = lookAt(pair.right);
      if (left === undefined || right === undefined) {
        const both = left === undefined && right === undefined;
        return {
          differences: [
            `${shown}: missing on ${both ? 'both sides' : left === undefined ? 'the left' : 'the right'}`,
          ],
        };
      }
      const differences = this.#metadata(left, right, pair).map((text) => `${shown}: ${text}`);
      if (!left.isDirectory() || !right.isDirectory()) return { differences };
      if (pair.names.length >= treeDepthMax)
        return { differences: [...differences, `${shown}: too deep to compare`] };
      const { children, lone } = this.#list(pair);
      return { differences: [...differences, ...lone], children };
    } catch (error) {
      return { differences: [`${shown}: can't be compared: ${reasonOf(error)}`] };
    }
  }

  #metadata(left: BigIntStats, right: BigIntStats, pair: Pair): string[] {
    const found: string[] = [];
    const type = typeOf(left);
    if (type !== typeOf(right)) return ['different types'];
    const modes = [left, right].map((stats) => (stats.mode & 0o7777n).toString(8));
    if (modes[0] !== modes[1]) found.push(`mode ${modes[0]} and ${modes[1]}`);
    const grain = this.#options.mtimeGrainNs ?? 1n;
    if (floorTo(left.mtimeNs, grain) !== floorTo(right.mtimeNs, grain)) {
      found.push(`mtime ${left.mtimeNs} and ${right.mtimeNs} ns`);
    }
    const owners = this.#options.owners ?? process.geteuid?.() === 0;
    if (owners && (left.uid !== right.uid || left.gid !== right.gid)) {
      found.push(`owner ${left.uid}:${left.gid} and ${right.uid}:${right.gid}`);
    }
    found.push(...xattrDifferences(pair.left, pair.right));
    if (type === entryTypes.file) {
      if (left.size !== right.size) found.push(`${left.size} and ${right.size} bytes`);
      else found.push(...this.#bytes(pair, Number(left.size)));
      this.#options.onCompared?.(Number(left.size));
      return found;
    }
    this.#options.onCompared?.(0);
    if (type === entryTypes.symlink && Buffer.compare(targetOf(pair.left), targetOf(pair.right)) !== 0) {
      found.push('different symlink targets');
    }
    const isDevice = type === entryTypes.blockDevice || type === entryTypes.characterDevice;
    if (isDevice && left.rdev !== right.rdev) found.push('different devices');
    return found;
  }

  #bytes(pair: Pair, size: number): string[] {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handles: number[] = [];
    try {
      const open = (path: Uint8Array): number => {
        const handle = withReach(path, (at) => openSync(at, flags));
        handles.push(handle);
        return handle;
      };
      const [left, right] = [open(pair.left), open(pair.right)];
      const [a, b] = this.#buffers;
      for (let position = 0; position < size; position += compareBytesAtOnce) {
        const wanted = Math.min(compareBytesAtOnce, size - position);
        const counts = [fill(left, a, wanted, position), fill(right, b, wanted, position)];
        this.#work += 1;
        if (counts[0] !== wanted || counts[1] !== wanted) return ['cut short while being compared'];
        if (Buffer.compare(a.subarray(0, wanted), b.subarray(0, wanted)) === 0) continue;
        const at = a.subarray(0, wanted).findIndex((byte, i) => byte !== b[i]);
        return [`bytes differ from offset ${position + at} on`];
      }
      return [];
    } finally {
      for (const handle of handles) closeSync(handle);
    }
  }

  /** Names on both sides as pairs to be compared, and a difference for each that is on one side only. */
  #list(pair: Pair): { children: Iterator<Pair, void>; lone: string[] } {
    const left = namesIn(pair.left);
    const right = namesIn(pair.right);
    const rightNames = new Set(right);
    const leftNames = new Set(left);
    const lone: string[] = [];
    for (const key of left) if (!rightNames.has(key)) lone.push(`${shownIn(pair, key)}: only on the left`);
    for (const key of right) if (!leftNames.has(key)) lone.push(`${shownIn(pair, key)}: only on the right`);
    const common = left.filter((key) => rightNames.has(key));
    function* children(): Generator<Pair, void> {
      for (const key of common) {
        const name = nameBytes(key);
        yield {
          left: joinPath(pair.left, name),
          right: joinPath(pair.right, name),
          names: [...pair.names, name],
        };
      }
    }
    return { children: children(), lone };
  }
}

function pathBytes(path: string | Uint8Array): Uint8Array {
  return typeof path === 'string' ? utf8(path) : path;
}

function lookAt(path: Uint8Array): BigIntStats | undefined {
  return withReach(path, (at) => lstatSync(at, { bigint: true, throwIfNoEntry: false }));
}

/** Attributes that are on one side only, or differ; without those that a system gives by itself. */
function xattrDifferences(left: Uint8Array, right: Uint8Array): string[] {
  const [a, b] = [left, right].map((path) => xattrsOf(path));
  if (a === undefined || b === undefined) return [];
  const names = [...new Set([...a.keys(), ...b.keys()])].sort();
  return names
    .filter((name) => a.get(name) !== b.get(name))
    .map((name) => `different extended attribute ${displayPath([nameBytes(name)]).slice(1)}`);
}

/** Values by name, both with one char a byte. */
function xattrsOf(path: Uint8Array): Map<string, string> | undefined {
  const native = nativeCalls();
  if (native === undefined) return undefined;
  const found = withReach(path, (at) =>
    readXattrs(native, { path: at, follow: false }, (message) => {
      throw new Error(message);
    }),
  );
  const all = (found ?? []).map(({ name, value }) => [nameKey(name), nameKey(value)] as const);
  return new Map(all.filter(([name]) => isPersonal(name)));
}

function targetOf(path: Uint8Array): Uint8Array {
  return withReach(path, (at) => readlinkSync(at, 'buffer'));
}

function namesIn(path: Uint8Array): string[] {
  return withReach(path, (at) => readdirSync(at, 'latin1')).sort();
}

function shownIn(pair: Pair, key: string): string {
  return displayPath([...pair.names, nameBytes(key)]).slice(1);
}

function fill(handle: number, into: Uint8Array, wanted: number, position: number): number {
  let filled = 0;
  while (filled < wanted) {
    const count = readSync(handle, into, filled, wanted - filled, position + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}
