import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Clock } from '../../lib/base/clock.ts';
import { KithError } from '../../lib/base/errors.ts';
import type { Disk } from '../../lib/disk/disk.ts';
import { compareTrees } from '../../lib/source/compare.ts';
import { mtimeGrainNs, nativeCalls } from '../../lib/source/native.ts';
import { Session } from '../../lib/vault/session.ts';
import {
  initVault,
  openVault,
  recoverVault,
  systemSurroundings,
  type BackupOptions,
  type BackupSummary,
  type FriendOptions,
  type Problem,
  type RecoverSummary,
  type RepairOptions,
  type RepairSummary,
  type RestoreOptions,
  type RestoreSummary,
  type SnapshotInfo,
  type Spread,
  type StatusResult,
  type Surroundings,
  type VaultApi,
} from '../../lib/vault/index.ts';
import { FakeFriends, type FakeFriend } from './fake-friends.ts';
import { tempFolder } from './temp-folder.ts';
import { quickDisk } from './vault-fixture-disk.ts';

/** A clock of which no two readings are the same, from a fixed day on, so that snapshots have an order. */
export function tickingClock(): Clock & { forward(ms: number): void } {
  let now = 1_760_000_000_000_000_000n;
  return {
    nowNs: () => (now += 1_000_000n),
    monotonicMs: () => performance.now(),
    forward: (ms) => void (now += BigInt(ms) * 1_000_000n),
  };
}

export interface FixtureOptions {
  /** Number of drives, or what each is added with. */
  readonly drives?:
    | number
    | readonly {
        readonly quotaBytes?: number;
        readonly household?: string;
        readonly whole?: boolean;
      }[];
  /** Names of friends, who are all online. */
  readonly friends?: readonly string[];
  readonly spread?: Spread;
  /** Lines of kith.toml beside the ones that make small disks usable. */
  readonly toml?: string;
  readonly disk?: Disk;
  /** Files of the source by path; a default sample unless given. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

/** What an operation said and gave. */
export interface Told<T> {
  readonly summary: T;
  readonly problems: Problem[];
}

const sampleFiles: Readonly<Record<string, string>> = {
  'letter.txt': 'Dear friend,\n',
  empty: '',
  'photos/one.raw': 'one'.repeat(3000),
  'photos/two.raw': 'two'.repeat(5000),
  'photos/deep/er/three.raw': 'three'.repeat(700),
};

/** What threads run where kith is a command: one file, which starts in half the time of its modules. */
const bundledThread = new URL('../../bundle/thread.cjs', import.meta.url);

/** A vault on temp folders: a home, a source, drives `drive-0` …, targets. All go with the test. */
export class VaultFixture {
  readonly root: string;
  readonly source: string;
  readonly surroundings: Surroundings;
  readonly clock: ReturnType<typeof tickingClock>;
  readonly spread: Spread | undefined;
  friends: FakeFriends;
  home: string;
  phrase: string = '';
  id: string = '';
  #targets = 0;
  #driveCount = 0;

  private constructor(root: string, options: FixtureOptions) {
    this.root = root;
    this.home = join(root, 'home');
    this.source = join(root, 'source');
    this.clock = tickingClock();
    this.surroundings = {
      ...systemSurroundings,
      clock: this.clock,
      disk: options.disk ?? quickDisk,
      threadModule: bundledThread,
    };
    this.spread = options.spread;
    this.friends = new FakeFriends(root, '');
  }

  static async create(test: Pick<TestContext, 'after'>, options: FixtureOptions = {}): Promise<VaultFixture> {
    const fixture = new VaultFixture(await tempFolder(test), options);
    const { home, surroundings } = fixture;
    const { id, phrase } = await initVault({ home, name: 'tester', surroundings });
    fixture.id = id;
    fixture.friends = new FakeFriends(fixture.root, id);
    fixture.phrase = phrase;
    await fixture.settings(options.toml ?? '');
    for (const [path, text] of Object.entries(options.files ?? sampleFiles)) await fixture.write(path, text);
    const { drives = 5 } = options;
    const list = typeof drives === 'number' ? Array.from({ length: drives }, () => ({})) : drives;
    await fixture.use(async (vault) => {
      for (const drive of list) await fixture.addDrive(vault, drive);
      for (const name of options.friends ?? []) await fixture.addFriend(vault, name);
    });
    return fixture;
  }

