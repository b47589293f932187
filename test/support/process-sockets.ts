import { readFile, readdir, readlink } from 'node:fs/promises';

/** A TCP or UDP socket of another process, as the kernel tells it. */
export interface ProcessSocket {
  readonly protocol: 'tcp' | 'udp';
  readonly host: string;
  readonly port: number;
  /** All zeroes and 0 where there is none. */
  readonly peerHost: string;
  readonly peerPort: number;
  readonly listens: boolean;
}

/** True where the kernel tells which sockets a process has. */
export const socketsAreTold: boolean = process.platform === 'linux';

/** `0100007F:12A3` of /proc/net; IPv6 as four groups of four bytes, each in the machine's order. */
function addressOf(field: string): { host: string; port: number } {
  const [hex = '', port = ''] = field.split(':');
  const words = (hex.match(/.{8}/g) ?? []).map((word) => (word.match(/../g) ?? []).toReversed());
  const isFour = words.length === 1;
  const host = isFour
    ? (words[0] ?? []).map((byte) => parseInt(byte, 16)).join('.')
    : words
        .flat()
        .join('')
        .replace(/.{4}(?!$)/g, '$&:');
  return { host, port: parseInt(port, 16) };
}

async function inodesOf(pid: number): Promise<Set<string>> {
  const inodes = new Set<string>();
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const link = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
    const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  return inodes;
}

/** All TCP and UDP sockets that a process has open, in its own network namespace. */
export async function socketsOf(pid: number): Promise<ProcessSocket[]> {
  const inodes = await inodesOf(pid);
  const found: ProcessSocket[] = [];
  for (const file of ['tcp', 'tcp6', 'udp', 'udp6']) {
    const protocol = file.startsWith('tcp') ? 'tcp' : 'udp';
    const lines = (await readFile(`/proc/${pid}/net/${file}`, 'utf8')).trim().split('\n').slice(1);
    for (const line of lines) {
      const [, local = '', remote = '', state, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (!inodes.has(inode)) continue;
      const peer = addressOf(remote);
      found.push({
        protocol,
        ...addressOf(local),
        peerHost: peer.host,
        peerPort: peer.port,
        listens: protocol === 'tcp' && state === '0A',
      });
    }
  }
  return found;
}

/** True for 127.0.0.0/8, ::1, and the former written as IPv6. */
export function isLoopback(host: string): boolean {
  return (
    host.startsWith('127.') ||
    host === '0000:0000:0000:0000:0000:0000:0000:0001' ||
    host.startsWith('0000:0000:0000:0000:0000:ffff:7f')
  );
}

/** True for no address at all: a socket that isn't connected. */
export function isNowhere(host: string): boolean {
  return /^[0.:]*$/.test(host);
}
