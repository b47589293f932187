import { readFileSync, statSync } from 'node:fs';

/** Bytes of an account file that are worth reading: some ten thousand accounts. */
const accountsBytesMax = 4 * 1024 * 1024;

/** Names of local users and groups by number, and the other way round. */
export interface Accounts {
  user(uid: number): string | undefined;
  group(gid: number): string | undefined;
  uid(user: string): number | undefined;
  gid(group: string): number | undefined;
}

/** The accounts that the machine lists in its own files, read once; a name kept elsewhere (LDAP) is undefined. */
export function localAccounts(folder = '/etc'): Accounts {
  const users = readNames(`${folder}/passwd`);
  const groups = readNames(`${folder}/group`);
  return {
    user: (uid) => users.names.get(uid),
    group: (gid) => groups.names.get(gid),
    uid: (user) => users.numbers.get(user),
    gid: (group) => groups.numbers.get(group),
  };
}

interface Names {
  readonly names: ReadonlyMap<number, string>;
  readonly numbers: ReadonlyMap<string, number>;
}

/** Both files have the name in the first field and the number in the third. */
function readNames(path: string): Names {
  const names = new Map<number, string>();
  const numbers = new Map<string, number>();
  let text: string;
  try {
    if (statSync(path).size > accountsBytesMax) return { names, numbers };
    text = readFileSync(path, 'utf8');
  } catch {
    return { names, numbers };
  }
  for (const line of text.split('\n')) {
    const [name, , number] = line.split(':');
    if (name === undefined || name === '' || number === undefined || !/^\d{1,10}$/.test(number)) continue;
    if (Buffer.byteLength(name) > 255) continue;
    // The first line counts, as it does for the system.
    if (!names.has(Number(number))) names.set(Number(number), name);
    if (!numbers.has(name)) numbers.set(name, Number(number));
  }
  return { names, numbers };
}
