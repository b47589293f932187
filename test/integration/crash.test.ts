import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { countCrashPoints } from '../support/crash-count.ts';
import { CrashMachine, CrashWorld } from '../support/crash-machine.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { tempFolder } from '../support/temp-folder.ts';

// Crash points are counted, not chosen (docs/crash-safety.md): the machine dies at every write, fsync, rename, unlink,
// mkdir and folder sync of a backup, and what wasn't synced is gone. All operations and ways to die are in test/long.

/** It must not shrink without a reason: fewer means that steps are no longer seen, or that an fsync is gone. */
const backupPointsMin = 112;

void test('a backup that dies at any step leaves a whole vault', async (t) => {
  await countCrashPoints(t, 'backup', { mode: 'lose-unsynced' }, backupPointsMin);
});

void test('two inits at once make one vault', async (t) => {
  const machine = new CrashMachine(new CrashWorld(await tempFolder(t), 1), new FaultDisk(), []);
  const results = await Promise.allSettled([machine.init(), machine.init()]);
  const failures = results.filter((result) => result.status === 'rejected');
  assert.equal(failures.length, 1);
  assert.ok(isKithError(failures[0]?.reason, 'locked', 'vault-exists'));
  assert.equal(await machine.use((vault) => Promise.resolve(vault.name)), 'tester');
});
