import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { isKithError, type ErrorCode } from '../../lib/base/errors.ts';
import { checkWorksAgain } from './crash-checks.ts';
import { CrashMachine, home, spread, type CrashWorld } from './crash-machine.ts';
import { secondTree, writeSource } from './crash-source.ts';
import type { CrashScenario } from './crash-sweep.ts';
import { FaultDisk, type DetachedFolder } from './fault-disk.ts';
import { noise } from './noise.ts';
import { Seeded } from './seeded.ts';

/** About as many steps as the operations here have. */
const secondCutMax = 100;

const drives = ['/drives/a', '/drives/b', '/drives/c', '/drives/d'];

/** A scenario and the machine that it starts from. */
export interface Prepared {
  readonly base: CrashMachine;
  readonly scenario: CrashScenario<CrashMachine>;
}

type Prepare = (world: CrashWorld) => Promise<Prepared>;

async function bareMachine(world: CrashWorld): Promise<CrashMachine> {
  await writeSource(world.source, world.tree);
  const disk = new FaultDisk({ seed: world.seed });
  for (const folder of [dirname(home), '/drives']) await disk.makeFolder(folder);
  return new CrashMachine(world, disk, drives);
}

async function emptyVault(world: CrashWorld): Promise<CrashMachine> {
  const machine = await bareMachine(world);
  await machine.init();
  await machine.addDrives();
  return machine;
}

async function changeSource(world: CrashWorld): Promise<void> {
  world.tree = secondTree;
  await writeSource(world.source, secondTree);
}

/** A vault with a snapshot, and a source that has changed since. */
async function usedVault(world: CrashWorld): Promise<CrashMachine> {
  const machine = await emptyVault(world);
  assert.equal((await machine.backup()).state, 'complete');
  await changeSource(world);
  return machine;
}

async function checkAll(machine: CrashMachine, allowed?: RegExp): Promise<void> {
  await machine.checkSnapshots();
  await checkWorksAgain(machine);
  machine.checkProblems(allowed);
}

/** Runs `work`; one of these codes is as good. */
async function unlessCode(code: ErrorCode, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isKithError(error, code)) throw error;
  }
}

const backup: Prepare = async (world) => ({
  base: await usedVault(world),
  scenario: { cut: (machine) => machine.backup(), after: checkAll },
});

const firstBackup: Prepare = async (world) => ({
  base: await emptyVault(world),
  scenario: { cut: (machine) => machine.backup(), after: checkAll },
});

/** The computer doesn't come up again: what the drives have must do. */
const homeLost: Prepare = async (world) => ({
  base: await usedVault(world),
  scenario: {
    cut: (machine) => machine.backup(),
    after: async (machine) => {
      machine.disk.detach(home);
      await machine.recover();
      await checkAll(machine);
    },
  },
});

const init: Prepare = async (world) => ({
  base: await bareMachine(world),
  scenario: {
    cut: (machine) => machine.init(),
    after: async (machine) => {
      await unlessCode('vault-exists', () => machine.init());
      await machine.addDrives();
      await checkAll(machine);
    },
  },
});

const driveAdd: Prepare = async (world) => {
  const added = drives.at(-1) ?? '';
  const machine = await bareMachine(world);
  await machine.init();
  await machine.addDrives(drives.slice(0, -1));
  await machine.backup();
  await changeSource(world);
  return {
    base: machine,
    scenario: {
      cut: (copy) => copy.addDrives([added]),
      after: async (copy) => {
        await unlessCode('holder-exists', () => copy.addDrives([added]));
        const listed = await copy.use((vault) => vault.driveList());
        assert.deepEqual(listed.map(({ path }) => path).sort(), drives);
        assert.ok(listed.every(({ available }) => available));
        await checkAll(copy);
      },
    },
  };
};

const recover: Prepare = async (world) => {
  const machine = await usedVault(world);
  machine.disk.detach(home);
  return {
    base: machine,
    scenario: {
      cut: (copy) => copy.recover(),
      after: async (copy) => {
        await unlessCode('vault-exists', () => copy.recover());
        await checkAll(copy);
      },
    },
  };
};

function shardsOf(machine: CrashMachine, drive: string): string[] {
  return machine.disk.files().filter((path) => path.startsWith(`${drive}/`) && path.endsWith('.shard'));
}