  /** Writes kith.toml; disks need no free floor here. */
  async settings(toml: string): Promise<void> {
    await writeFile(join(this.home, 'kith.toml'), `free.floor = "0"\n${toml}\n`);
  }

  /** Adds the next drive. */
  async addDrive(vault: VaultApi, options: object = {}): Promise<string> {
    const path = this.drive(this.#driveCount++);
    await vault.driveAdd({ path, ...options });
    return path;
  }

  /** Meets somebody and adds them. */
  async addFriend(
    vault: VaultApi,
    name: string,
    options: FriendOptions & { readonly room?: number } = {},
  ): Promise<FakeFriend> {
    const { room, ...rest } = options;
    const friend = await this.friends.meet(name, room === undefined ? {} : { quotaBytes: room });
    await vault.friendAdd(friend.card, rest);
    return friend;
  }

  /** A friend that was met. */
  friend(name: string): FakeFriend {
    return this.friends.of(name);
  }

  drive(number: number): string {
    return join(this.root, `drive-${number}`);
  }

  /** Folder of a drive's shards of this vault. */
  shardsFolder(number: number): string {
    return join(this.drive(number), 'shards', this.id);
  }

  /** Paths of a drive's shard files, sorted. */
  async shardFiles(number: number): Promise<string[]> {
    return (await filesBelow(join(this.drive(number), 'shards'))).filter((path) => path.endsWith('.shard'));
  }

  /** Unplugs a drive: its folder goes elsewhere until `plugIn`. */
  async unplug(...numbers: number[]): Promise<void> {
    for (const number of numbers) await rename(this.drive(number), `${this.drive(number)}.away`);
  }

  async plugIn(...numbers: number[]): Promise<void> {
    for (const number of numbers) await rename(`${this.drive(number)}.away`, this.drive(number));
  }

  /** A drive that dies for good. */
  async destroy(...numbers: number[]): Promise<void> {
    for (const number of numbers) await rm(this.drive(number), { recursive: true });
  }

  /** All shards of a drive are lost; its marker and logs are not. */
  async destroyShardsOf(...numbers: number[]): Promise<void> {
    for (const number of numbers) await rm(join(this.drive(number), 'shards'), { recursive: true });
  }

  async write(path: string, content: string | Uint8Array): Promise<void> {
    const whole = join(this.source, path);
    await mkdir(dirname(whole), { recursive: true });
    await writeFile(whole, content);
  }

  /** Opens the home, works, and closes it whatever happens. */
  async use<T>(work: (vault: VaultApi) => Promise<T>): Promise<T> {
    const vault = await openVault({
      home: this.home,
      surroundings: this.surroundings,
      network: this.friends,
    });
    try {
      return await work(vault);
    } finally {
      await vault.close();
    }
  }

  /** The same, one floor below. */
  async session<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const session = await Session.open({
      home: this.home,
      surroundings: this.surroundings,
      network: this.friends,
    });
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  }

  async backup(options: Partial<BackupOptions> = {}): Promise<Told<BackupSummary>> {
    const problems: Problem[] = [];
    const onProblem = (problem: Problem): void => void problems.push(problem);
    const spread = this.spread === undefined ? {} : { spread: this.spread };
    const all = { paths: [this.source], onProblem, ...spread, ...options };
    return { summary: await this.use((vault) => vault.backup(all)), problems };
  }

  async repair(options: RepairOptions = {}): Promise<Told<RepairSummary>> {
    const problems: Problem[] = [];
    const onProblem = (problem: Problem): void => void problems.push(problem);
    return { summary: await this.use((vault) => vault.repair({ onProblem, ...options })), problems };
  }

