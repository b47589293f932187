import { parentPort, workerData } from 'node:worker_threads';
import { CrashWorld } from './crash-machine.ts';
import { scenarios } from './crash-scenarios.ts';
import { friendScenarios } from './friend-scenarios.ts';
import { sweep, type SweepOptions } from './crash-sweep.ts';
import { makeTempFolder } from './temp-folder.ts';

/** What a worker is asked to do. */
export interface CrashTask extends SweepOptions {
  readonly scenario: string;
}

/** What it answers: how many cuts it made, or what went wrong. */
export interface CrashAnswer {
  readonly count: number;
  readonly failure: string | undefined;
}

/** Runs one task: a thread of its own keeps the test runner's bookkeeping, which is dear, off every promise. */
async function run(task: CrashTask): Promise<CrashAnswer> {
  const { path, remove } = await makeTempFolder();
  try {
    return {
      count: await count(task, new CrashWorld(path, task.seed * 1000 + task.firstStep)),
      failure: undefined,
    };
  } catch (error) {
    return { count: 0, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  } finally {
    await remove();
  }
}

async function count(task: CrashTask, world: CrashWorld): Promise<number> {
  const onDrives = scenarios[task.scenario];
  if (onDrives !== undefined) {
    const { base, scenario } = await onDrives(world);
    return await sweep(base, scenario, task);
  }
  const withFriends = friendScenarios[task.scenario];
  if (withFriends === undefined) throw new Error(`no scenario ${task.scenario}`);
  const { base, scenario } = await withFriends(world);
  return await sweep(base, scenario, task);
}

if (parentPort !== null) parentPort.postMessage(await run(workerData as CrashTask), []);