/** The drive with the most shards: three of these few packs, whatever their ids. */
function fullestDrive(machine: CrashMachine): string {
  const [fullest] = drives.toSorted((a, b) => shardsOf(machine, b).length - shardsOf(machine, a).length);
  assert.ok(fullest !== undefined && shardsOf(machine, fullest).length === 3);
  return fullest;
}

/** A drive is given up: its shards are made anew on the others. */
const repair: Prepare = async (world) => {
  const machine = await usedVault(world);
  await machine.backup();
  const lost = fullestDrive(machine);
  await machine.use((vault) => vault.driveRemove(lost, { force: true }));
  const left = drives.filter((path) => path !== lost);
  return {
    base: new CrashMachine(world, machine.disk, left, machine.promised),
    scenario: { cut: (copy) => copy.repair(), after: checkAll },
  };
};

/** A drive has gone bad: all its shards are garbled, and made anew in their places. */
const repairDamaged: Prepare = async (world) => {
  const machine = await usedVault(world);
  await machine.backup();
  const bad = shardsOf(machine, fullestDrive(machine));
  for (const [i, path] of bad.entries()) {
    const bytes = machine.disk.peek(path) ?? new Uint8Array(0);
    // Some are cut short, which a listing shows, the others only show when they are read.
    if (i % 2 === 0) bytes.set(noise(i, 100), 1000);
    machine.disk.poke(path, i % 2 === 0 ? bytes : bytes.subarray(0, 5000));
  }
  return {
    base: machine,
    scenario: { cut: (copy) => copy.repair(), after: (copy) => checkAll(copy, /damaged|altered/) },
  };
};

/** The base with too few drives there for a backup to be safe, and what brings them back. */
function unplug(machine: CrashMachine): (copy: CrashMachine) => void {
  const away = drives.slice(spread.k - 1);
  const detached = away.map((path): [string, DetachedFolder] => {
    const folder = machine.disk.detach(path);
    assert.ok(folder !== undefined);
    return [path, folder];
  });
  return (copy) => {
    for (const [path, folder] of detached) copy.disk.attach(path, folder);
  };
}

/** Fewer than k drives are there: what is backed up waits in the home. */
const pending: Prepare = async (world) => {
  const machine = await usedVault(world);
  const plugIn = unplug(machine);
  return {
    base: machine,
    scenario: {
      cut: async (copy) => assert.equal((await copy.backup()).state, 'pending'),
      after: async (copy) => {
        assert.equal((await copy.backup()).state, 'pending');
        copy.problems.length = 0;
        plugIn(copy);
        await checkAll(copy);
      },
    },
  };
};

/** The drives are there again, and what waited goes out. */
const resume: Prepare = async (world) => {
  const machine = await usedVault(world);
  const plugIn = unplug(machine);
  assert.equal((await machine.backup()).state, 'pending');
  plugIn(machine);
  return { base: machine, scenario: { cut: (copy) => copy.backup(), after: checkAll } };
};

/**
 * The operation is cut, tried again, and cut again at a step that the seed chooses: what the first crash left visible but
 * not durable, as when only the process died, must not be built on.
 */
function cutTwice(prepare: Prepare): Prepare {
  return async (world) => {
    const { base, scenario } = await prepare(world);
    const seeded = new Seeded(world.seed);
    const again = async (machine: CrashMachine): Promise<void> => {
      machine.disk.crashAt(1 + seeded.below(secondCutMax));
      try {
        await scenario.cut(machine);
      } catch (error) {
        if (!machine.disk.crashed && !isKithError(error, 'vault-exists', 'holder-exists')) throw error;
      }
      const mode = seeded.coin() ? 'mixed' : 'lose-unsynced';
      await scenario.after(machine.restarted(mode, seeded.below(2 ** 31)));
    };
    return { base, scenario: { cut: scenario.cut, after: again } };
  };
}

/** Everything that is cut, by name. */
export const scenarios: Readonly<Record<string, Prepare>> = {
  backup: backup,
  'first backup': firstBackup,
  'backup, home lost': homeLost,
  init: init,
  'drive add': driveAdd,
  recover: recover,
  repair: repair,
  'repair, damaged': repairDamaged,
  'pending backup': pending,
  resume: resume,
  'backup, cut twice': cutTwice(backup),
  'init, cut twice': cutTwice(init),
  'drive add, cut twice': cutTwice(driveAdd),
  'recover, cut twice': cutTwice(recover),
  'repair, cut twice': cutTwice(repair),
  'pending backup, cut twice': cutTwice(pending),
  'resume, cut twice': cutTwice(resume),
};
