import assert from 'node:assert/strict';
import { isKithError } from '../../lib/base/errors.ts';
import type { CrashWorld } from './crash-machine.ts';
import { secondTree } from './crash-source.ts';
import type { CrashScenario } from './crash-sweep.ts';
import { checkNobodyHasMore, checkWorksAgain } from './friend-checks.ts';
import { FriendMachine } from './friend-machine.ts';
import { FriendHome } from './friend-home.ts';
import { noise } from './noise.ts';
import { Seeded } from './seeded.ts';

/** About as many steps as the operations here have on one disk. */
const secondCutMax = 30;

/** As many as there are shards of a pack: whoever dies has one of each. */
const names = ['anna', 'ben', 'cara'] as const;

/** The friend who dies where it isn't the owner. */
const victim = 'ben';

/** A scenario and what it starts from. */
export interface PreparedWithFriends {
  readonly base: FriendMachine;
  readonly scenario: CrashScenario<FriendMachine>;
}

type Prepare = (world: CrashWorld) => Promise<PreparedWithFriends>;

/** An operation over friends, and what may be reported after it was cut. */
interface Operation {
  readonly prepare: (world: CrashWorld) => Promise<FriendMachine>;
  readonly run: (machine: FriendMachine) => Promise<unknown>;
  /** Does again what may not have been done, before all is checked. */
  readonly again?: (machine: FriendMachine) => Promise<unknown>;
  readonly allowed?: RegExp;
}

/** A vault with a snapshot, and a source that has changed since. Friends are down. */
async function usedVault(world: CrashWorld): Promise<FriendMachine> {
  const machine = await FriendMachine.create(world, names);
  assert.equal((await machine.backup()).state, 'complete');
  await machine.change(secondTree);
  await machine.down();
  return machine;
}

const backup: Operation = { prepare: usedVault, run: (machine) => machine.backup() };

const firstBackup: Operation = {
  prepare: async (world) => {
    const machine = await FriendMachine.create(world, names);
    await machine.down();
    return machine;
  },
  run: (machine) => machine.backup(),
};

/** A friend gone bad: all shards there are garbled, and made anew in their places. */
const repair: Operation = {
  prepare: async (world) => {
    const machine = await usedVault(world);
    await machine.up();
    await machine.backup();
    await machine.down();
    const { disk } = machine.friend(victim);
    const bad = disk.files().filter((path) => path.endsWith('.shard'));
    assert.equal(bad.length, 3);
    for (const [i, path] of bad.entries()) {
      const bytes = disk.peek(path) ?? new Uint8Array(0);
      // Some are cut short, which a listing shows, the others only show when they are read.
      if (i % 2 === 0) bytes.set(noise(i, 100), 1000);
      disk.poke(path, i % 2 === 0 ? bytes : bytes.subarray(0, 5000));
    }
    return machine;
  },
  run: (machine) => machine.repair(),
  allowed: /damaged|altered/,
};

/** Somebody else is given up: what was there is made anew at those who stay. */
const repairLost: Operation = {
  prepare: async (world) => {
    const machine = await FriendMachine.create(world, [...names, 'dora']);
    await machine.backup();
    await machine.change(secondTree);
    await machine.backup();
    const shardsAt = ({ disk }: FriendHome): number =>
      disk.files().filter((path) => path.endsWith('.shard')).length;
    const others = machine.friends.filter(({ name }) => name !== victim);
    const [lost] = others.toSorted((a, b) => shardsAt(b) - shardsAt(a));
    assert.ok(lost !== undefined && shardsAt(lost) >= 2);
    await machine.use(({ vault }) => vault.friendRemove(lost.name, { force: true }));
    await machine.down();
    return machine.without(lost.name);
  },
  run: (machine) => machine.repair(),
};

/** A friend who was away meets the owner. */
const exchange: Operation = {
  prepare: async (world) => {
    const machine = await usedVault(world);
    await machine.up('anna', 'cara');
    await machine.backup();
    await machine.use(({ vault }) => vault.configSet('trash.keep', '9d'));
    await machine.down();
    return machine;
  },
  run: async (machine) => {
    // Found down by the opening, as most are.
    await machine.down(victim);
    await machine.use(async ({ session, wires }) => {
      await machine.up(victim);
      await wires.settled();
      await machine.exchangeIn(session, victim);
    });
  },
};

