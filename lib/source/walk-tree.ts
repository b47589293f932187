import type { BigIntStats } from 'node:fs';
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
} from 'node:fs';
import { displayText, viewAsBuffer } from '../base/bytes.ts';
import { throwIfAborted } from '../base/concurrency.ts';
import { treeDepthMax } from '../base/limits.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import { entryTypes } from '../format/tree-entry.ts';
import type { Accounts } from './accounts.ts';
import { entryOf, rootName, unreadableEntry } from './entry.ts';
import type { TellLoss } from './extras.ts';
import { withXattrs } from './extras.ts';
import type { IgnoreRules } from './ignore.ts';
import { ignoreBytesMax, ignoreFileName, ignoreFilePath } from './ignore.ts';
import { handlePath, joinPath, nameBytes, oPath, withReach } from './path.ts';
import { reasonOf } from './problem.ts';
import type { SourceNode } from './source-set.ts';
import type { ForbiddenPlaces } from './walk-forbidden.ts';
import { tagThatEmpties } from './walk-tags.ts';
import type { WalkEvent, WalkOptions } from './walk.ts';

/** Bytes of a folder's path from which on its children are reached through a handle (Linux; PATH_MAX is 4096). */
const directPathBytesMax = 3800;

/** How a thing came into the walk. */
interface Standing {
  /** Its name and what lies in it belong to a source, not only what leads to one. */
  readonly whole: boolean;
  readonly rules: IgnoreRules;
  /** Device of the source it belongs to; undefined above the sources. */
  readonly sourceDevice: bigint | undefined;
  /** What the sources name at or under it. */
  readonly node: SourceNode | undefined;
}

interface Frame extends Standing {
  readonly path: Uint8Array;
  /** The path to call the system with: `path`, or one through `handle`. */
  readonly access: Uint8Array;
  readonly handle: number | undefined;
  readonly device: bigint;
  entry: TreeEntry;
  /** One char per byte, ascending. */
  names: readonly string[];
  next: number;
}

interface Seen {
  readonly stats: BigIntStats;
  readonly linkTarget: Uint8Array | undefined;
}

/**
 * The walk itself, in synchronous steps: awaited per file, node:fs is fifty times slower. It keeps one frame
 * per folder on the current path. Close it, whatever happens.
 */
export class TreeWalk {
  readonly #options: WalkOptions;
  readonly #forbidden: ForbiddenPlaces;
  readonly #accounts: Accounts;
  readonly #frames: Frame[] = [];
  #root: SourceNode | undefined;

  constructor(root: SourceNode, forbidden: ForbiddenPlaces, options: WalkOptions, accounts: Accounts) {
    this.#root = root;
    this.#forbidden = forbidden;
    this.#options = options;
    this.#accounts = accounts;
  }

