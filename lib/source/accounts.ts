import { readFileSync, statSync } from 'node:fs';

/** Bytes of an account file that are worth reading: some ten thousand accounts. */
const accountsBytesMax = 4 * 1024 * 1024;

/** Names of local users and groups by number. */
export interface Accounts {
  user(uid: number): string | undefined;
  group(gid: number): string | undefined;
}

/** The accounts that the machine lists in its own files, read once; a name kept elsewhere (LDAP) is undefined. */
export function localAccounts(folder = '/etc'): Accounts {
  const users = readNames(`${folder}/passwd`);
  const groups = readNames(`${folder}/group`);
  return { user: (uid) => users.get(uid), group: (gid) => groups.get(gid) };
}

/** Both files have the name in the first field and the number in the third. */
function readNames(path: string): Map<number, string> {
  const names = new Map<number, string>();
  let text: string;
  try {
    if (statSync(path).size > accountsBytesMax) return names;
    text = readFileSync(path, 'utf8');
  } catch {
    return names;
  }
  for (const line of text.split('\n')) {
    const [name, , number] = line.split(':');
    if (name === undefined || name === '' || number === undefined || !/^\d{1,10}$/.test(number)) continue;
    if (Buffer.byteLength(name) > 255 || names.has(Number(number))) continue;
    names.set(Number(number), name);
  }
  return names;
}
