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
import { entryFrom, rootName, unreadableEntry } from './entry.ts';
import type { TellLoss } from './extras.ts';
import { withXattrs } from './extras.ts';
import type { IgnoreRules } from './ignore.ts';
import { ignoreBytesMax, ignoreFileName, ignoreFilePath } from './ignore.ts';
import type { FastLstat } from './native-stat.ts';
import { fastLstat } from './native-stat.ts';
import { handlePath, joinPath, nameBytes, oPath, withReach } from './path.ts';
import { reasonOf } from './problem.ts';
import type { SourceNode } from './source-set.ts';
import type { StatNumbers } from './stat-numbers.ts';
import { numbersOf } from './stat-numbers.ts';
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
  readonly stats: StatNumbers;
  readonly linkTarget: Uint8Array | undefined;
}

/** Names looked at before native calls are loaded for the rest: that takes as long as some thousand lstats. */
const namesBeforeNative = 2000;

/** What a walk says of a file. Its path is put together when it is wanted: mostly nobody asks. */
class WalkedEntry implements WalkEvent {
  readonly kind = 'entry' as const;
  readonly entry: TreeEntry;
  readonly device: bigint;
  readonly #folder: Uint8Array;

  constructor(folder: Uint8Array, entry: TreeEntry, device: bigint) {
    this.#folder = folder;
    this.entry = entry;
    this.device = device;
  }

  get path(): Uint8Array {
    return joinPath(this.#folder, this.entry.name);
  }
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
  #fast: FastLstat | undefined;
  /** The frame whose folder `#fast` has. */
  #fastFrame: Frame | undefined;
  #namesSeen = 0;
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
    const stats = numbersOf(statSync('/', { bigint: true }));
    const entry = this.#withXattrs(entryFrom(rootName, stats, this.#accounts), path, path, false);
    const standing = {
      whole: node.isSource,
      rules: this.#options.ignore,
      sourceDevice: node.isSource ? stats.device : undefined,
      node,
    };
    return this.#enter(path, path, entry, stats.device, standing);
  }

  /** Looks at one name of a folder: an event, or undefined for what is left out. */
  #visit(frame: Frame, key: string): WalkEvent | undefined {
    const node = frame.node?.children.get(key);
    const name = nameBytes(key);
    const leads = (node?.children.size ?? 0) > 0;
    let seen: Seen;
    try {
      seen = this.#look(frame, key, name, leads);
    } catch (error) {
      const path = joinPath(frame.path, name);
      if (node === undefined && frame.rules.excludes(path, false)) return undefined;
      return this.#unreadable(path, name, error);
    }
    const { stats, linkTarget } = seen;
    const isFolder = stats.type === entryTypes.folder;
    const isFile = stats.type === entryTypes.file;
    if (isFile && node === undefined && frame.whole && this.#takesAll(frame, stats)) {
      return new WalkedEntry(frame.path, entryFrom(name, stats, this.#accounts, linkTarget), stats.device);
    }
    const path = joinPath(frame.path, name);
    if (isFolder && this.#forbidden.has(path, stats)) return undefined;
    const standing = this.#standing(frame, path, stats, node);
    if (standing === undefined) {
      return node === undefined
        ? undefined
        : this.#unreadable(path, name, new Error('it is no longer a folder'));
    }
    const bare = entryFrom(name, stats, this.#accounts, linkTarget);
    // A file's are read when its bytes are: most files are as they were, and keep what is stored of them.
    if (stats.type === entryTypes.file) return { kind: 'entry', path, entry: bare, device: stats.device };
    const access = frame.access === frame.path ? path : joinPath(frame.access, name);
    const entry = this.#withXattrs(bare, access, path, leads);
    if (!isFolder) return { kind: 'entry', path, entry, device: stats.device };
    return this.#enter(path, access, entry, stats.device, standing);
  }

  /** lstat, or for a folder on the way to a source, where a symlink is followed, stat. */
  #look(frame: Frame, key: string, name: Uint8Array, follow: boolean): Seen {
    if (++this.#namesSeen === namesBeforeNative) this.#fast = fastLstat();
    if (this.#fast !== undefined && !follow) {
      if (this.#fastFrame !== frame) {
        this.#fastFrame = frame;
        this.#fast.enter(frame.access);
      }
      const stats = this.#fast.lstat(key);
      if (stats !== undefined && stats.type !== entryTypes.symlink) return { stats, linkTarget: undefined };
    }
    return look(joinPath(frame.access, name), follow);
  }

  /** True where nothing but a folder's own rules could leave a thing out, and there are none. */
  #takesAll(frame: Frame, stats: StatNumbers): boolean {
    const { excludeLargerThan, oneFileSystem } = this.#options;
    return (
      frame.rules.isEmpty &&
      excludeLargerThan === undefined &&
      (oneFileSystem !== true || stats.device === frame.sourceDevice)
    );
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
    stats: StatNumbers,
    node: SourceNode | undefined,
  ): Standing | undefined {
    const isFolder = stats.type === entryTypes.folder;
    const inherited = { rules: frame.rules, sourceDevice: frame.sourceDevice, node };
    if (frame.whole && !this.#leftOut(frame, path, stats)) {
      return {
        ...inherited,
        sourceDevice: node?.isSource === true ? stats.device : frame.sourceDevice,
        whole: true,
      };
    }
    if (node?.isSource === true) {
      // Named by a person: taken whatever the rules of a source around it say.
      const rules = this.#options.ignore.startingAt(path);
      return { whole: true, rules, sourceDevice: stats.device, node };
    }
    const leads = isFolder && node !== undefined && node.children.size > 0;
    return leads ? { ...inherited, whole: false } : undefined;
  }

  #leftOut(frame: Frame, path: Uint8Array, stats: StatNumbers): boolean {
    const { excludeLargerThan, oneFileSystem } = this.#options;
    const isFolder = stats.type === entryTypes.folder;
    if (oneFileSystem === true && !isFolder && stats.device !== frame.sourceDevice) return true;
    if (excludeLargerThan !== undefined && stats.type === entryTypes.file && stats.size > excludeLargerThan) {
      return true;
    }
    return frame.rules.excludes(path, isFolder);
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

function look(access: Uint8Array, follow: boolean): Seen {
  const at = viewAsBuffer(access);
  const stats = lstatSync(at, { bigint: true });
  if (!stats.isSymbolicLink()) return { stats: numbersOf(stats), linkTarget: undefined };
  if (follow) return { stats: numbersOf(statSync(at, { bigint: true })), linkTarget: undefined };
  return { stats: numbersOf(stats), linkTarget: new Uint8Array(readlinkSync(at, 'buffer')) };
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
    const bare = entryFrom(name, stats, accounts, linkTarget);
    const entry =
      bare.type === entryTypes.file
        ? bare
        : withReach(path, (at) => withXattrs(bare, { path: at, follow: false }, tell));
    return { entry, device: stats.device };
  } catch (error) {
    return { entry: unreadableEntry(name, `can't be read: ${reasonOf(error)}`), device: 0n };
  }
}

/** True for entries that stand for something whose bytes or names are missing. */
export function isIncomplete(entry: TreeEntry): boolean {
  return entry.type === entryTypes.unreadable || entry.error !== undefined;
}
