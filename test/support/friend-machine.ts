import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fromHex } from '../../lib/base/bytes.ts';
import { homeLayout } from '../../lib/custody/hosting.ts';
import { driveLayout } from '../../lib/custody/store-folder.ts';
import { initDrive } from '../../lib/holders/drive.ts';
import { plainCoder } from '../../lib/kernels/reed-solomon.ts';
import {
  exchangeWith,
  initVault,
  Session,
  vaultOf,
  type BackupSummary,
  type Problem,
  type RepairSummary,
  type Surroundings,
  type VaultApi,
} from '../../lib/vault/index.ts';
import { CrashMachine, home, packBytes, spread, type CrashWorld } from './crash-machine.ts';
import { assertSameTree, readSource, writeSource, type SourceTree } from './crash-source.ts';
import { FaultDisk, type CrashMode, type DetachedFolder } from './fault-disk.ts';
import { FriendHome, friendHome } from './friend-home.ts';
import { FriendWires } from './friend-wires.ts';
import { LogWitness } from './log-witness.ts';

/** What an operation on an opened home works with. */
export interface Opened {
  readonly vault: VaultApi;
  readonly session: Session;
  readonly wires: FriendWires;
}

/** An owner on one fault disk, whose holders are friends, each on another. */
export class FriendMachine {
  readonly world: CrashWorld;
  readonly disk: FaultDisk;
  readonly friends: readonly FriendHome[];
  /** Ids of snapshots whose backup said that it was done, with what the source was then. */
  readonly promised: Map<string, SourceTree>;
  readonly witness: LogWitness;
  /** What operations reported besides their result. */
  readonly problems: Problem[] = [];
  /** Name of the friend whose disk dies; undefined where it is the owner's. */
  victim: string | undefined;
  #vaultId = '';

  constructor(
    world: CrashWorld,
    disk: FaultDisk,
    friends: readonly FriendHome[],
    from?: Pick<FriendMachine, 'promised' | 'witness' | 'victim' | 'vaultId'>,
  ) {
    this.world = world;
    this.disk = disk;
    this.friends = friends;
    this.promised = new Map(from?.promised);
    this.witness = from?.witness ?? new LogWitness();
    this.victim = from?.victim;
    this.#vaultId = from?.vaultId ?? '';
  }