/** The home was put back, and a friend knows more. */
const exchangeBack: Operation = {
  prepare: async (world) => {
    const machine = await usedVault(world);
    const kept = machine.keepHome();
    await machine.up();
    await machine.backup();
    await machine.use(({ vault }) => vault.configSet('trash.keep', '9d'));
    await machine.down();
    machine.putBack(kept);
    return machine;
  },
  run: (machine) => machine.exchange(victim),
  again: (machine) => machine.exchange(victim),
  allowed: /fresh logs go on from it/,
};

/** Somebody new gets the key record and all logs. */
const friendAdd: Operation = {
  prepare: async (world) => {
    const machine = await FriendMachine.create(world, ['anna', 'cara']);
    await machine.backup();
    await machine.change(secondTree);
    await machine.down();
    const added = new FriendHome(world, victim);
    await added.up();
    await added.down();
    return machine.with(added);
  },
  run: (machine) => machine.use(({ vault }) => vault.friendAdd(machine.friend(victim).card)),
  again: async (machine) => {
    try {
      await machine.use(({ vault }) => vault.friendAdd(machine.friend(victim).card));
    } catch (error) {
      if (!isKithError(error, 'friend-exists')) throw error;
    }
  },
};

async function checkAll(machine: FriendMachine, operation: Operation): Promise<void> {
  await machine.up();
  await operation.again?.(machine);
  await machine.checkSnapshots();
  await checkWorksAgain(machine);
  machine.checkProblems(operation.allowed);
  await machine.down();
}

/** The owner dies. */
function ownerDies(operation: Operation): Prepare {
  return async (world) => ({
    base: await operation.prepare(world),
    scenario: {
      cut: (machine) => start(machine, operation),
      after: async (machine) => {
        if (operation !== exchangeBack) checkNobodyHasMore(machine);
        await checkAll(machine, operation);
      },
    },
  });
}

/** A friend dies; the owner goes on with the others. */
function friendDies(operation: Operation): Prepare {
  return async (world) => {
    const base = await operation.prepare(world);
    base.victim = victim;
    return {
      base,
      scenario: {
        cut: (machine) => start(machine, operation),
        survives: true,
        after: (machine) => checkAll(machine, operation),
      },
    };
  };
}

async function start(machine: FriendMachine, operation: Operation): Promise<void> {
  await machine.up();
  await operation.run(machine);
}

/** One dies; the operation is begun again, and one of both, as the seed says, dies at a step that it says too. */
function cutTwice(prepare: (operation: Operation) => Prepare, operation: Operation): Prepare {
  return async (world) => {
    const { base, scenario } = await prepare(operation)(world);
    const seeded = new Seeded(world.seed);
    const after = async (machine: FriendMachine): Promise<void> => {
      machine.victim = seeded.coin() ? victim : undefined;
      machine.dying.crashAt(1 + seeded.below(secondCutMax));
      try {
        await start(machine, operation);
      } catch (error) {
        const died = machine.victim === undefined && machine.dying.crashed;
        if (!died && !isKithError(error, 'friend-exists')) throw error;
      }
      const mode = seeded.coin() ? 'mixed' : 'lose-unsynced';
      await checkAll(machine.restarted(mode, seeded.below(2 ** 31)), operation);
    };
    return { base, scenario: { ...scenario, after } };
  };
}

const operations: Readonly<Record<string, Operation>> = {
  'first backup': firstBackup,
  backup,
  repair,
  'repair, one given up': repairLost,
  exchange,
  'exchange, home put back': exchangeBack,
  'friend add': friendAdd,
};

/** Everything that is cut with friends as holders, by name. */
export const friendScenarios: Readonly<Record<string, Prepare>> = Object.fromEntries(
  Object.entries(operations).flatMap(([name, operation]): [string, Prepare][] => [
    [`friends: ${name}, owner dies`, ownerDies(operation)],
    [`friends: ${name}, friend dies`, friendDies(operation)],
    [`friends: ${name}, owner dies, cut twice`, cutTwice(ownerDies, operation)],
    [`friends: ${name}, friend dies, cut twice`, cutTwice(friendDies, operation)],
  ]),
);
