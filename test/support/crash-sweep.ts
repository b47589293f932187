import assert from 'node:assert/strict';
import type { CrashMachine } from './crash-machine.ts';
import { CrashError, type CrashMode } from './fault-disk.ts';

/** An operation that is cut at each of its steps. */
export interface CrashScenario {
  readonly name: string;
  /** What is cut. It runs on a copy of the base each time. */
  readonly cut: (machine: CrashMachine) => Promise<unknown>;
  /** What must hold on the machine that came up again. */
  readonly after: (machine: CrashMachine) => Promise<void>;
}

/** How the machine dies, and what makes its choices. */
export interface CrashKind {
  readonly mode: CrashMode;
  readonly seed?: number;
}

/** More steps than any operation here has: an operation that never ends would be one too. */
const stepsMax = 5000;

/**
 * Cuts an operation at step 1, 2, … until it gets through, and checks each time what is left; returns how many steps it
 * was cut at. The first failure ends it and names its step, so that it can be run alone.
 */
export async function sweep(base: CrashMachine, scenario: CrashScenario, kind: CrashKind): Promise<number> {
  for (let step = 1; step <= stepsMax; step++) {
    const left = await cutAt(base, scenario, step);
    if (left === undefined) return step - 1;
    await told(`${scenario.name}, ${kind.mode} at step ${step} (${left.disk.trace.at(-1) ?? ''})`, () =>
      scenario.after(left.restarted(kind.mode, (kind.seed ?? 1) + step)),
    );
  }
  throw new Error(`${scenario.name} has more than ${stepsMax} steps`);
}

/** The machine dead at a step of the operation; undefined if the operation ends before. */
export async function cutAt(
  base: CrashMachine,
  scenario: CrashScenario,
  step: number,
): Promise<CrashMachine | undefined> {
  const machine = base.restarted();
  machine.disk.crashAt(step);
  try {
    await scenario.cut(machine);
  } catch (error) {
    if (!machine.disk.crashed) throw error;
    assert.ok(error instanceof CrashError, `${scenario.name} made something else of the crash: ${String(error)}`);
    return machine;
  }
  assert.ok(!machine.disk.crashed, `${scenario.name} said that it was done, on a dead machine`);
  return undefined;
}

async function told(where: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
