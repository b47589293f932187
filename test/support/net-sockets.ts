import { readFile, readdir, readlink } from 'node:fs/promises';

/** A socket of this process that others can send to. */
export interface OpenSocket {
  readonly protocol: 'tcp' | 'udp';
  readonly host: string;
  readonly port: number;
}

/** True where the kernel tells which sockets are open. */
export const socketsAreTold: boolean = process.platform === 'linux';

/** `0100007F:12A3` of /proc/net, IPv4; IPv6 as hex digits. */
function addressOf(field: string): { host: string; port: number } {
  const [hex = '', port = ''] = field.split(':');
  const host =
    hex.length === 8
      ? (hex.match(/../g) ?? [])
          .toReversed()
          .map((byte) => parseInt(byte, 16))
          .join('.')
      : hex;
  return { host, port: parseInt(port, 16) };
}

async function inodesOfThisProcess(): Promise<Set<string>> {
  const inodes = new Set<string>();
  for (const fd of await readdir('/proc/self/fd')) {
    const link = await readlink(`/proc/self/fd/${fd}`).catch(() => '');
    const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  return inodes;
}

/** TCP sockets that listen and all UDP sockets of this process, as the kernel has them. */
export async function openSockets(): Promise<OpenSocket[]> {
  const inodes = await inodesOfThisProcess();
  const found: OpenSocket[] = [];
  for (const file of ['tcp', 'tcp6', 'udp', 'udp6']) {
    const protocol = file.startsWith('tcp') ? 'tcp' : 'udp';
    const lines = (await readFile(`/proc/net/${file}`, 'utf8')).trim().split('\n').slice(1);
    for (const line of lines) {
      const fields = line.trim().split(/\s+/);
      const listens = protocol === 'udp' || fields[3] === '0A';
      if (listens && inodes.has(fields[9] ?? '')) found.push({ protocol, ...addressOf(fields[1] ?? '') });
    }
  }
  return found;
}
