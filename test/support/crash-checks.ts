import assert from 'node:assert/strict';
import { basename, dirname } from 'node:path';
import { home, spread, type CrashMachine } from './crash-machine.ts';

/**
 * What must hold some time after any crash: the next backup succeeds, a repair leaves every pack as safe as the spread
 * says, all snapshots restore, nobody's `tmp/` holds anything, nothing waits, and home and drives have the same logs.
 */
export async function checkWorksAgain(machine: CrashMachine): Promise<void> {
  const summary = await machine.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.filesUnreadable, 0);
  const repaired = await machine.repair();
  assert.equal(repaired.toleratesAfter, spread.n - spread.k, 'after a repair');
  assert.equal(repaired.shardsStillMissing, 0);
  assert.equal(repaired.packsLost, 0);
  await machine.checkSnapshots();
  checkNothingIsLeft(machine);
  checkLogsAgree(machine);
}

/** Files that only a write under way, or a wait, has. */
function checkNothingIsLeft(machine: CrashMachine): void {
  const left = machine.disk
    .files()
    .filter(
      (path) =>
        /\/tmp\/|\.tmp$/.test(path) || path.startsWith(`${home}/pending/`) || path.includes('/queue/shards/'),
    );
  assert.deepEqual(left, [], 'left over');
}

/** The home and each drive hold the same segments, byte for byte. */
function checkLogsAgree(machine: CrashMachine): void {
  const { disk } = machine;
  const segmentsIn = (folder: string): Map<string, string> =>
    new Map(
      disk
        .files()
        .filter((path) => path.startsWith(`${folder}/logs/`) && path.endsWith('.seg'))
        .map((path) => [
          `${basename(dirname(path))}/${basename(path)}`,
          Buffer.from(disk.peek(path) ?? new Uint8Array(0)).toString('base64'),
        ]),
    );
  const ours = segmentsIn(home);
  assert.ok(ours.size > 0);
  for (const drive of machine.drives) assert.deepEqual(segmentsIn(drive), ours, `logs of ${drive}`);
}
