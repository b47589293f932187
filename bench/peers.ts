import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { BorgPeer } from './borg-peer.ts';
import { KithPeer } from './kith-peer.ts';
import type { Launcher } from './launcher.ts';
import type { Peer, PeerName } from './peer.ts';
import { ResticPeer } from './restic-peer.ts';
import { kithMain } from './run-kith.ts';

/** What an installed program says of its version; undefined where there is none. */
export function versionOf(name: PeerName): string | undefined {
  const [command, args] = {
    kith: [process.execPath, [kithMain, '--version']],
    restic: ['restic', ['version']],
    borg: ['borg', ['--version']],
  }[name] as [string, string[]];
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}

/** The program with an empty store to be made in a folder of its own inside the given one. */
export function makePeer(name: PeerName, launcher: Launcher, folder: string): Peer {
  const own = join(folder, name);
  if (name === 'kith') return new KithPeer(launcher, own);
  return name === 'restic' ? new ResticPeer(launcher, own) : new BorgPeer(launcher, own);
}

/** The same in another order each round: everyone is first, second and last equally often. */
export function rotated<T>(items: readonly T[], round: number): readonly T[] {
  const by = items.length === 0 ? 0 : round % items.length;
  return [...items.slice(by), ...items.slice(0, by)];
}
