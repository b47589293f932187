import type { TreeEntry } from '../format/tree-entry.ts';
import { nameKey } from './path.ts';

/** The attributes that Linux keeps POSIX access control lists in; see acl(5). */
export const accessAclName = 'system.posix_acl_access';
export const defaultAclName = 'system.posix_acl_default';

/** Layout of their values: a u32 of 2, then entries of tag u16, permissions u16 and id u32; all little endian. */
const aclVersion = 2;
const headBytes = 4;
const entryBytes = 8;
const owningGroup = 0x04;
const maskTag = 0x10;

/**
 * The permission bits that an entry's owner, owning group and others have without its access control list. With one,
 * the group's bits of the mode are its mask: the most that any named user or group may have, and so often more than the
 * owning group has. A list that isn't one leaves the group nothing.
 */
export function modeWithoutAcl(entry: TreeEntry): number {
  const acl = entry.xattrs?.find(({ name }) => nameKey(name) === accessAclName)?.value;
  if (acl === undefined) return entry.mode;
  const permissions = groupPermissions(acl) ?? 0;
  return (entry.mode & ~0o070) | (entry.mode & (permissions << 3));
}

function groupPermissions(acl: Uint8Array): number | undefined {
  const view = new DataView(acl.buffer, acl.byteOffset, acl.length);
  if (acl.length < headBytes || (acl.length - headBytes) % entryBytes !== 0) return undefined;
  if (view.getUint32(0, true) !== aclVersion) return undefined;
  let group: number | undefined;
  let mask = 0o7;
  for (let at = headBytes; at < acl.length; at += entryBytes) {
    const tag = view.getUint16(at, true);
    if (tag === owningGroup) group = view.getUint16(at + 2, true) & 0o7;
    else if (tag === maskTag) mask = view.getUint16(at + 2, true) & 0o7;
  }
  return group === undefined ? undefined : group & mask;
}
