import { compareBytes } from '../base/bytes.ts';
import { systemCode } from '../base/errors.ts';
import type { MetadataKind } from '../format/snapshot.ts';
import type { TreeEntry } from '../format/tree-entry.ts';
import type { Xattrs } from './extras.ts';
import { xattrBytesMax } from './extras.ts';
import type { NativeCalls } from './native.ts';
import type { XattrPlace } from './native-xattrs.ts';
import { nameKey } from './path.ts';
import { accessAclName, defaultAclName } from './posix-acl.ts';
import { reasonOf } from './problem.ts';
import { isPersonal } from './xattr-names.ts';

/** What setting attributes goes by; part of MetadataSetter. */
export interface XattrSetter {
  readonly native: NativeCalls | undefined;
  readonly asRoot: boolean;
  readonly known: readonly MetadataKind[];
}

/** Attributes that could not be set or removed. `kind` is the same for all that fail for the same reason elsewhere. */
export class XattrFailure extends Error {
  readonly kind: string;

  constructor(kind: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'XattrFailure';
    this.kind = kind;
  }
}

/** How it went: whether the access control lists are those of the entry, and the first failure. */
export interface XattrOutcome {
  readonly aclKept: boolean;
  readonly failure: XattrFailure | undefined;
}

const kept: XattrOutcome = { aclKept: true, failure: undefined };

/**
 * Gives a thing the entry's extended attributes and, where the snapshot knows them all, takes away others of the kinds
 * that kith restores. Call it after chown, which clears capabilities, and before chmod, since an access control list
 * changes the mode. Goes on after a failure.
 */
export function applyXattrs(setter: XattrSetter, place: XattrPlace, entry: TreeEntry): XattrOutcome {
  const wanted = entry.xattrs ?? [];
  if (wanted.length === 0 && !setter.known.includes('xattrs')) return kept;
  const { native } = setter;
  if (native === undefined) return wanted.length === 0 ? kept : withoutCalls(wanted);
  const work = new XattrWork(native, place);
  const present = work.list(wanted.length > 0);
  for (const name of present) {
    const isWanted = wanted.some((xattr) => compareBytes(xattr.name, name) === 0);
    if (!isWanted && isRemoved(setter, nameKey(name))) work.remove(name);
  }
  for (const xattr of [...wanted].sort((a, b) => phaseOf(a.name) - phaseOf(b.name))) {
    work.set(xattr.name, xattr.value, present);
  }
  return work.outcome;
}

/** Whether applyXattrs would change nothing. */
export function xattrsFit(setter: XattrSetter, place: XattrPlace, entry: TreeEntry): boolean {
  const { native } = setter;
  const wanted = entry.xattrs ?? [];
  if (native === undefined || (wanted.length === 0 && !setter.known.includes('xattrs'))) return true;
  try {
    const present = native.listXattrs(place).map(nameKey);
    const names = new Set(wanted.map(({ name }) => nameKey(name)));
    if (present.some((name) => !names.has(name) && isRemoved(setter, name))) return false;
    return wanted.every(
      ({ name, value }) =>
        present.includes(nameKey(name)) &&
        compareBytes(native.getXattr(place, name, xattrBytesMax), value) === 0,
    );
  } catch {
    return wanted.length === 0;
  }
}

class XattrWork {
  readonly #native: NativeCalls;
  readonly #place: XattrPlace;
  #failure: XattrFailure | undefined;
  #aclKept = true;

  constructor(native: NativeCalls, place: XattrPlace) {
    this.#native = native;
    this.#place = place;
  }

  get outcome(): XattrOutcome {
    return { aclKept: this.#aclKept, failure: this.#failure };
  }

  /** Names that are there; none where they can't be listed, which only matters if something is to be set. */
  list(matters: boolean): readonly Uint8Array[] {
    try {
      return this.#native.listXattrs(this.#place);
    } catch (error) {
      if (!matters && !isUnsupported(error))
        this.#failure = new XattrFailure(
          'list',
          `its extended attributes could not be looked at: ${reasonOf(error)}`,
          error,
        );
      return [];
    }
  }

  remove(name: Uint8Array): void {
    try {
      this.#native.removeXattr(this.#place, name);
    } catch (error) {
      if (systemCode(error) === 'ENODATA' || systemCode(error) === 'ENOATTR') return;
      this.#fail(name, 'removed', error);
    }
  }

  set(name: Uint8Array, value: Uint8Array, present: readonly Uint8Array[]): void {
    try {
      const isThere = present.some((other) => compareBytes(other, name) === 0);
      if (isThere && this.#has(name, value)) return;
      this.#native.setXattr(this.#place, name, value);
    } catch (error) {
      if (nameKey(name) === accessAclName) this.#aclKept = false;
      this.#fail(name, 'restored', error);
    }
  }

  #has(name: Uint8Array, value: Uint8Array): boolean {
    try {
      return compareBytes(this.#native.getXattr(this.#place, name, value.length), value) === 0;
    } catch {
      return false;
    }
  }

  #fail(name: Uint8Array, verb: 'restored' | 'removed', error: unknown): void {
    const key = nameKey(name);
    const isAcl = key === accessAclName || key === defaultAclName;
    const what = isAcl ? 'access control list' : `extended attribute ${key}`;
    const why = isUnsupported(error) ? 'this file system, or this kind of file, has none' : reasonOf(error);
    this.#failure ??= new XattrFailure(kindOf(key), `its ${what} could not be ${verb}: ${why}`, error);
  }
}

function withoutCalls(wanted: Xattrs): XattrOutcome {
  const aclKept = !wanted.some(({ name }) => nameKey(name) === accessAclName);
  const message = 'this machine has no way to set extended attributes and access control lists from Node';
  return { aclKept, failure: new XattrFailure('all', message) };
}

/** Capabilities and lists come last: a list may take from us the right to set the others. */
function phaseOf(name: Uint8Array): number {
  const key = nameKey(name);
  if (key.startsWith('system.')) return 2;
  return key.startsWith('user.') ? 0 : 1;
}

/** `user`, `trusted`, `security`, `system`; on macOS, where names are of no kind, one for all. */
function kindOf(key: string): string {
  return process.platform === 'linux' ? (key.split('.', 1)[0] ?? '') : 'extended';
}

/** Whether an attribute that the snapshot doesn't have is taken away. */
function isRemoved(setter: XattrSetter, key: string): boolean {
  if (!setter.known.includes('xattrs') || !isPersonal(key)) return false;
  if (key.startsWith('user.') || key.startsWith('system.')) return true;
  return setter.asRoot && (!key.startsWith('trusted.') || setter.known.includes('trustedXattrs'));
}

function isUnsupported(error: unknown): boolean {
  const code = systemCode(error) ?? '';
  return code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS';
}
