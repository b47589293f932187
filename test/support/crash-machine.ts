import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../lib/base/clock.ts';
import type { RandomSource } from '../../lib/crypto/random.ts';
import { plainCoder } from '../../lib/kernels/reed-solomon.ts';
import {
  initVault,
  openVault,
  recoverVault,
  type BackupSummary,
  type Problem,
  type RecoverSummary,
  type RepairSummary,
  type Surroundings,
  type VaultApi,
} from '../../lib/vault/index.ts';
import { assertSameTree, firstTree, readSource, type SourceTree } from './crash-source.ts';
import { FaultDisk, type CrashMode } from './fault-disk.ts';
import { noise } from './noise.ts';

export const home = '/home/kith';
export const spread: { readonly k: number; readonly n: number } = { k: 2, n: 3 };
/** Bytes of a full pack here: shards of 256 KiB, so that a few files fill more than one. */
export const packBytes: number = spread.k * 256 * 1024;

/** What machines share: real folders, and a clock and random bytes that never come twice, whichever state is gone back to. */
export class CrashWorld {
  readonly source: string;
  readonly target: string;
  readonly seed: number;
  /** What the source holds now. */
  tree: SourceTree = firstTree;
  phrase: string = '';
  #nowNs = 1_760_000_000_000_000_000n;
  #draws: number;

  constructor(folder: string, seed: number) {
    this.source = join(folder, 'source');
    this.target = join(folder, 'target');
    this.seed = seed;
    this.#draws = seed * 1_000_000;
  }

  readonly clock: Clock = {
    nowNs: () => (this.#nowNs += 1_000_000n),
    monotonicMs: () => performance.now(),
  };

  readonly random: RandomSource = (count) => noise(this.#draws++, count);
}

/** A computer with a home and drives on one fault disk, and what its snapshots must restore to. */
export class CrashMachine {
  readonly world: CrashWorld;
  readonly disk: FaultDisk;
  readonly drives: readonly string[];
  /** Ids of snapshots whose backup said that it was done, with what the source was then. */
  readonly promised: Map<string, SourceTree>;
  /** What operations reported besides their result. */
  readonly problems: Problem[] = [];
  readonly #surroundings: Surroundings;

  constructor(
    world: CrashWorld,
    disk: FaultDisk,
    drives: readonly string[],
    promised: ReadonlyMap<string, SourceTree> = new Map(),
  ) {
    this.world = world;
    this.disk = disk;
    this.drives = drives;
    this.promised = new Map(promised);
    this.#surroundings = {
      disk,
      random: world.random,
      clock: world.clock,
      coder: plainCoder,
      threads: 0,
      packBytes,
    };
  }

  get dying(): FaultDisk {
    return this.disk;
  }

  /** A copy with everything durable. */
  copy(): CrashMachine {
    return this.restarted('keep-all');
  }

  /** This machine as it is found after a crash (FaultDisk.afterCrash). */
  restarted(mode: CrashMode, seed = 1): CrashMachine {
    return new CrashMachine(this.world, this.disk.afterCrash(mode, seed), this.drives, this.promised);
  }

  async init(): Promise<void> {
    const { phrase } = await initVault({ home, name: 'tester', surroundings: this.#surroundings });
    this.world.phrase = phrase;
  }

  recover(): Promise<RecoverSummary> {
    return recoverVault({
      home,
      phrase: this.world.phrase,
      drives: this.drives,
      surroundings: this.#surroundings,
      onProblem: this.#onProblem,
    });
  }

  /** Opens the vault for some work and closes it again. */
  async use<T>(work: (vault: VaultApi) => Promise<T>): Promise<T> {
    const vault = await openVault({ home, surroundings: this.#surroundings });
    try {
      return await work(vault);
    } finally {
      await vault.close();
    }
  }

  /** Backs the source up. What a finished backup says it has is from then on promised. */
  async backup(): Promise<BackupSummary> {
    const { source, tree } = this.world;
    const summary = await this.use((vault) =>
      vault.backup({ paths: [source], spread, onProblem: this.#onProblem }),
    );
    assert.ok(summary.snapshotId !== null);
    this.promised.set(summary.snapshotId, tree);
    return summary;
  }

  repair(): Promise<RepairSummary> {
    return this.use((vault) => vault.repair({ onProblem: this.#onProblem }));
  }

  async addDrives(paths: readonly string[] = this.drives): Promise<void> {
    await this.use(async (vault) => {
      for (const path of paths) await vault.driveAdd({ path });
    });
  }

  /** What a snapshot gives back. */
  async restore(vault: VaultApi, id: string): Promise<SourceTree> {
    const { source, target } = this.world;
    await vault.restore({ what: `${id}:${source}`, target, onProblem: this.#onProblem });
    const tree = await readSource(target);
    await rm(target, { recursive: true, force: true });
    return tree;
  }

  /**
   * Fails unless every snapshot that is listed restores to what the source was, and all that were promised are listed.
   * One that no backup promised (its backup died) must be what the source is now. Returns how many there are.
   */
  async checkSnapshots(): Promise<number> {
    return this.use(async (vault) => {
      const listed = await vault.snapshots();
      for (const { id, shortId } of listed) {
        assertSameTree(await this.restore(vault, id), this.promised.get(id) ?? this.world.tree, shortId);
      }
      const ids = new Set(listed.map(({ id }) => id));
      for (const id of this.promised.keys()) assert.ok(ids.has(id), `snapshot ${id.slice(0, 8)} is gone`);
      return listed.length;
    });
  }

  /** Fails if an operation had anything to report, but for what matches. */
  checkProblems(allowed?: RegExp): void {
    const unexpected = this.problems
      .map(({ item, message, code }) => `${item}: ${message} (${code})`)
      .filter((text) => allowed?.test(text) !== true);
    assert.deepEqual(unexpected, []);
  }

  readonly #onProblem = (problem: Problem): void => {
    this.problems.push(problem);
  };
}
