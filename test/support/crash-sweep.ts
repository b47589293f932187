import assert from 'node:assert/strict';
import { CrashError, type CrashMode, type FaultDisk } from './fault-disk.ts';

/** What can die: a computer with its disk, alone or among others. */
export interface Crashable<Machine> {
  /** The disk that dies. */
  readonly dying: FaultDisk;
  /** A copy of all of it, with everything durable. */
  copy(): Machine;
  /** The same as it is found after the crash (FaultDisk.afterCrash). */
  restarted(mode: CrashMode, seed: number): Machine;
}

/** An operation that is cut at each of its steps. */
export interface CrashScenario<Machine> {
  /** What is cut. It runs on a copy of the base each time. */
  readonly cut: (machine: Machine) => Promise<unknown>;
  /** True where it is another computer that dies: the operation gets through all the same. */
  readonly survives?: boolean;
  /** What must hold on the machine that came up again. */
  readonly after: (machine: Machine) => Promise<unknown>;
}

/** Which steps to cut at, and how. */
export interface SweepOptions {
  readonly mode: CrashMode;
  readonly seed: number;
  readonly firstStep: number;
  readonly stride: number;
}

/** More steps than any operation here has: an operation that never ends would be one too. */
const stepsMax = 5000;

/**
 * Cuts an operation at every `stride`th step from the first on until it gets through, and then right after it said that
 * it was done; checks each time what is left. Returns how many steps it was cut at. The first failure ends it and names
 * its step.
 */
export async function sweep<Machine extends Crashable<Machine>>(
  base: Machine,
  scenario: CrashScenario<Machine>,
  { mode, seed, firstStep, stride }: SweepOptions,
): Promise<number> {
  let count = 0;
  for (let step = firstStep; step <= stepsMax; step += stride) {
    const machine = base.copy();
    const died = await cutAt(machine, scenario, step);
    try {
      await scenario.after(machine.restarted(mode, seed * stepsMax + step));
    } catch (error) {
      const where = died ? `step ${step} (${machine.dying.trace.at(-1) ?? ''})` : 'after its end';
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new Error(`${mode}, seed ${seed}, ${where}: ${text}`, { cause: error });
    }
    if (!died) return count;
    count++;
  }
  throw new Error(`more than ${stepsMax} steps`);
}

/** Runs an operation on a machine that dies at a step; false if it ends before. */
async function cutAt<Machine extends Crashable<Machine>>(
  machine: Machine,
  scenario: CrashScenario<Machine>,
  step: number,
): Promise<boolean> {
  machine.dying.crashAt(step);
  try {
    await scenario.cut(machine);
  } catch (error) {
    if (!machine.dying.crashed || scenario.survives === true) throw error;
    assert.ok(error instanceof CrashError, `step ${step}: the crash came out as ${String(error)}`);
    return true;
  }
  if (scenario.survives === true) return machine.dying.crashed;
  assert.ok(!machine.dying.crashed, `step ${step}: it said that it was done, on a dead machine`);
  return false;
}