  /** The next event, or undefined at the end. */
  next(): WalkEvent | undefined {
    throwIfAborted(this.#options.signal);
    if (this.#root !== undefined) {
      const node = this.#root;
      this.#root = undefined;
      return this.#begin(node);
    }
    for (;;) {
      const frame = this.#frames.at(-1);
      if (frame === undefined) return undefined;
      const name = frame.names[frame.next];
      if (name === undefined) {
        this.#frames.pop();
        if (frame.handle !== undefined) closeSync(frame.handle);
        return { kind: 'leave', path: frame.path, entry: frame.entry, device: frame.device };
      }
      frame.next++;
      const event = this.#visit(frame, name);
      if (event !== undefined) return event;
    }
  }

  close(): void {
    for (const frame of this.#frames.splice(0)) if (frame.handle !== undefined) closeSync(frame.handle);
  }

  #begin(node: SourceNode): WalkEvent {
    const path = new Uint8Array([0x2f]);
    const stats = statSync('/', { bigint: true });
    const entry = this.#withXattrs(entryOf(rootName, stats, this.#accounts), path, path, false);
    const standing = {
      whole: node.isSource,
      rules: this.#options.ignore,
      sourceDevice: node.isSource ? stats.dev : undefined,
      node,
    };
    return this.#enter(path, path, entry, stats.dev, standing);
  }

  /** Looks at one name of a folder: an event, or undefined for what is left out. */
  #visit(frame: Frame, key: string): WalkEvent | undefined {
    const name = nameBytes(key);
    const path = joinPath(frame.path, name);
    const access = frame.access === frame.path ? path : joinPath(frame.access, name);
    const node = frame.node?.children.get(key);
    const leads = (node?.children.size ?? 0) > 0;
    let seen: Seen;
    try {
      seen = look(access, leads);
    } catch (error) {
      if (node === undefined && frame.rules.excludes(path, false)) return undefined;
      return this.#unreadable(path, name, error);
    }
    const { stats, linkTarget } = seen;
    if (this.#forbidden.has(path, stats)) return undefined;
    const standing = this.#standing(frame, path, stats, node);
    if (standing === undefined) {
      return node === undefined
        ? undefined
        : this.#unreadable(path, name, new Error('it is no longer a folder'));
    }
    const bare = entryOf(name, stats, this.#accounts, linkTarget);
    // A file's are read when its bytes are: most files are as they were, and keep what is stored of them.
    const entry = stats.isFile() ? bare : this.#withXattrs(bare, access, path, leads);
    if (!stats.isDirectory()) return { kind: 'entry', path, entry, device: stats.dev };
    return this.#enter(path, access, entry, stats.dev, standing);
  }

  #withXattrs(entry: TreeEntry, access: Uint8Array, path: Uint8Array, follow: boolean): TreeEntry {
    return withXattrs(entry, { path: access, follow }, (message) => {
      this.#options.onProblem({ item: displayText(path), message, code: 'failed' });
    });
  }

  /** Whether and how a thing takes part; undefined for what is left out. */
  #standing(
    frame: Frame,
    path: Uint8Array,
    stats: BigIntStats,
    node: SourceNode | undefined,
  ): Standing | undefined {
    const isFolder = stats.isDirectory();
    const inherited = { rules: frame.rules, sourceDevice: frame.sourceDevice, node };
    if (frame.whole && !this.#leftOut(frame, path, stats)) {
      return {
        ...inherited,
        sourceDevice: node?.isSource === true ? stats.dev : frame.sourceDevice,
        whole: true,
      };
    }
    if (node?.isSource === true) {
      // Named by a person: taken whatever the rules of a source around it say.
      const rules = this.#options.ignore.startingAt(path);
      return { whole: true, rules, sourceDevice: stats.dev, node };
    }
    const leads = isFolder && node !== undefined && node.children.size > 0;
    return leads ? { ...inherited, whole: false } : undefined;
  }

