import { mkdtemp, rm, mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { KithDaemon } from '../../bench/demo-daemon.ts';
import { initVault } from '../../lib/vault/index.ts';
import { runKith, type Ended, type RunOptions } from './harness.ts';

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

  async up(flags: readonly string[] = []): Promise<KithDaemon> {
    this.daemon = await KithDaemon.start(['up', '--json', '--listen', '127.0.0.1:0', ...flags], {
      cwd: this.folder,
      home: this.home,
      signal: new AbortController().signal,
    });
    return this.daemon;
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

/**
 * An owner and friends, each a process of its own on loopback, in a temporary folder that goes at the end of the test with every
 * process in it. Identities are made in this process, which gives the same as `kith init` and takes a tenth of the time.
 */
export class Circle {
  readonly folder: string;
  readonly owner: Member;
  readonly friends: readonly Member[];

  private constructor(folder: string, owner: Member, friends: readonly Member[]) {
    this.folder = folder;
    this.owner = owner;
    this.friends = friends;
  }

  /** Homes only; nothing is up, nobody knows anybody. */
  static async make(t: TestContext, friendNames: readonly string[]): Promise<Circle> {
    const folder = await mkdtemp(join(tmpdir(), 'kith-circle-'));
    const members = ['you', ...friendNames].map((name) => new Member(name, join(folder, name)));
    t.after(async () => {
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
    options: { readonly flags?: readonly string[]; readonly quota?: string } = {},
  ): Promise<Circle> {
    const circle = await Circle.make(t, friendNames);
    const { flags = [], quota = '5GB' } = options;
    const first = await circle.owner.up(flags);
    await Promise.all(circle.friends.map((friend) => friend.up([...flags, '--bootstrap', first.listen])));
    for (const friend of circle.friends) await circle.befriend(friend, { quota });
    await circle.online(...circle.friends);
    return circle;
  }

  friend(name: string): Member {
    const found = this.friends.find((friend) => friend.name === name);
    if (found === undefined) throw new Error(`no friend ${name}`);
    return found;
  }

  /** Both halves of a friendship between the owner and a friend. */
  async befriend(friend: Member, options: { readonly quota?: string } = {}): Promise<void> {
    const quota = ['--quota', options.quota ?? '5GB'];
    for (const member of [this.owner, friend]) await member.ok(['card', '--out', 'card.txt']);
    await friend.ok(['friend', 'add', this.owner.path('card.txt'), '--name', 'you', ...quota]);
    await this.owner.ok(['friend', 'add', friend.path('card.txt'), '--name', friend.name, ...quota]);
  }

  async status(): Promise<{ readonly friends: readonly FriendJson[]; readonly verdict: string }> {
    return this.owner.json(['status']);
  }

  /** Waits until the owner's daemon has a session with each of these; the test's own time limit ends it. */
  async online(...members: readonly Member[]): Promise<void> {
    for (;;) {
      const { friends } = await this.status();
      const online = new Set(friends.filter((friend) => friend.online).map((friend) => friend.name));
      if (members.every((member) => online.has(member.name))) return;
    }
  }

  /** Waits until the owner's daemon has noticed that these are gone. */
  async offline(...members: readonly Member[]): Promise<void> {
    for (;;) {
      const { friends } = await this.status();
      const online = new Set(friends.filter((friend) => friend.online).map((friend) => friend.name));
      if (members.every((member) => !online.has(member.name))) return;
    }
  }
}
