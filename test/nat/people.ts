import { appendFile, cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { initVault } from '../../lib/vault/index.ts';
import type { FriendInfo } from '../../lib/vault/types.ts';
import { Member } from '../cli/circle.ts';
import type { Namespaces } from './namespaces.ts';
import { port } from './places.ts';

export const names = ['a', 'b', 'f'] as const;
export type Name = (typeof names)[number];

/** Identities that are made once and copied into each cell. */
export class Templates {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async make(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    for (const name of names) await initVault({ home: join(this.#folder, name), name });
  }

  /** A person of that name, with a fresh home in the folder. */
  async member(name: Name, folder: string): Promise<Member> {
    const member = new Member(name, join(folder, name));
    await mkdir(member.folder, { recursive: true });
    await cp(join(this.#folder, name), member.home, { recursive: true });
    return member;
  }
}

/** Has the member's card name a place outside, where a router passes its port on. */
export async function announce(member: Member, place: string): Promise<void> {
  await appendFile(join(member.home, 'kith.toml'), `"net.announce" = "${place}"\n`);
}

/** Starts the daemon in the member's namespace, listening on everything that is there. */
export async function startIn(member: Member, spaces: Namespaces, listenPort: number = port): Promise<void> {
  await member.up([], { listen: `0.0.0.0:${listenPort}`, through: spaces.through(member.name) });
}

/** Both add each other's card as it is now. */
export async function befriend(one: Member, other: Member, allow: readonly string[] = []): Promise<void> {
  const [here, there] = await Promise.all([one.remote(), other.remote()]);
  const [oneCard, otherCard] = await Promise.all([here.card(), there.card()]);
  await Promise.all([
    here.friendAdd(otherCard, { name: other.name, allow }),
    there.friendAdd(oneCard, { name: one.name, allow }),
  ]);
}

/** The friend grants what it is asked for to both. */
export async function grant(friend: Member, to: readonly Member[], service: string): Promise<void> {
  const vault = await friend.remote();
  for (const { name } of to) await vault.friendSet(name, { allow: [service] });
}

/** What one sees of the other now. */
export async function seen(from: Member, other: Member): Promise<FriendInfo> {
  return (await from.remote()).friendShow(other.name);
}
