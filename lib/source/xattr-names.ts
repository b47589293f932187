import { accessAclName, defaultAclName } from './posix-acl.ts';

/**
 * Whether an attribute is one that people and programs give a thing (`key`: its name, a char a byte): what a restore
 * takes away where the snapshot doesn't have it. Others, such as labels, the system gives by itself to what is made;
 * on macOS there is no telling by the name.
 */
export function isPersonal(key: string): boolean {
  if (process.platform !== 'linux') return false;
  if (key === accessAclName || key === defaultAclName || key === 'security.capability') return true;
  return key.startsWith('user.') || (key.startsWith('trusted.') && !key.startsWith('trusted.overlay.'));
}