  #leftOut(frame: Frame, path: Uint8Array, stats: BigIntStats): boolean {
    const { excludeLargerThan, oneFileSystem } = this.#options;
    if (oneFileSystem === true && !stats.isDirectory() && stats.dev !== frame.sourceDevice) return true;
    if (excludeLargerThan !== undefined && stats.isFile() && stats.size > BigInt(excludeLargerThan))
      return true;
    return frame.rules.excludes(path, stats.isDirectory());
  }

  #enter(
    path: Uint8Array,
    access: Uint8Array,
    entry: TreeEntry,
    device: bigint,
    standing: Standing,
  ): WalkEvent {
    const frame: Frame = { ...standing, path, access, handle: undefined, entry, device, names: [], next: 0 };
    this.#frames.push(frame);
    if (this.#frames.length > treeDepthMax) {
      this.#mark(frame, new Error(`it lies more than ${treeDepthMax} folders deep`));
    } else {
      try {
        this.#frames[this.#frames.length - 1] = this.#listed(frame);
      } catch (error) {
        this.#mark(frame, error);
      }
    }
    return { kind: 'enter', path, entry: this.#frames.at(-1)?.entry ?? entry, device };
  }

  /** The frame with its names, its rules and, for a very long path, its handle. */
  #listed(frame: Frame): Frame {
    const leading = [...(frame.node?.children.keys() ?? [])].sort();
    const otherDisk = this.#options.oneFileSystem === true && frame.device !== frame.sourceDevice;
    if (!frame.whole || otherDisk) return { ...reached(frame), names: leading };
    const open = reached(frame);
    try {
      const found = readdirSync(viewAsBuffer(open.access), 'latin1');
      const tag = tagThatEmpties(open.access, found, this.#options);
      const listed = tag === undefined ? found : [tag];
      const names = (leading.length === 0 ? listed : [...new Set([...listed, ...leading])]).sort();
      const hasRules = tag === undefined && found.includes(ignoreFileName);
      return { ...open, names, rules: hasRules ? this.#rulesIn(open) : open.rules };
    } catch (error) {
      if (open.handle !== undefined) closeSync(open.handle);
      throw error;
    }
  }

  #rulesIn(frame: Frame): IgnoreRules {
    try {
      return frame.rules.deeper(frame.path, readIgnoreFile(frame.access));
    } catch (error) {
      this.#options.onProblem({
        item: ignoreFilePath(frame.path),
        message: `its rules are not used: ${reasonOf(error)}`,
        code: 'source-unreadable',
      });
      return frame.rules;
    }
  }

  #mark(frame: Frame, error: unknown): void {
    const why = `this folder can't be listed: ${reasonOf(error)}`;
    frame.entry = { ...frame.entry, error: why };
    this.#options.onProblem({ item: displayText(frame.path), message: why, code: 'source-unreadable' });
  }

  #unreadable(path: Uint8Array, name: Uint8Array, error: unknown): WalkEvent {
    const why = `can't be read: ${reasonOf(error)}`;
    this.#options.onProblem({ item: displayText(path), message: why, code: 'source-unreadable' });
    return { kind: 'entry', path, entry: unreadableEntry(name, why), device: 0n };
  }
}

/** lstat, or for a folder on the way to a source, where a symlink is followed, stat. */
function look(access: Uint8Array, leads: boolean): Seen {
  const at = viewAsBuffer(access);
  const stats = lstatSync(at, { bigint: true });
  if (!stats.isSymbolicLink()) return { stats, linkTarget: undefined };
  if (leads) return { stats: statSync(at, { bigint: true }), linkTarget: undefined };
  return { stats, linkTarget: new Uint8Array(readlinkSync(at, 'buffer')) };
}

function reached(frame: Frame): Frame {
  if (frame.access.length <= directPathBytesMax || process.platform !== 'linux') return frame;
  const handle = openSync(viewAsBuffer(frame.access), oPath | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  return { ...frame, handle, access: handlePath(handle) };
}

function readIgnoreFile(folder: Uint8Array): string {
  const at = viewAsBuffer(joinPath(folder, nameBytes(ignoreFileName)));
  const stats = lstatSync(at);
  if (!stats.isFile()) throw new Error('it is not a file');
  if (stats.size > ignoreBytesMax) throw new Error('it is over 1 MiB');
  return readFileSync(at, 'utf8');
}

/** What stands at a path now, as the walk would tell it: for a file that was replaced before it was opened. */
export function lookAgain(
  path: Uint8Array,
  name: Uint8Array,
  accounts: Accounts,
  tell: TellLoss = () => undefined,
): { readonly entry: TreeEntry; readonly device: bigint } {
  try {
    const { stats, linkTarget } = look(path, false);
    const bare = entryOf(name, stats, accounts, linkTarget);
    const entry = stats.isFile()
      ? bare
      : withReach(path, (at) => withXattrs(bare, { path: at, follow: false }, tell));
    return { entry, device: stats.dev };
  } catch (error) {
    return { entry: unreadableEntry(name, `can't be read: ${reasonOf(error)}`), device: 0n };
  }
}

/** True for entries that stand for something whose bytes or names are missing. */
export function isIncomplete(entry: TreeEntry): boolean {
  return entry.type === entryTypes.unreadable || entry.error !== undefined;
}
