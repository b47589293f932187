import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { utf8 } from '../../lib/base/bytes.ts';
import { packDevice } from '../../lib/source/entry.ts';
import { nativeCalls, type NativeCalls } from '../../lib/source/native.ts';

/** The native calls, which the tests of metadata can't do without. */
export function needNative(): NativeCalls {
  const native = nativeCalls();
  if (native === undefined) throw new Error('koffi does not load here');
  return native;
}

/** A place for the attribute calls: the thing itself, never what it links to. */
export function itself(path: string): { readonly path: Uint8Array; readonly follow: false } {
  return { path: utf8(path), follow: false };
}

export function setXattr(path: string, name: string, value: string | Uint8Array): void {
  needNative().setXattr(itself(path), utf8(name), typeof value === 'string' ? utf8(value) : value);
}

/** All attributes as `name=value`, with one char a byte. */
export function xattrsOf(path: string): string[] {
  const native = needNative();
  const names = native.listXattrs(itself(path));
  return names
    .map((name) => {
      const value = native.getXattr(itself(path), name, 2 ** 20);
      return `${Buffer.from(name).toString('latin1')}=${Buffer.from(value).toString('latin1')}`;
    })
    .sort();
}

/**
 * A POSIX access control list in the form of its attribute: the owner rwx, the user 4242 `user`, the owning group `group`,
 * a mask of rw, others nothing.
 */
export function aclValue(user: number, group: number): Uint8Array {
  const none = 0xffff_ffff;
  const entries = [
    [0x01, 7, none],
    [0x02, user, 4242],
    [0x04, group, none],
    [0x10, 6, none],
    [0x20, 0, none],
  ] as const;
  const view = new DataView(new ArrayBuffer(4 + 8 * entries.length));
  view.setUint32(0, 2, true);
  entries.forEach(([tag, permissions, id], i) => {
    view.setUint16(4 + 8 * i, tag, true);
    view.setUint16(6 + 8 * i, permissions, true);
    view.setUint32(8 + 8 * i, id, true);
  });
  return new Uint8Array(view.buffer);
}

/** A file of `size` bytes that is a hole but for the given pieces. */
export function writeSparse(
  path: string,
  size: number,
  pieces: readonly [offset: number, text: string][],
): void {
  const handle = openSync(path, 'w');
  for (const [offset, text] of pieces) writeSync(handle, text, offset);
  ftruncateSync(handle, size);
  closeSync(handle);
}

/** What any user can make: attributes, lists, holes. */
export function makeOwnMetadata(base: string): void {
  mkdirSync(join(base, 'folder'), { recursive: true });
  writeFileSync(join(base, 'plain'), 'nothing special');
  writeFileSync(join(base, 'many'), 'x');
  setXattr(join(base, 'many'), 'user.empty', '');
  setXattr(
    join(base, 'many'),
    'user.bytes',
    Uint8Array.from({ length: 256 }, (_, i) => i),
  );
  setXattr(join(base, 'many'), 'user.größe', 'groß');
  writeFileSync(join(base, 'listed'), 'x');
  setXattr(join(base, 'listed'), 'system.posix_acl_access', aclValue(6, 4));
  setXattr(join(base, 'folder'), 'system.posix_acl_access', aclValue(4, 0));
  writeFileSync(join(base, 'folder', 'before the default'), 'x');
  setXattr(join(base, 'folder'), 'system.posix_acl_default', aclValue(6, 4));
  setXattr(join(base, 'folder'), 'user.of a folder', 'yes');
  writeFileSync(join(base, 'folder', 'inherits'), 'x');
  writeSparse(join(base, 'sparse'), 40_000_123, [
    [0, 'begins'],
    [5_000_000, 'in the middle'],
    [20_000_000, 'x'.repeat(100_000)],
  ]);
  writeSparse(join(base, 'all hole'), 10_000_000, []);
  writeSparse(join(base, 'hole first'), 1_000_005, [[1_000_000, 'tail!']]);
}

/** What only root can make. */
export function makeRootMetadata(base: string): void {
  const native = needNative();
  makeOwnMetadata(base);
  native.makeDevice(utf8(join(base, 'block')), 'block', packDevice({ major: 4000, minor: 70_000 }));
  native.makeDevice(utf8(join(base, 'null')), 'character', packDevice({ major: 1, minor: 3 }));
  native.makeFifo(utf8(join(base, 'fifo')), 0o600);
  setXattr(join(base, 'null'), 'system.posix_acl_access', aclValue(6, 4));
  setXattr(join(base, 'fifo'), 'trusted.of a fifo', 'x');
  symlinkSync('nowhere', join(base, 'link'));
  setXattr(join(base, 'link'), 'trusted.of a link', 'x');
  setXattr(join(base, 'plain'), 'trusted.secret', 'root sees it');
  // cap_net_bind_service, permitted: a value of VFS_CAP_REVISION_2.
  const capability = Uint8Array.from([1, 0, 0, 2, 0, 4, 0, 0, ...new Uint8Array(12)]);
  setXattr(join(base, 'plain'), 'security.capability', capability);
}
