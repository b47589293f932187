import { mkdtemp, readFile, rm, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { KithDaemon } from '../../bench/demo-daemon.ts';
import { connectDaemon } from '../../lib/api/client.ts';
import { RemoteVault } from '../../lib/api/remote-vault.ts';
import { toHex } from '../../lib/base/bytes.ts';
import { decodeCardText } from '../../lib/format/card-text.ts';
import { decodeCard } from '../../lib/format/card.ts';
import { initVault } from '../../lib/vault/index.ts';
import type { FriendInfo } from '../../lib/vault/types.ts';
import { poll } from '../support/poll.ts';
import { runKith, type Ended, type RunOptions } from './harness.ts';
import { atEnd } from '../support/at-end.ts';

export interface UpOptions {
  /** HOST:PORT; a free port on 127.0.0.1 by default, and with null no word about it. */
  readonly listen?: string | null;
  /** As in KithDaemon.start. */
  readonly through?: readonly string[];
}

/** One computer of the circle: a home, and a daemon while it is up. */
export class Member {
  readonly name: string;
  readonly folder: string;
  daemon: KithDaemon | undefined;

  constructor(name: string, folder: string) {
    this.name = name;
    this.folder = folder;
  }

  get home(): string {
    return join(this.folder, 'home');
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  /** Runs a command on this computer, through its daemon if one is up. */
  async kith(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return runKith(args, {
      cwd: this.folder,
      ...options,
      env: { HOME: this.folder, KITH_HOME: this.home, ...options.env },
    });
  }

  /** Like kith; another exit status than the one given (0) is an error with all that was said. */
  async ok(args: readonly string[], options: RunOptions & { readonly code?: number } = {}): Promise<Ended> {
    const ended = await this.kith(args, options);
    if (ended.code !== (options.code ?? 0)) {
      throw new Error(
        `${this.name}: kith ${args.join(' ')} ended with ${ended.code}\n${ended.stdout}${ended.stderr}`,
      );
    }
    return ended;
  }

  /** The one document that a command prints with --json. */
  async json<T>(args: readonly string[]): Promise<T> {
    return JSON.parse((await this.ok([...args, '--json'])).stdout) as T;
  }

  /** Starts the daemon. `listen` null leaves the option out. */
  async up(flags: readonly string[] = [], options: UpOptions = {}): Promise<KithDaemon> {
    const { listen = '127.0.0.1:0', through = [] } = options;
    const args = ['up', '--json', ...(listen === null ? [] : ['--listen', listen]), ...flags];
    this.daemon = await KithDaemon.start(args, {
      cwd: this.folder,
      home: this.home,
      signal: new AbortController().signal,
      through,
    });
    return this.daemon;
  }

  /** Stops the daemon and starts it anew, where it was unless `listen` says another place. */
  async restart(flags: readonly string[] = [], options: UpOptions = {}): Promise<KithDaemon> {
    const listen = options.listen === undefined ? this.daemon?.listen : options.listen;
    await this.down();
    return this.up(flags, { ...options, ...(listen !== undefined && { listen }) });
  }

  /** The vault in the running daemon, asked over its socket: a hundredth of what a process costs. */
  async remote(): Promise<RemoteVault> {
    const found = await connectDaemon(this.home, undefined);
    if (found === undefined) throw new Error(`no daemon of ${this.name} answers`);
    return new RemoteVault(found.client, found.about);
  }

  /** All friends, as this computer sees them now. */
  async friendsSeen(): Promise<FriendInfo[]> {
    return (await this.remote()).friendList();
  }

  async friendSeen(name: string): Promise<FriendInfo> {
    return (await this.remote()).friendShow(name);
  }

  /** The identity, 64 hex digits. */
  async id(): Promise<string> {
    return toHex(decodeCard(decodeCardText(await (await this.remote()).card())).identity);
  }

  /** Waits until this daemon has a session with each of these, by its own names for them. */
  async sees(...names: readonly string[]): Promise<void> {
    await this.#presence(names, true);
  }

  /** Waits until this daemon has noticed that these are gone. */
  async misses(...names: readonly string[]): Promise<void> {
    await this.#presence(names, false);
  }

  async #presence(names: readonly string[], online: boolean): Promise<void> {
    let told = '';
    await poll(
      `${this.name}: ${names.join(', ')} ${online ? 'online' : 'away'}`,
      async () => {
        const friends = await this.friendsSeen();
        told = JSON.stringify(friends.map((each) => [each.name, each.online, each.via, each.reason]));
        return names.every((name) => friends.find((each) => each.name === name)?.online === online);
      },
      { told: () => told },
    );
  }

  /** A figure of /proc/PID/status in bytes: VmRSS, VmHWM. */
  async memory(what: 'VmRSS' | 'VmHWM'): Promise<number> {
    const text = await readFile(`/proc/${this.pid}/status`, 'utf8');
    const kilobytes = new RegExp(`^${what}:\\s*(\\d+) kB$`, 'm').exec(text)?.[1];
    if (kilobytes === undefined) throw new Error(`no ${what} in ${text}`);
    return Number(kilobytes) * 1024;
  }

  get pid(): number {
    if (this.daemon === undefined) throw new Error(`${this.name} isn't up`);
    return this.daemon.pid;
  }

  async down(): Promise<void> {
    await this.daemon?.stop();
    this.daemon = undefined;
  }

  async kill(): Promise<void> {
    await this.daemon?.kill();
    this.daemon = undefined;
  }
}

/** What `status --json` says of a friend, as far as tests look at it. */
export interface FriendJson {
  readonly name: string;
  readonly id: string;
  readonly online: boolean;
  readonly via: string | null;
  readonly quota_given: number;
  readonly used_by_them: number | null;
  readonly quota_received: number | null;
  readonly used_by_me: number | null;
  readonly allow: readonly string[];
}

export interface CircleOptions extends UpOptions {
  readonly flags?: readonly string[];
  /** What everybody gives everybody, in bytes. */
  readonly quota?: number;
  /** Names of people with a home whom nobody adds. */
  readonly strangers?: readonly string[];
}

/**
 * An owner and friends, each a process of its own on loopback, in a temporary folder that goes at the end of the test with every
 * process in it. Identities are made in this process, which gives the same as `kith init` and takes a tenth of the time.
 */
export class Circle {
  readonly folder: string;
  readonly owner: Member;
  readonly friends: readonly Member[];
  /** Homes of people whom nobody knows and who aren't up. */
  readonly strangers: readonly Member[];

  private constructor(
    folder: string,
    owner: Member,
    friends: readonly Member[],
    strangers: readonly Member[] = [],
  ) {
    this.folder = folder;
    this.strangers = strangers;
    this.owner = owner;
    this.friends = friends;
  }

  /** Homes only; nothing is up, nobody knows anybody. */
  static async make(t: TestContext, friendNames: readonly string[]): Promise<Circle> {
    const folder = await mkdtemp(join(tmpdir(), 'kith-circle-'));
    const members = ['you', ...friendNames].map((name) => new Member(name, join(folder, name)));
    atEnd(t, async () => {
      await Promise.all(members.map((member) => member.kill()));
      await rm(folder, { recursive: true, force: true });
    });
    for (const member of members) {
      await mkdir(member.folder);
      const { phrase } = await initVault({ home: member.home, name: member.name });
      await writeFile(member.path('phrase.txt'), `${phrase}\n`);
    }
    const [owner, ...friends] = members;
    if (owner === undefined) throw new Error('a circle has an owner');
    return new Circle(folder, owner, friends);
  }

  /** Everybody up, the owner friends with all, all online. */
  static async start(
    t: TestContext,
    friendNames: readonly string[],
    options: CircleOptions = {},
  ): Promise<Circle> {
    const { flags = [], quota = 5e9, strangers = [], ...rest } = options;
    const all = await Circle.make(t, [...friendNames, ...strangers]);
    const friends = all.friends.slice(0, friendNames.length);
    const circle = new Circle(all.folder, all.owner, friends, all.friends.slice(friendNames.length));
    const first = await circle.owner.up(flags, rest);
    const entry = flags.includes('--no-dht') ? [] : ['--bootstrap', first.listen];
    await Promise.all(circle.friends.map((friend) => friend.up([...flags, ...entry], rest)));
    for (const friend of circle.friends) await circle.befriend(friend, { quota });
    await circle.online(...circle.friends);
    return circle;
  }

  friend(name: string): Member {
    const found = this.friends.find((friend) => friend.name === name);
    if (found === undefined) throw new Error(`no friend ${name}`);
    return found;
  }

  /** Both halves of a friendship between the owner and a friend; the first test of friends-live does it by commands. */
  async befriend(friend: Member, options: { readonly quota?: number } = {}): Promise<void> {
    await befriend(this.owner, friend, options.quota ?? 5e9);
  }

  async status(): Promise<{ readonly friends: readonly FriendJson[]; readonly verdict: string }> {
    return this.owner.json(['status']);
  }

  /** Waits until the owner's daemon has a session with each of these. */
  async online(...members: readonly Member[]): Promise<void> {
    await this.owner.sees(...members.map(({ name }) => name));
  }

  /** Waits until the owner's daemon has noticed that these are gone. */
  async offline(...members: readonly Member[]): Promise<void> {
    await this.owner.misses(...members.map(({ name }) => name));
  }
}

/** Both halves of a friendship between two computers that are up, each under the other's own name. */
export async function befriend(a: Member, b: Member, quotaBytes: number): Promise<void> {
  const vaults = await Promise.all([a, b].map((member) => member.remote()));
  const [ofA, ofB] = vaults;
  if (ofA === undefined || ofB === undefined) throw new Error('two are needed');
  const [cardOfA, cardOfB] = [await ofA.card(), await ofB.card()];
  await ofB.friendAdd(cardOfA, { name: a.name, quotaBytes });
  await ofA.friendAdd(cardOfB, { name: b.name, quotaBytes });
}