  /** A vault with friends who are up and in its book, and a source. */
  static async create(world: CrashWorld, names: readonly string[]): Promise<FriendMachine> {
    await writeSource(world.source, world.tree);
    const disk = new FaultDisk({ seed: world.seed });
    await disk.makeFolder(dirname(home));
    const friends = names.map((name) => new FriendHome(world, name));
    const machine = new FriendMachine(world, disk, friends);
    const { id, phrase } = await initVault({ home, name: 'tester', surroundings: machine.#surroundings });
    world.phrase = phrase;
    machine.#vaultId = id;
    await machine.up();
    await machine.use(async ({ vault }) => {
      for (const { card } of friends) await vault.friendAdd(card);
    });
    machine.checkProblems();
    return machine;
  }

  get vaultId(): string {
    return this.#vaultId;
  }

  get #surroundings(): Surroundings {
    const { random, clock } = this.world;
    return { disk: this.disk, random, clock, coder: plainCoder, packBytes, threads: 0 };
  }

  /** The disk that dies. */
  get dying(): FaultDisk {
    return this.victim === undefined ? this.disk : this.friend(this.victim).disk;
  }

  friend(name: string): FriendHome {
    const friend = this.friends.find((one) => one.name === name);
    assert.ok(friend !== undefined, `nobody is called ${name}`);
    return friend;
  }

  /** Starts the processes of friends: all, unless named. */
  async up(...names: string[]): Promise<void> {
    for (const friend of this.#named(names)) await friend.up();
  }

  /** Ends them. */
  async down(...names: string[]): Promise<void> {
    for (const friend of this.#named(names)) await friend.down();
  }

  #named(names: readonly string[]): readonly FriendHome[] {
    return names.length === 0 ? this.friends : names.map((name) => this.friend(name));
  }

  /** A copy of the owner and all friends, with everything durable, in a course of events of its own; nobody is up. */
  copy(): FriendMachine {
    const { promised, victim, vaultId } = this;
    return new FriendMachine(
      this.world,
      this.disk.afterCrash('keep-all'),
      this.friends.map((friend) => friend.restarted()),
      { promised, victim, vaultId, witness: this.witness.copy() },
    );
  }

  /** The same with the one whose disk died come up again; all others go on as they are. */
  restarted(mode: CrashMode, seed = 1): FriendMachine {
    const { victim } = this;
    this.witness.see(this.dying, '', false);
    if (victim === undefined) {
      for (const { disk } of this.friends) this.witness.see(disk, friendHome);
      return new FriendMachine(this.world, this.disk.afterCrash(mode, seed), this.friends, this);
    }
    const friends = this.friends.map((friend) => {
      if (friend.name !== victim) return friend;
      friend.die();
      return friend.restarted(mode, seed);
    });
    return new FriendMachine(this.world, this.disk, friends, this);
  }

  /** The same with this friend, in the place of one of that name if there is one. */
  with(friend: FriendHome): FriendMachine {
    const others = this.friends.filter(({ name }) => name !== friend.name);
    return new FriendMachine(this.world, this.disk, [...others, friend], this);
  }

  /** The same without one whom nobody asks any more. */
  without(name: string): FriendMachine {
    return new FriendMachine(
      this.world,
      this.disk,
      this.friends.filter((friend) => friend.name !== name),
      this,
    );
  }

  /** A copy of the home, as an image of a disk is. */
  keepHome(): DetachedFolder {
    this.see();
    const kept = this.disk.detach(home);
    assert.ok(kept !== undefined);
    this.disk.attach(home, kept);
    return kept;
  }

  putBack(kept: DetachedFolder): void {
    this.see();
    this.disk.attach(home, kept);
  }

  /** Opens the vault for some work and closes it again; friends who are up are connected. */
  async use<T>(work: (opened: Opened) => Promise<T>): Promise<T> {
    const holder: { wires?: FriendWires } = {};
    const cut = (): void => holder.wires?.cut();
    this.disk.onCrash = cut;
    try {
      const session = await Session.open({
        home,
        surroundings: this.#surroundings,
        onProblem: this.onProblem,
        network: (opening) => (holder.wires = new FriendWires(opening, this.friends)),
      });
      const { wires } = holder;
      assert.ok(wires !== undefined);
      try {
        await wires.settled();
        return await work({ vault: vaultOf(session), session, wires });
      } finally {
        await session.close();
      }
    } finally {
      await holder.wires?.close();
    }
  }

  /** Backs the source up. What a finished backup says it has is from then on promised. */
  async backup(tags: readonly string[] = []): Promise<BackupSummary> {
    return await this.use((opened) => this.backupIn(opened, tags));
  }

  async backupIn({ vault }: Opened, tags: readonly string[] = []): Promise<BackupSummary> {
    const { source, tree } = this.world;
    const summary = await vault.backup({ paths: [source], spread, tags, onProblem: this.onProblem });
    assert.ok(summary.snapshotId !== null);
    this.promised.set(summary.snapshotId, tree);
    return summary;
  }

  async change(tree: SourceTree): Promise<void> {
    this.world.tree = tree;
    await writeSource(this.world.source, tree);
  }

  async repair(quick = false): Promise<RepairSummary> {
    return await this.use(({ vault }) => vault.repair({ quick, onProblem: this.onProblem }));
  }

  /** What the daemon does when a friend has come online. */
  async exchange(name: string): Promise<boolean> {
    return await this.use(({ session }) => this.exchangeIn(session, name));
  }

  async exchangeIn(session: Session, name: string): Promise<boolean> {
    const keeper = session.holder(this.friend(name).id);
    assert.ok(keeper !== undefined);
    return await exchangeWith(session, keeper);
  }

  /**
   * Fails unless every snapshot that is listed restores to what the source was, and all that were promised are listed.
   * One that no backup promised (its backup died) must be what the source is now. Returns how many there are.
   */
  async checkSnapshots(): Promise<number> {
    const { source, target } = this.world;
    return await this.use(async ({ vault }) => {
      const listed = await vault.snapshots();
      for (const { id, shortId } of listed) {
        await vault.restore({ what: `${id}:${source}`, target, onProblem: this.onProblem });
        const tree = await readSource(target);
        await rm(target, { recursive: true, force: true });
        assertSameTree(tree, this.promised.get(id) ?? this.world.tree, shortId);
      }
      const ids = new Set(listed.map(({ id }) => id));
      for (const id of this.promised.keys()) assert.ok(ids.has(id), `snapshot ${id.slice(0, 8)} is gone`);
      return listed.length;
    });
  }

  /** Lets the witness see all disks. */
  see(): void {
    this.witness.see(this.disk, home);
    for (const { disk } of this.friends) this.witness.see(disk, friendHome);
  }

  /** A bare machine, recovered from the phrase and from what lies on these friends' disks now, as if their folders were drives. */
  async recoveredFrom(names: readonly string[]): Promise<CrashMachine> {
    const disk = new FaultDisk({ seed: this.world.seed });
    await disk.makeFolder(dirname(home));
    const drives = names.map((name) => `/drives/${name}`);
    for (const name of names) await this.#asDrive(this.friend(name), disk, `/drives/${name}`);
    const machine = new CrashMachine(this.world, disk, drives, this.promised);
    await machine.recover();
    return machine;
  }

  async #asDrive(friend: FriendHome, disk: FaultDisk, folder: string): Promise<void> {
    const vaultId = fromHex(this.vaultId);
    assert.ok(vaultId !== undefined);
    const { random } = this.world;
    await disk.makeFolder(folder);
    await initDrive(disk, folder, { name: friend.name, vaultId, random, now: '2026-01-01T00:00:00Z' });
    for (const kind of ['shards', 'logs', 'keys'] as const) {
      const from = join(friendHome, ...homeLayout[kind]);
      for (const path of friend.disk.files()) {
        if (!path.startsWith(`${from}/${this.vaultId}`)) continue;
        const to = join(folder, ...driveLayout[kind], path.slice(from.length));
        await disk.makeFolder(dirname(to));
        disk.poke(to, friend.disk.peek(path) ?? new Uint8Array(0));
      }
    }
  }

  /** Fails if an operation had anything to report, but for what matches. */
  checkProblems(allowed?: RegExp): void {
    const unexpected = this.problems
      .map(({ item, message, code }) => `${item}: ${message} (${code})`)
      .filter((text) => allowed?.test(text) !== true);
    assert.deepEqual(unexpected, []);
  }

  readonly onProblem = (problem: Problem): void => {
    this.problems.push(problem);
  };
}