  /** Restores into a fresh target. */
  async restore(
    what = 'latest',
    options: Partial<RestoreOptions> = {},
  ): Promise<Told<RestoreSummary> & { readonly target: string }> {
    const problems: Problem[] = [];
    const onProblem = (problem: Problem): void => void problems.push(problem);
    const target = join(this.root, `target-${this.#targets++}`);
    const all = { what, target, onProblem, ...options };
    return { summary: await this.use((vault) => vault.restore(all)), problems, target };
  }

  /** Restores and compares every byte, mode and time with a folder: the source unless given. */
  async restoresTo(what = 'latest', like: string = this.source): Promise<Told<RestoreSummary>> {
    const restored = await this.restore(what);
    assert.deepEqual(await differences(like, join(restored.target, this.source)), []);
    assert.equal(restored.summary.filesFailed, 0);
    await rm(restored.target, { recursive: true });
    return restored;
  }

  /** Restores, expecting the error of too few disks; gives it, after a look that nothing was written. */
  async cannotRestore(what = 'latest'): Promise<KithError> {
    const target = join(this.root, `target-${this.#targets++}`);
    const error = await failure(this.use((vault) => vault.restore({ what, target })));
    assert.equal(error.code, 'not-restorable');
    assert.equal(error.exitCode, 5);
    await assert.rejects(readdir(target), { code: 'ENOENT' });
    return error;
  }

  async snapshots(): Promise<SnapshotInfo[]> {
    return await this.use((vault) => vault.snapshots());
  }

  async status(): Promise<StatusResult> {
    return await this.use((vault) => vault.status());
  }

  /** Recovers into a home of that name; the fixture's own home stays what it was. */
  async recover(
    name: string,
    drives: readonly number[],
    phrase: string = this.phrase,
  ): Promise<Told<RecoverSummary>> {
    const problems: Problem[] = [];
    const summary = await recoverVault({
      home: join(this.root, name),
      phrase,
      drives: drives.map((number) => this.drive(number)),
      onProblem: (problem) => void problems.push(problem),
      surroundings: this.surroundings,
    });
    await writeFile(join(this.root, name, 'kith.toml'), 'free.floor = "0"\n');
    return { summary, problems };
  }

  /** Works with another home of the same vault for a while. */
  async inHome<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.home;
    this.home = join(this.root, name);
    try {
      return await work();
    } finally {
      this.home = before;
    }
  }
}

/** The KithError that a promise ends in; anything else fails the test. */
export async function failure(promise: Promise<unknown>): Promise<KithError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof KithError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'it should have failed' });
}

/** Differences between two trees in words. */
export async function differences(left: string, right: string): Promise<string[]> {
  const found: string[] = [];
  const grain = mtimeGrainNs(nativeCalls() ?? 'none');
  for await (const difference of compareTrees(left, right, { mtimeGrainNs: grain })) found.push(difference);
  return found;
}

/** Paths of all files below a folder, sorted; none where there is no folder. */
export async function filesBelow(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) paths.push(...(await filesBelow(path)));
    else paths.push(path);
  }
  return paths.sort();
}

/** Changes a byte of a file; negative places count from its end. */
export async function flipByte(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ 0x55;
  await writeFile(path, bytes);
}

/** What a list has at a place; a test that asks beyond it fails. */
export function item<T>(list: readonly T[], at: number): T {
  const found = list.at(at);
  assert.ok(found !== undefined, `nothing at ${at} of ${list.length}`);
  return found;
}

/** All ways to choose `count` of 0 … total − 1. */
export function subsets(total: number, count: number): number[][] {
  if (count === 0) return [[]];
  if (total < count) return [];
  const without = subsets(total - 1, count);
  return [...without, ...subsets(total - 1, count - 1).map((chosen) => [...chosen, total - 1])];
}
